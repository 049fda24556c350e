"""The numbers of many ranges at once, one row a range and device, as docs/metrics.md defines them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..analysis.projection import calls_inside
from ..trace.columns import Int64
from ..trace.model import COMM, COMPUTE, COPIES, GRAPH_LAUNCH, KINDS, Operations, Rows, Trace
from .sweeps import shared, sweep, unions


@dataclass(frozen=True, slots=True, eq=False)
class RangeNumbers(Rows):
    """Columns of shape (n,), `busy_by_class` of shape (n, len(KINDS)); times and lengths in ns.

    range     row index into `trace.ranges`
    gpu       index into `trace.gpus`; `device` is its CUDA ordinal in the range's process
    graphs    operations that are graphs traced as a whole: what ran inside them is unknown
    """

    range: Int64
    gpu: Int64
    device: Int64
    ops: Int64
    kernels: Int64
    launches: Int64
    graphs: Int64
    proj_start: Int64
    proj_end: Int64
    sum: Int64
    busy: Int64
    span: Int64
    idle: Int64
    overlap: Int64
    max_in_flight: Int64
    overlap_copy_compute: Int64
    overlap_comm_compute: Int64
    busy_by_class: Int64


def process_wide(trace: Trace) -> Trace:
    """The same trace with every range counting the launches of all threads of its process, as a range does that another
    thread closes."""
    ranges = trace.ranges
    anyone = replace(ranges, start_end=np.ones(len(ranges), bool), end_thread=ranges.thread + 1)
    return replace(trace, ranges=anyone)


def operations_inside(trace: Trace, chosen: Int64) -> tuple[Int64, Int64]:
    """Pairs (range, operation) by launch containment: row indices into `trace.ranges` and `trace.operations`."""
    launch = trace.operations.launch
    working = np.zeros(len(trace.calls), bool)
    working[launch[launch >= 0]] = True
    ranges, calls = calls_inside(trace, chosen, working)
    order = np.argsort(launch, kind="stable")
    low, high = (np.searchsorted(launch[order], calls, side) for side in ("left", "right"))
    counts = high - low
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(ranges, counts), order[np.repeat(low, counts) + offset]


def range_numbers(trace: Trace, chosen: Int64) -> RangeNumbers:
    """A row for each (range, device) with operations, ordered by range, then device.

    Args:
        chosen: row indices into `trace.ranges`, shape (r,).
    """
    ranges, operations = operations_inside(trace, chosen)
    gpu = trace.operations.gpu[operations]
    order = np.lexsort((operations, gpu, ranges))
    ranges, gpu, found = ranges[order], gpu[order], trace.operations.take(operations[order])
    new = (np.diff(ranges, prepend=-1) != 0) | (np.diff(gpu, prepend=-1) != 0)
    first, row = np.flatnonzero(new), np.cumsum(new) - 1
    if not len(first):
        return _nothing()
    return RangeNumbers(range=ranges[first], gpu=gpu[first], **_counts(found, first, row), **_times(found, row))


def _nothing() -> RangeNumbers:
    nothing = dict.fromkeys(RangeNumbers.__slots__, np.empty(0, np.int64))
    return RangeNumbers(**{**nothing, "busy_by_class": np.empty((0, len(KINDS)), np.int64)})


def _counts(found: Operations, first: Int64, row: Int64) -> dict[str, Int64]:
    """What is counted; `first` are the first operations of the rows, `row` the row of each operation."""

    def of_kind(*kinds: int) -> Int64:
        return np.bincount(row[np.isin(found.kind, kinds)], minlength=len(first)).astype(np.int64)

    order = np.lexsort((found.launch, row))
    owner, launch = row[order], found.launch[order]
    fresh = (np.diff(owner, prepend=-1) != 0) | (np.diff(launch, prepend=-1) != 0)
    return {
        "device": found.device[first],
        "ops": np.diff(first, append=len(row)),
        "kernels": of_kind(COMPUTE, COMM),
        "launches": np.bincount(owner[fresh], minlength=len(first)).astype(np.int64),
        "graphs": of_kind(GRAPH_LAUNCH),
        "proj_start": np.minimum.reduceat(found.start, first),
        "proj_end": np.maximum.reduceat(found.end, first),
        "sum": np.add.reduceat(found.end - found.start, first),
    }


def _times(found: Operations, row: Int64) -> dict[str, Int64]:
    """What the sweeps give, for rows numbered from 0."""
    rows = int(row[-1]) + 1
    whole = sweep(row, found.start, found.end)
    busy = whole.length(rows)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    span = np.maximum.reduceat(found.end, first) - np.minimum.reduceat(found.start, first)
    by_class = sweep(row * len(KINDS) + found.kind, found.start, found.end).length(rows * len(KINDS))
    lanes = found.lanes()
    count = int(lanes.max()) + 1
    lane, start, end = unions(row * count + lanes, found.start, found.end)
    copies, compute, comm = (_union(found, row, kinds) for kinds in (COPIES, (COMPUTE,), (COMM,)))
    return {
        "busy": busy,
        "span": span,
        "idle": span - busy,
        "overlap": sweep(lane // count, start, end).length(rows, 2),
        "max_in_flight": whole.deepest(rows),
        "overlap_copy_compute": shared(copies, compute, rows),
        "overlap_comm_compute": shared(comm, compute, rows),
        "busy_by_class": by_class.reshape(rows, len(KINDS)),
    }


def _union(found: Operations, row: Int64, kinds: tuple[int, ...]) -> tuple[Int64, Int64, Int64]:
    mine = np.isin(found.kind, kinds)
    return unions(row[mine], found.start[mine], found.end[mine])
