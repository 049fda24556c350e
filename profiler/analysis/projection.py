"""Which operations belong to which NVTX range: by where their launch was called, never by GPU time.

Definition (docs/metrics.md, "Projection"): an operation belongs to a push/pop range, or to a start/end range closed on its
own thread, when its launch lies inside the range on the range's thread; to a start/end range closed on another thread
belong the launches of every thread of that process inside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays.types import Int64
from ..trace.model import Operations, Trace


def calls_inside(
    trace: Trace, ranges: ArrayLike, only: NDArray[np.bool_] | None = None, whole_process: bool = False
) -> tuple[Int64, Int64]:
    """Pairs (range, call) where the call lies inside the range by the definition above.

    Args:
        ranges: row indices into `trace.ranges`, shape (r,).
        only: a mask over `trace.calls` of the calls to consider; all of them by default.
        whole_process: take the launches of every thread of the process, whatever the kind of range.

    Returns:
        two arrays of shape (p,): row indices into `trace.ranges` and into `trace.calls`, ordered by range as given, then
        by the call's start.
    """
    chosen = np.asarray(ranges, np.int64)
    calls = np.arange(len(trace.calls)) if only is None else np.flatnonzero(only)
    crossing = (trace.ranges.start_end & (trace.ranges.end_thread != trace.ranges.thread))[chosen] | whole_process
    by_thread = _inside(trace, chosen[~crossing], calls, trace.ranges.thread, trace.calls.thread)
    by_process = _inside(trace, chosen[crossing], calls, trace.ranges.process, trace.calls.process)
    found_range = np.concatenate([by_thread[0], by_process[0]])
    found_call = np.concatenate([by_thread[1], by_process[1]])
    position = np.empty(len(trace.ranges), np.int64)
    position[chosen] = np.arange(len(chosen))
    order = np.lexsort((found_call, trace.calls.start[found_call], position[found_range]))
    return found_range[order], found_call[order]


def _inside(trace: Trace, ranges: Int64, calls: Int64, range_key: Int64, call_key: Int64) -> tuple[Int64, Int64]:
    """Containment among equal keys: sort the calls once, find each range's slice, keep what also ends inside."""
    order = calls[np.lexsort((trace.calls.start[calls], call_key[calls]))]
    keys, first = np.unique(call_key[order], return_index=True)
    last = np.append(first[1:], len(order))[: len(keys)]
    pieces_range: list[Int64] = []
    pieces_call: list[Int64] = []
    for key, low, high in zip(keys, first, last, strict=True):
        here = ranges[range_key[ranges] == key]
        part = order[low:high]
        begin = np.searchsorted(trace.calls.start[part], trace.ranges.start[here], "left")
        stop = np.searchsorted(trace.calls.start[part], trace.ranges.end[here], "right")
        counts = np.maximum(stop - begin, 0)
        of_range = np.repeat(here, counts)
        offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        call = part[np.repeat(begin, counts) + offset]
        fits = trace.calls.end[call] <= trace.ranges.end[of_range]
        pieces_range.append(of_range[fits])
        pieces_call.append(call[fits])
    empty = [np.empty(0, np.int64)]
    return np.concatenate(pieces_range or empty), np.concatenate(pieces_call or empty)


def operations_of(trace: Trace, index: int) -> Operations:
    """The operations that belong to one range, on all devices, ordered by start."""
    _, calls = calls_inside(trace, [index], trace.calls.outermost)
    mine = trace.operations.take(np.isin(trace.operations.launch, calls))
    return mine.take(np.lexsort((mine.row, mine.table, mine.end, mine.start)))


def by_gpu(operations: Operations) -> list[Operations]:
    """Operations split by physical device: those of different GPUs are never added together."""
    return [operations.take(operations.gpu == gpu) for gpu in np.unique(operations.gpu)]
