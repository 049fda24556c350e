"""Work that ranges hold and do not count, for it was launched from another thread of their process: PyTorch's backward is."""

from __future__ import annotations

import numpy as np

from ..arrays.intervals import union
from ..arrays.types import Bools, Int64
from ..ranges.attribution import Attribution
from ..trace.model import Trace
from .ranges import chosen_ranges

LEAST = 0.1
"""The share of what a process launched inside its ranges from which on a reader is told."""


def other_threads(trace: Trace, name: str, attribution: str, domain: str | None = None) -> list[str]:
    """A sentence where much of what a process launched inside ranges of this name came from threads that they do not count.

    Args:
        name, domain: as `chosen_ranges` takes them.
    """
    chosen = chosen_ranges(trace, domain, name)
    if attribution != Attribution.THREAD or not len(chosen):
        return []
    launched = trace.operations.launch[trace.operations.launch >= 0]
    of_process = int(_inside(trace, chosen, launched, Attribution.PROCESS).sum())
    of_others = of_process - int(_inside(trace, chosen, launched, Attribution.THREAD).sum())
    if of_others <= LEAST * of_process:
        return []
    seen = f"of {of_process:,} operations that were launched inside ranges called {name!r} {of_others:,} came from other threads"
    why = "of their process, as PyTorch's backward does, and are not counted: --attribution process counts them"
    return [f"{seen} {why}"]


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
