"""The longest overlaps of two large selections: which operations are worth a look, found without comparing every pair."""

from __future__ import annotations

import numpy as np

from ..analysis.findable import findable
from ..analysis.overlap import witnesses
from ..arrays.intervals import union
from ..arrays.types import Int64
from ..evidence import Witness
from ..trace.model import Operations, Trace

_FIRST_LOOK = 256
_STREAMS = 32  # above so many streams of `a` the bounds get coarser, not slower


def longest(trace: Trace, a: Int64, b: Int64, count: int) -> tuple[Witness, ...]:
    """At most `count` pairs, an operation of `a` and one of `b` on another stream, the longest shared time first.

    Exact: an operation of `a` shares with one of `b` no more than with all of `b` on other streams. Those with the
    largest such bound are searched first, and no others once the pairs found exceed what those could share.

    Args:
        a, b: row indices into `trace.operations`.
    """
    if not (count and len(a) and len(b)):
        return ()
    bounds = _bounds(trace.operations, a, b)
    order = np.argsort(-bounds, kind="stable")
    order = order[: int((bounds > 0).sum())]
    others, look = trace.operations.take(b), _FIRST_LOOK
    while True:
        some = trace.operations.take(a[order[:look]])
        best = [_witness(trace, some, i, others, j) for i, j in witnesses(some, others, count)]
        done = look >= len(order)
        if done or (len(best) == count and best[-1].end - best[-1].start >= bounds[order[look]]):
            return tuple(best)
        look *= 4


def _bounds(operations: Operations, a: Int64, b: Int64) -> Int64:
    """For each of `a`, at least as long as anything of `b` on another stream is in flight during it; shape (len(a),)."""
    lanes = operations.lanes()
    own = np.unique(lanes[a])
    if len(own) > _STREAMS:
        return _covered(operations, a, b)
    bounds = np.zeros(len(a), np.int64)
    for lane in own:
        here = lanes[a] == lane
        bounds[here] = _covered(operations, a[here], b[lanes[b] != lane])
    return bounds


def _covered(operations: Operations, a: Int64, b: Int64) -> Int64:
    """How long anything of `b` is in flight during each of `a`."""
    filled = union(operations.start[b], operations.end[b])
    if not len(filled):
        return np.zeros(len(a), np.int64)
    before = np.concatenate([[0], np.cumsum(filled.end - filled.start)])

    def until(time: Int64) -> Int64:
        number = np.searchsorted(filled.start, time, "right")
        rest = np.maximum(filled.end[np.maximum(number - 1, 0)] - time, 0)
        result: Int64 = before[number] - np.where(number > 0, rest, 0)
        return result

    return until(operations.end[a]) - until(operations.start[a])


def _witness(trace: Trace, a: Operations, i: int, b: Operations, j: int) -> Witness:
    start, end = max(a.start[i], b.start[j]), min(a.end[i], b.end[j])
    return Witness(findable(trace, a, i), findable(trace, b, j), int(start), int(end))
