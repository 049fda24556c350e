"""What a process launched inside ranges, but not from the threads whose launches they count."""

from __future__ import annotations

import numpy as np

from ..arrays.intervals import union
from ..arrays.types import Bools, Int64
from ..trace.model import Trace
from .attribution import Attribution

LEAST = 0.1
"""The share of what a process launched inside its ranges from which on a reader is told."""


def uncounted(trace: Trace, chosen: Int64, attribution: Attribution) -> tuple[int, int]:
    """How many operations other threads of the process launched inside these ranges (row indices), which do not count them, and how
    many the whole process launched there; 0 of 0 where every thread counts."""
    if attribution is not Attribution.THREAD or not len(chosen):
        return 0, 0
    if len(trace.calls.codes("thread").values) == len(trace.calls.codes("process").values):
        return 0, 0  # a thread a process: there are no others
    launched = trace.operations.launch[trace.operations.launch >= 0]
    of_process = int(_inside(trace, chosen, launched, Attribution.PROCESS).sum())
    return of_process - int(_inside(trace, chosen, launched, Attribution.THREAD).sum()), of_process


def _inside(trace: Trace, chosen: Int64, launched: Int64, attribution: Attribution) -> Bools:
    """Which of these launches any of the ranges counts; shape (len(launched),)."""
    inside = np.zeros(len(launched), bool)
    calls, ranges = trace.calls, trace.ranges
    for key, places in attribution.by_key(trace, chosen):
        mine, keys = getattr(calls, key)[launched], getattr(ranges, key)[chosen[places]]
        for value in np.unique(keys).tolist():
            of_key = chosen[places[keys == value]]
            filled, some = union(ranges.start[of_key], ranges.end[of_key]), np.flatnonzero(mine == value)
            if len(filled):
                around = np.searchsorted(filled.start, calls.start[launched[some]], "right") - 1
                inside[some] |= (around >= 0) & (calls.end[launched[some]] <= filled.end[around])
    return inside
