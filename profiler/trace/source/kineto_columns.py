"""Events of a Kineto trace into the columns that an export of Nsight Systems has, table by table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import TraceError
from ...arrays.types import Int64
from .kineto_events import EXACT_BELOW, Arguments, Batch, Event, exact_nanoseconds

KERNEL, MEMCPY, MEMSET, RUNTIME = (f"CUPTI_ACTIVITY_KIND_{n}" for n in ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME"))
NVTX = "NVTX_EVENTS"
OF_THE_GPU, OF_THE_HOST = (KERNEL, MEMCPY, MEMSET), (RUNTIME, NVTX)
TABLE: Mapping[str, str] = {
    "kernel": KERNEL,
    "gpu_memcpy": MEMCPY,
    "gpu_memset": MEMSET,
    "cuda_runtime": RUNTIME,
    "cuda_driver": RUNTIME,
    "user_annotation": NVTX,
    "cpu_op": NVTX,
}
"""Category -> table. `gpu_user_annotation` repeats on the GPU what launches say already, `python_function` is the interpreter's
stack, and `ac2g` and `fwdbwd` are arrows."""
OPERATORS = "cpu_op"
"""The NVTX domain of PyTorch's operators (`aten::mm`); what record_function marks is in the default domain."""
COLLECTIVE_COLUMNS = ("row", "collective", "group", "ranks", "group_size", "dtype", "elements_in", "elements_out")

_DEFAULT_DOMAIN, _OPERATORS_DOMAIN = 0, 1
_PUSH_POP, _DOMAIN = 59, 75
_COPY = re.compile(r"Memcpy (\w)to(\w) \(([^()>]+) -> ([^()>]+)\)")
_DIRECTION = {"HD": 1, "DH": 2, "HA": 3, "AH": 4, "AA": 5, "AD": 6, "DA": 7, "DD": 8, "HH": 9, "PP": 10}
_MEMORIES = ("Pageable", "Pinned", "Device", "Array", "Managed", "Device Static", "Managed Static")
"""In nsys' order, which counts kinds of memory from 0; CUPTI counts them from 1."""
_MEMORY = {name: number for number, name in enumerate(_MEMORIES)}
_UNKNOWN = (0, -1, -1)
_KEY = 0xFFFFFF
"""A process's and a thread's id have 24 bits in a globalTid."""
_LONGEST_NAME = 1 << 20
"""Characters of a name; the longest kernel names that were seen have some thousands."""
_LAST = 2**53
_NO_DIMS = (0, 0, 0)
_NOTHING = Arguments()
Columns = dict[str, Int64]


class Names:
    """Each text once, with its number."""

    def __init__(self, shown: Path) -> None:
        self._shown = shown
        self.numbers: dict[str, int] = {}

    def codes(self, texts: Sequence[str]) -> Int64:
        """The number of each text.

        Raises:
            TraceError: one is far longer than any name is.
        """
        numbers = self.numbers
        for text in dict.fromkeys(texts):
            if len(text) > _LONGEST_NAME:
                what = f"a name of {len(text):,} characters, at most {_LONGEST_NAME:,} are read"
                raise TraceError(f"{self._shown}: {what}")
            numbers.setdefault(text, len(numbers))
        return np.fromiter(map(numbers.__getitem__, texts), np.int64, len(texts))


def key(number: int | str) -> int:
    """What a globalPid or globalTid keeps of a process's or a thread's id; 0 for what is no number."""
    return number & _KEY if isinstance(number, int) else 0


def columns(table: str, events: Sequence[Event], names: Names) -> Columns:
    """The columns of events of one table, but for their rows and times."""
    return _OF_TABLE[table](events, names)


def domain_row(process: int, names: Names) -> Columns:
    """The row that names the operators' domain; it is no event's, and its number is 0."""
    row = {
        "eventType": _DOMAIN,
        "domainId": _OPERATORS_DOMAIN,
        "globalTid": process << 24,
        "row": 0,
        "start": 0,
        "end": 0,
    }
    return {name: np.array([value], np.int64) for name, value in row.items()} | {"textId": names.codes([OPERATORS])}


def collectives(batch: Batch) -> list[tuple[Any, ...]]:
    """What PyTorch says of collectives beside their kernels; columns as in COLLECTIVE_COLUMNS."""
    said = [
        (place, e.args) for place, e in zip(batch.places, batch.events, strict=True) if e.args and e.args.collective
    ]
    return [
        (place, a.collective, a.group, a.ranks, a.group_size, a.dtype, a.elements_in, a.elements_out)
        for place, a in said
    ]


