"""A Kineto trace (torch.profiler's Chrome JSON) as the tables that an export of Nsight Systems has.

A row's number is its place in `traceEvents`, counted from 1. What Kineto does not record has no table or column here: no counts
of events, so that nothing attests that the trace is whole, no results of calls, no uuid of a GPU, and of the runtime API
what its block list leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import TraceError
from ..schema import KINETO, TORCH_RANK
from .kineto_columns import (
    COLLECTIVE_COLUMNS,
    KERNEL,
    NVTX,
    OF_THE_GPU,
    OF_THE_HOST,
    RUNTIME,
    TABLE,
    Columns,
    Names,
    collectives,
    columns,
    domain_row,
    key,
    nanoseconds,
)
from .kineto_events import Document, Said, batches, read_document
from .scan import Integers, Scan, Texts, Wanted

COLLECTIVES = "KINETO_COLLECTIVES"
Records = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""A small table: its columns and its rows."""


class KinetoSource:
    """One trace file, parsed once.

    Args:
        path: the JSON, not packed.
        shown: the file that the user named.

    Raises:
        TraceError: no JSON, cut, no trace of torch.profiler, or those of several processes in one file.
    """

    def __init__(self, path: Path, shown: Path) -> None:
        self._shown = shown
        self._names = Names(shown)
        self._collectives: list[tuple[Any, ...]] = []
        document = read_document(path, shown)
        parts, process = self._read(document)
        if NVTX in parts:
            parts[NVTX].append(domain_row(process, self._names))
        self._columns = {table: _joined(some) for table, some in parts.items()}
        for table in OF_THE_GPU:
            if table in self._columns:
                self._columns[table]["globalPid"] = np.full(self.count(table), process << 24)
        self._small = self._described(document.said, process)

    @property
    def path(self) -> Path:
        return self._shown

    def tables(self) -> Mapping[str, tuple[str, ...]]:
        wide = {table: tuple(name for name in found if name != "row") for table, found in self._columns.items()}
        return wide | {table: names for table, (names, _) in self._small.items()}

    def count(self, table: str) -> int:
        return len(self._columns[table]["row"]) if table in self._columns else len(self._small[table][1])

    def records(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        if table in self._columns:
            found = self._columns[table]
            return list(zip(*(found[name].tolist() for name in columns), strict=True))
        names, rows = self._small[table]
        places = [names.index(column) for column in columns]
        return [tuple(row[place] for place in places) for row in rows]

    def scan(self, table: str, wanted: Wanted) -> Scan:
        if table in self._columns:
            found = self._columns[table]
            return Scan(found["row"].copy(), {name: Integers(found[name].copy()) for name in wanted.integers})
        rows = np.arange(self.count(table))
        integers = {name: Integers(np.array(self._values(table, name), np.int64)) for name in wanted.integers}
        texts = {name: Texts(rows, [str(v).encode() for v in self._values(table, name)]) for name in wanted.texts}
        return Scan(rows + 1, integers, {}, texts)

    def _values(self, table: str, column: str) -> list[Any]:
        return [value for (value,) in self.records(table, (column,))]

    def _read(self, document: Document) -> tuple[dict[str, list[Columns]], int]:
        """Every wanted event into columns, and the process that they are of."""
        parts: dict[str, list[Columns]] = {}
        pids: set[int | str] = set()
        for batch in batches(document, TABLE, self._shown):
            if batch.table in OF_THE_HOST:
                pids.update(map(attrgetter("pid"), batch.events))
                self._refuse_several(pids)
            start, length = nanoseconds(batch, self._shown)
            times = {"row": np.array(batch.places, np.int64), "start": start, "end": start + length}
            parts.setdefault(batch.table, []).append(columns(batch.table, batch.events, self._names) | times)
            if batch.table == KERNEL:
                self._collectives += collectives(batch)
        if not parts.keys() & {*OF_THE_GPU, RUNTIME}:
            raise TraceError(
                f"{self._shown}: no trace of torch.profiler with a GPU in it: no event is a kernel, a copy or a CUDA call",
                "record it with activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]",
            )
        return parts, key(next(iter(pids), 1))

    def _refuse_several(self, pids: set[int | str]) -> None:
        """Ids of streams and launches mean something inside a process only, and GPU events do not say theirs."""
        if len(pids) > 1:
            some = ", ".join(sorted(str(pid) for pid in pids)[:4])
            raise TraceError(
                f"{self._shown}: the traces of several processes in one file ({some})", "give each rank's own file"
            )

    def _described(self, beside: Said, process: int) -> dict[str, Records]:
        """What the small tables of an export say."""
        said = [(2, text, process << 24) for text in _texts(beside.WARNING)]
        said += [(3, text, process << 24) for text in _texts(beside.ERROR)]
        devices = beside.deviceProperties
        metadata = [("EXPORT_PRODUCT_NAME", KINETO), ("EXPORT_SCHEMA_VERSION", str(beside.schemaVersion))]
        if beside.distributedInfo is not None and beside.distributedInfo.rank is not None:
            metadata.append((TORCH_RANK, str(beside.distributedInfo.rank)))
        return {
            "StringIds": (("id", "value"), [(number, text) for text, number in self._names.numbers.items()]),
            "META_DATA_EXPORT": (("name", "value"), [*metadata]),
            "TARGET_INFO_GPU": (
                ("id", "uuid", "name", "smCount"),
                [(one.id, "", one.name, one.multiprocessors) for one in devices],
            ),
            "TARGET_INFO_CUDA_DEVICE": (("gpuId", "cudaId", "pid"), [(one.id, one.id, process) for one in devices]),
            "TARGET_INFO_SESSION_START_TIME": (
                ("utcEpochNs",),
                [(beside.baseTimeNanoseconds,)] if beside.baseTimeNanoseconds else [],
            ),
            "DIAGNOSTIC_EVENT": (("severity", "text", "globalPid"), [*said]),
            COLLECTIVES: (COLLECTIVE_COLUMNS, self._collectives),
        }


def _joined(parts: Sequence[Columns]) -> Columns:
    """One table's columns from those of its batches, in the order of its rows."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(whole["row"], kind="stable")
    return {name: values[order] for name, values in whole.items()}


def _texts(said: list[str] | str) -> list[str]:
    return [said] if isinstance(said, str) else said
