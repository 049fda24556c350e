"""What lies inside any of many ranges, without a pair for each range around it: O((ranges + calls) log ranges)."""

from __future__ import annotations

import numpy as np

from ..arrays.codes import Codes, joined
from ..arrays.types import Bools, Int64
from ..arrays.windows import ranked, windowed
from ..trace.model import Trace
from .attribution import Attribution


def launched_inside(trace: Trace, chosen: Int64, attribution: Attribution = Attribution.THREAD) -> Bools:
    """Which operations were launched inside one or more of these ranges (row indices into `trace.ranges`): a mask of all
    operations of the trace."""
    launch = trace.operations.launch
    inside = np.zeros(len(launch), bool)
    launched = launch >= 0
    inside[launched] = calls_within(trace, chosen, attribution)[launch[launched]]
    return inside


def calls_within(trace: Trace, chosen: Int64, attribution: Attribution = Attribution.THREAD) -> Bools:
    """Which calls lie inside one or more of these ranges: a mask of all calls of the trace."""
    calls, ranges = trace.calls, trace.ranges
    found = np.zeros(len(calls), bool)
    for key, places in attribution.by_key(trace, chosen) if len(calls) else ():
        around = chosen[places]
        keys = np.concatenate((getattr(ranges, key)[around], getattr(calls, key)))
        group, groups = joined([Codes.of(keys)])
        start = np.concatenate((ranges.start[around], calls.start))
        end = np.concatenate((ranges.end[around], calls.end))
        moved = windowed(group, groups, start, end) or windowed(group, groups, *ranked(start, end))
        if moved is None:  # as many threads as calls, times as many ranks: more than memory holds
            raise OverflowError("too many calls")
        found |= _held(*moved, len(around))
    return found


def _held(start: Int64, end: Int64, ranges: int) -> Bools:
    """Which of the intervals after the first `ranges` lie inside one of those: the one that ends last, of those that begin
    no later, ends no earlier."""
    order = np.argsort(start[:ranges], kind="stable")
    reach = np.maximum.accumulate(end[:ranges][order])
    before = np.searchsorted(start[:ranges][order], start[ranges:], "right") - 1
    held: Bools = (before >= 0) & (reach[before] >= end[ranges:])
    return held
