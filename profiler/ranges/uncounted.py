"""What a process launched inside ranges, but not from the threads whose launches they count."""

from __future__ import annotations

from ctypes import byref

import numpy as np

from ..analysis.overlap import grouped
from ..arrays.codes import Codes
from ..arrays.intervals import union
from ..arrays.types import Bools, Int64
from ..core.library import Column, Inside, core
from ..trace.model import Calls, Trace
from .attribution import Attribution

LEAST = 0.1
"""The share of what a process launched inside its ranges from which on a reader is told."""


def has_others(trace: Trace, attribution: Attribution) -> bool:
    """Whether there are threads whose launches ranges of another thread do not count."""
    calls = trace.calls
    return attribution is Attribution.THREAD and len(calls.codes("thread").values) > len(calls.codes("process").values)


def uncounted(trace: Trace, chosen: Int64, attribution: Attribution) -> tuple[int, int]:
    """How many operations other threads of the process launched inside these ranges (row indices), which do not count them, and how
    many the whole process launched there; 0 of 0 where every thread counts."""
    if not len(chosen) or not has_others(trace, attribution):
        return 0, 0
    of_process, of_threads = (launched_inside(trace, chosen, one) for one in (Attribution.PROCESS, Attribution.THREAD))
    return of_process - of_threads, of_process


def launched_inside(trace: Trace, chosen: Int64, attribution: Attribution) -> int:
    """How many operations were launched by a call that any of these ranges counts."""
    inside = np.append(calls_inside_any(trace, chosen, attribution), False)  # of no launch, -1
    return int(np.count_nonzero(inside[trace.operations.launch]))


def calls_inside_any(trace: Trace, chosen: Int64, attribution: Attribution) -> Bools:
    """Which calls any of the ranges counts; shape (calls,)."""
    inside: Bools | None = None
    for key, places in attribution.by_key(trace, chosen):
        codes, ranges = trace.calls.codes(key), chosen[places]
        keys = getattr(trace.ranges, key)[ranges]
        group = np.minimum(np.searchsorted(codes.values, keys), max(len(codes.values) - 1, 0))
        calling = codes.values[group] == keys if len(codes.values) else np.zeros(len(keys), bool)
        if not calling.any():
            continue
        group, ranges = group[calling], ranges[calling]
        held = group, trace.ranges.start[ranges], trace.ranges.end[ranges]
        mine = _by_core(trace.calls, codes, *held)
        mine = _by_group(trace.calls, codes, *held) if mine is None else mine
        inside = mine if inside is None else inside | mine
    return np.zeros(len(trace.calls), bool) if inside is None else inside


def _by_core(calls: Calls, codes: Codes, group: Int64, start: Int64, end: Int64) -> Bools | None:
    """Which calls the time covers that the ranges of their group do, by the compiled core, where it is."""
    library = core()
    if library is None:
        return None
    inside = np.empty(len(calls), bool)
    given = [np.ascontiguousarray(column) for column in (calls.start, calls.end, group, start, end)]
    job = Inside(len(calls), len(codes.values), len(group), group=Column.of(codes.code))
    job.start, job.end, job.of, job.first, job.last = (column.ctypes.data for column in given)
    job.inside = inside.ctypes.data
    return None if library.aisp_inside(byref(job)) else inside


def _by_group(calls: Calls, codes: Codes, group: Int64, start: Int64, end: Int64) -> Bools:
    """The same group by group."""
    inside = np.zeros(len(calls), bool)
    of_piece, low, high = grouped(union, group, len(codes.values), start, end)
    for number in np.unique(of_piece).tolist():
        first, last = np.searchsorted(of_piece, (number, number + 1)).tolist()
        some = np.flatnonzero(codes.code == number)
        around = np.searchsorted(low[first:last], calls.start[some], "right") - 1
        inside[some] = (around >= 0) & (calls.end[some] <= high[first:last][around])
    return inside
