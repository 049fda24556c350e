"""The numbers of many ranges at once, one row a range and device, as docs/metrics.md defines them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..analysis.overlap import busy_time, concurrency
from ..analysis.projection import calls_inside
from ..trace.columns import Int64
from ..trace.model import COMM, COMPUTE, COPIES, GRAPH_LAUNCH, KINDS, Operations, Rows, Trace


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


_COLUMNS = RangeNumbers.__slots__[2:-1]


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
    ranges, gpu, operations = ranges[order], gpu[order], operations[order]
    first = np.flatnonzero((np.diff(ranges, prepend=-1) != 0) | (np.diff(gpu, prepend=-1) != 0))
    rows = [_row(trace.operations.take(part)) for part in np.split(operations, first[1:])] if len(first) else []
    values = np.array(rows, np.int64).reshape(len(rows), len(_COLUMNS) + len(KINDS))
    numbers = dict(zip(_COLUMNS, values.T, strict=False))
    return RangeNumbers(range=ranges[first], gpu=gpu[first], busy_by_class=values[:, len(_COLUMNS) :], **numbers)


def _row(found: Operations) -> list[int]:
    """The columns of `RangeNumbers` after `gpu`, then busy time by class."""
    numbers = concurrency(found)
    copies, compute, comm = (busy_time(found.of_kind(*kinds)) for kinds in (COPIES, (COMPUTE,), (COMM,)))
    return [
        int(found.device[0]),
        len(found),
        _count(found, COMPUTE, COMM),
        len(np.unique(found.launch)),
        _count(found, GRAPH_LAUNCH),
        int(found.start.min()),
        int(found.end.max()),
        *(numbers.sum, numbers.busy, numbers.span, numbers.idle, numbers.overlap, numbers.max_in_flight),
        (copies & compute).length,
        (comm & compute).length,
        *(busy_time(found.of_kind(kind)).length for kind in range(len(KINDS))),
    ]


def _count(operations: Operations, *kinds: int) -> int:
    found: NDArray[np.bool_] = np.isin(operations.kind, kinds)
    return int(found.sum())