def nanoseconds(batch: Batch, shown: Path) -> tuple[Int64, Int64]:
    """Starts and durations.

    Raises:
        TraceError: a time beyond 2^53 µs, the year 2255.
    """
    events = batch.events
    starts, lengths = (np.fromiter(map(attrgetter(name), events), np.float64, len(events)) for name in ("ts", "dur"))
    most = max(np.abs(starts).max(initial=0), np.abs(lengths).max(initial=0))
    if most >= _LAST:
        raise TraceError(f"{shown}: a time of {most:.3g} µs: no trace of torch.profiler holds such")
    if most < EXACT_BELOW:
        return _whole(starts), _whole(lengths)
    start, length = exact_nanoseconds(batch.raws())
    return np.array(start, np.int64), np.array(length, np.int64)


def _whole(microseconds: NDArray[np.float64]) -> Int64:
    """Whole microseconds and the rest apart, since their product with 1000 has more digits than a double."""
    floor = np.floor(microseconds)
    return floor.astype(np.int64) * 1000 + np.rint((microseconds - floor) * 1000).astype(np.int64)


def _said(events: Sequence[Event], name: str, missing: int) -> Int64:
    arguments = [event.args or _NOTHING for event in events]
    values = list(map(attrgetter(name), arguments))
    if None in values:
        values = [missing if value is None else value for value in values]
    return np.array(values, np.int64)


def _threads(events: Sequence[Event]) -> Int64:
    """globalTid, of events of one process."""
    tids = list(map(attrgetter("tid"), events))
    numbers = {tid: key(events[0].pid) << 24 | key(tid) for tid in set(tids)}
    return np.fromiter(map(numbers.__getitem__, tids), np.int64, len(tids))


def _called(events: Sequence[Event], names: Names) -> Int64:
    return names.codes(list(map(attrgetter("name"), events)))


def _calls(events: Sequence[Event], names: Names) -> Columns:
    called = _called(events, names)
    return {"nameId": called, "globalTid": _threads(events), "correlationId": _said(events, "correlation", -1)}


def _ranges(events: Sequence[Event], names: Names) -> Columns:
    of_operators = np.array([event.cat == OPERATORS for event in events])
    return {
        "eventType": np.full(len(events), _PUSH_POP),
        "textId": _called(events, names),
        "globalTid": _threads(events),
        "domainId": np.where(of_operators, _OPERATORS_DOMAIN, _DEFAULT_DOMAIN),
    }


def _operations(events: Sequence[Event]) -> Columns:
    return {
        "deviceId": _said(events, "device", 0),
        "contextId": _said(events, "context", 0),
        "streamId": _said(events, "stream", 0),
        "correlationId": _said(events, "correlation", -1),
        "graphNodeId": _said(events, "graph_node", 0),
    }


def _kernels(events: Sequence[Event], names: Names) -> Columns:
    sizes = [((a := event.args or _NOTHING).grid or _NO_DIMS, a.block or _NO_DIMS) for event in events]
    dims = np.array(sizes, np.int64).reshape(len(events), 6).T
    shape = dict(zip(("gridX", "gridY", "gridZ", "blockX", "blockY", "blockZ"), dims, strict=True))
    return _operations(events) | {"demangledName": _called(events, names)} | shape


def _copies(events: Sequence[Event], names: Names) -> Columns:
    kinds = np.array([_kinds_of_copy(event.name) for event in events], np.int64).T
    return _memsets(events, names) | dict(zip(("copyKind", "srcKind", "dstKind"), kinds, strict=True))


def _memsets(events: Sequence[Event], _: Names) -> Columns:
    return _operations(events) | {"bytes": _said(events, "bytes", 0)}


def _kinds_of_copy(name: str) -> tuple[int, int, int]:
    """`Memcpy HtoD (Pinned -> Device)` -> copyKind, srcKind, dstKind."""
    found = _COPY.match(name)
    if not found:
        return _UNKNOWN
    return _DIRECTION.get(found[1] + found[2], 0), _MEMORY.get(found[3], -1), _MEMORY.get(found[4], -1)


_OF_TABLE: Mapping[str, Callable[[Sequence[Event], Names], Columns]] = {
    KERNEL: _kernels,
    MEMCPY: _copies,
    MEMSET: _memsets,
    RUNTIME: _calls,
    NVTX: _ranges,
}
