"""GPU operations: kernels, copies, memsets and untraced graphs, from their tables into one set of columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays.blocks import gathered
from ...arrays.growing import constant, is_constant
from ...arrays.types import Int64
from ..communication import Known
from ..devices import ordinals, physical_gpus
from ..model import (
    COMM,
    COMPUTE,
    D2D,
    D2H,
    GRAPH_LAUNCH,
    H2D,
    MEMORY_SET,
    MIGRATION,
    OTHER,
    P2P,
    TABLES,
    Gpu,
    Operations,
)
from ..schema import GRAPH_TRACE, KERNEL, MEMCPY, MEMSET, Schema
from ..source.scan import Source
from .columns import NONE, Columns, Invalid, Wish, read_table
from .matching import Submissions
from .placing import place_graphs
from .strings import Strings
from .validity import valid_times

# copyKind -> class. 3-7 are array copies; 9 (host to host) touches no device.
_COPY_KIND = {1: H2D, 2: D2H, 3: H2D, 4: D2H, 5: D2D, 6: D2D, 7: D2D, 8: D2D, 10: P2P}
UNIFIED = {11: "Unified Host-to-Device", 12: "Unified Device-to-Host", 13: "Unified Device-to-Device"}
"""copyKind -> nsys' name for a migration of unified memory, used as the operation's name here."""
_PAGEABLE = 0  # srcKind / dstKind
_COMMON = {"contextId": 0, "correlationId": NONE, "graphNodeId": 0}
_GRID = ("gridX", "gridY", "gridZ")
_OWN: dict[str, dict[str, int]] = {
    KERNEL: {"shortName": NONE, "demangledName": NONE, **dict.fromkeys(_GRID, 0)},
    MEMCPY: {"copyKind": 0, "bytes": 0, "srcKind": NONE, "dstKind": NONE, "copyCount": 1},
    MEMSET: {"bytes": 0},
    GRAPH_TRACE: {},
}


def read_operations(
    source: Source,
    schema: Schema,
    strings: Strings,
    only_process: int,
    submitted: Submissions,
    comm: Known,
    invalid: Invalid,
) -> tuple[Operations, tuple[Gpu, ...]]:
    """All operations of all tables, each with its call, and the physical devices that they ran on.

    Args:
        only_process: the process of operations that do not name theirs.
    """
    tables = [_read_table(source, schema, strings, table, only_process, invalid) for table in TABLES]
    tables[-1] = place_graphs(tables[-1], tables[:-1], ordinals(source, schema), invalid)
    lengths = [len(t["row"]) for t in tables]

    def every(column: str, default: int) -> Int64:
        parts = [t.pop(column, None) for t in tables]
        return _joined(
            [constant(default, n, np.int64) if p is None else p for p, n in zip(parts, lengths, strict=True)]
        )

    process, device, correlation = every("globalPid", 0), every("deviceId", 0), every("correlationId", NONE)
    gpu, gpus = physical_gpus(source, schema, process, device)
    table = np.repeat(np.arange(len(TABLES), dtype=np.int8), lengths)
    name, full_name = every("shortName", NONE), every("demangledName", NONE)
    operations = Operations(
        table=table,
        row=every("row", 0),
        process=process,
        device=device,
        context=every("contextId", 0),
        stream=every("streamId", 0),
        gpu=gpu,
        start=every("start", 0),
        end=every("end", 0),
        correlation=correlation,
        kind=_kinds(table, every("kind", OTHER), name, full_name, strings, comm),
        name=name if len(name) and int(name.min()) >= 0 else np.where(name >= 0, name, full_name),
        full_name=full_name,
        bytes=every("bytes", NONE),
        blocks=every("blocks", 0),
        copies=every("copyCount", 1),
        graph_node=every("graphNodeId", 0),
        pageable=every("pageable", 0).astype(bool),
        launch=submitted.of(process, correlation),
    )
    return operations, gpus


def _read_table(
    source: Source, schema: Schema, strings: Strings, table: str, only_process: int, invalid: Invalid
) -> Columns:
    """One table's columns, names and kinds already in the trace's terms."""
    wish = Wish(("start", "end", "deviceId", "streamId"), {"globalPid": only_process, **_COMMON, **_OWN[table]})
    c = valid_times(read_table(source, schema, table, wish, invalid).columns, table, invalid)
    for column in ("shortName", "demangledName"):
        if column in c:
            c[column] = strings.of_ids(c[column])
    if table == KERNEL:
        c["blocks"] = _blocks(*(c.pop(column) for column in _GRID))
    if table == MEMCPY:
        source_kind, target_kind = c.pop("srcKind"), c.pop("dstKind")
        c["pageable"] = ((source_kind == _PAGEABLE) | (target_kind == _PAGEABLE)).astype(np.int64)
        c["shortName"] = _migrations(strings, c["copyKind"])
        migrates = c["shortName"] >= 0
        c["kind"] = np.where(migrates, MIGRATION, _copy_kinds(c.pop("copyKind")))
        if migrates.any():  # their correlation id is 0 (as seen), which is no call's
            c["correlationId"] = np.where(migrates, NONE, c["correlationId"])
        if int(c["copyCount"].min(initial=1)) < 1:
            c["copyCount"] = c["copyCount"].clip(1)  # 0 where the driver does not say: the record itself is one
    return c


def _blocks(x: Int64, y: Int64, z: Int64) -> Int64:
    """Blocks of each grid; what is more than a GPU can launch, and no number of ours, is left as it overflows."""
    if len(x) and all(map(is_constant, (x, y, z))):
        return constant((x[:1] * y[:1] * z[:1])[0], len(x), np.int64)
    return x * y * z


def _joined(parts: list[Int64]) -> Int64:
    """One column from those of all tables; it stays one element if all of it is one value."""
    parts = [part for part in parts if len(part)]
    if parts and all(is_constant(part) and part[0] == parts[0][0] for part in parts):
        return constant(parts[0][0], sum(map(len, parts)), np.int64)
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


def _copy_kinds(code: Int64) -> Int64:
    known = np.array([_COPY_KIND.get(k, OTHER) for k in range(14)], np.int64)
    return np.where((code >= 0) & (code < len(known)), known[np.clip(code, 0, len(known) - 1)], OTHER)


def _migrations(strings: Strings, code: Int64) -> Int64:
    """The name of each migration of unified memory, -1 for what a program copied."""
    if not len(code) or int(code.max()) < min(UNIFIED):
        return constant(NONE, len(code), np.int64)
    names = np.full(len(code), NONE, np.int64)
    for kind, text in UNIFIED.items():
        if (here := code == kind).any():
            names[here] = strings.add(text)
    return names


def _kinds(
    table: NDArray[np.int8], copies: Int64, short: Int64, full: Int64, strings: Strings, comm: Known
) -> NDArray[np.int8]:
    """The class of each operation; a kernel is communication if its short or full name says so."""
    talking = np.array([*(bool(comm.part(text)) for text in strings.values()), False])
    by_table = np.array([COMPUTE, OTHER, MEMORY_SET, GRAPH_LAUNCH], np.int8)
    kind = gathered(by_table, table.view(np.uint8))
    kernels, moved = table == TABLES.index(KERNEL), table == TABLES.index(MEMCPY)
    if talking.any():
        kind[kernels & (gathered(talking, short) | gathered(talking, full))] = COMM
    kind[moved] = copies[moved]
    return kind
