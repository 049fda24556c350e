"""Overlap and concurrency of a set of operations of one device, each number as docs/metrics.md defines it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import in_order
from ..arrays.intervals import Bounds, Intervals, at_least, union
from ..arrays.types import Int64
from ..arrays.windows import Windows, by_group
from ..trace.model import COMM, COMPUTE, COPIES, D2H, H2D, KINDS, MIGRATION, P2P, Operations
from .streams import share_their_stream
from .swept import sweep_all

SELECTORS = {name: (code,) for code, name in enumerate(KINDS)} | {
    "copy": COPIES,
    "comm": (COMM,),
    "compute": (COMPUTE,),
}
"""Classes that a metric's argument may name."""

ENGINES = {"compute": (COMPUTE,), "h2d": (H2D,), "d2h": (D2H,), "peer": (COMM, P2P)}
"""What works side by side, each as fast as it is: kernels, copies in, copies out, and the link to other GPUs. Copies within the
device and memsets belong to none: some run on a copy engine, some as kernels, and no trace tells."""


def busy_time(operations: Operations) -> Intervals:
    """When at least one of them was in flight."""
    return union(operations.start, operations.end)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Lengths in ns over one set; busy + idle = span, busy <= sum and overlap <= busy always hold."""

    sum: int
    busy: int
    span: int
    idle: int
    overlap: int
    same_stream_overlap: int
    max_in_flight: int


def of_streams(operations: Operations) -> Operations:
    """What programs put on streams: all but migrations of unified memory, which kernels wait for rather than overlap."""
    migrations = operations.kind == MIGRATION
    return operations.take(~migrations) if migrations.any() else operations


@lru_cache(maxsize=1)
def concurrency(operations: Operations) -> Concurrency:
    """The numbers of a set that lies on one device; all 0 for an empty set. Migrations of unified memory are busy time, and
    in flight beside nothing. Several metrics ask of one set in a row."""
    return _concurrency(operations, sweep_all(operations, _CONCURRENCY) if len(operations) else None)


def device_times(operations: Operations) -> tuple[Concurrency, ClassTimes]:
    """Both kinds of numbers of a set that lies on one device, in one sweep where the compiled core does it."""
    found = sweep_all(operations, (*_CONCURRENCY, *_BY_CLASS)) if len(operations) else None
    return _concurrency(operations, found), _class_times(operations, found)


_CONCURRENCY = ("sum", "busy", "overlap", "max_in_flight")
_BY_CLASS = ("busy_by_class", "copies", "overlap_copy_compute", "overlap_comm_compute")
"""What a sweep is asked for."""


def _concurrency(operations: Operations, swept: dict[str, Any] | None) -> Concurrency:
    if not len(operations):
        return Concurrency(0, 0, 0, 0, 0, 0, 0)
    of_programs = of_streams(operations)
    lanes, start, end = of_programs.lanes(), of_programs.start, of_programs.end
    across, within = None, 0
    if share_their_stream(lanes, start, end).any():
        across, within = _stream_overlap(lanes, start, end)
    span = int(operations.end.max() - operations.start.min())
    found = swept or _by_bounds(operations, of_programs)
    return Concurrency(
        sum=int(found["sum"]),
        busy=int(found["busy"]),
        span=span,
        idle=span - int(found["busy"]),
        overlap=int(found["overlap"]) if across is None else across,
        same_stream_overlap=within,
        max_in_flight=int(found["max_in_flight"]),
    )


def _by_bounds(operations: Operations, of_programs: Operations) -> dict[str, int]:
    """The numbers of a set; `overlap` is that of operations, whatever their streams."""
    whole = Bounds.of(operations.start, operations.end)
    bounds = whole if of_programs is operations else Bounds.of(of_programs.start, of_programs.end)
    return {
        "sum": int((operations.end - operations.start).sum()),
        "busy": whole.length(),
        "overlap": bounds.length(2),
        "max_in_flight": bounds.most(),
    }


@dataclass(frozen=True, slots=True)
class ClassTimes:
    """For how long operations of these classes were in flight, and how much of it a compute kernel was too; ns."""

    compute: int
    copy: int
    comm: int
    migration: int
    copy_hidden: int
    comm_hidden: int


def class_times(operations: Operations) -> ClassTimes:
    """The times of a set that lies on one device."""
    return _class_times(operations, sweep_all(operations, _BY_CLASS) if len(operations) else None)


def _class_times(operations: Operations, swept: dict[str, Any] | None) -> ClassTimes:
    if swept:
        by_class = swept["busy_by_class"].tolist()
        shared = (int(swept[name]) for name in _BY_CLASS[2:])
        return ClassTimes(by_class[COMPUTE], int(swept["copies"]), by_class[COMM], by_class[MIGRATION], *shared)
    compute, copy, comm, migration = (
        busy_time(operations.of_kind(*kinds)) for kinds in ((COMPUTE,), COPIES, (COMM,), (MIGRATION,))
    )
    hidden = ((time & compute).length for time in (copy, comm))
    return ClassTimes(compute.length, copy.length, comm.length, migration.length, *hidden)


def concurrency_by_gpu(operations: Operations, gpus: int) -> list[Concurrency]:
    """The numbers of each of `gpus` devices by itself."""
    return list(in_order(lambda gpu: concurrency(operations.take(operations.gpu == gpu)), range(gpus)))


def _stream_overlap(lanes: NDArray[Any], start: Int64, end: Int64) -> tuple[int, int]:
    """Length with operations of two or more different streams in flight, and of two or more of one stream."""
    count = int(lanes.max()) + 1
    order = by_group(lanes, count)
    parts = lanes[order], count, start[order], end[order]
    _, starts, ends = grouped(union, *parts)
    _, again_start, again_end = grouped(lambda s, e: at_least(s, e, 2), *parts)
    return at_least(starts, ends, 2).length, union(again_start, again_end).length


def grouped(
    algebra: Callable[[Int64, Int64], Intervals], group: NDArray[Any], groups: int, start: Int64, end: Int64
) -> tuple[Int64, Int64, Int64]:
    """An operation of the interval algebra on each group by itself.

    Args:
        group: shape (n,), numbers below `groups`.

    Returns:
        the resulting pieces of all groups, ordered by group: group, start and end, each of shape (m,).
    """
    windows = Windows.of(group, groups, start, end)
    if windows is not None:
        found = algebra(start + windows.shift[group], end + windows.shift[group])
        of_piece, begin = windows.back(found.start)
        return of_piece, begin, found.end - windows.shift[of_piece]
    pieces = [(g, algebra(start[group == g], end[group == g])) for g in np.unique(group).tolist()]
    return (
        np.concatenate([np.full(len(piece), g) for g, piece in pieces]),
        np.concatenate([piece.start for _, piece in pieces]),
        np.concatenate([piece.end for _, piece in pieces]),
    )
