"""What a process launched inside ranges, but not from the threads whose launches they count."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref
from dataclasses import dataclass

import numpy as np

from ..analysis.overlap import grouped
from ..arrays.blocks import gathered
from ..arrays.codes import Codes
from ..arrays.intervals import union
from ..arrays.types import Bools, Int64
from ..core.library import Column, Cover, Inside, core
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
    own, whole = (covers(trace, chosen, one) for one in (Attribution.THREAD, Attribution.PROCESS))
    of_threads, of_process = launched_inside(trace, own, whole)
    return of_process - of_threads, of_process


@dataclass(frozen=True, slots=True)
class Held:
    """Ranges that count the calls of their thread, or process: the key of each call, and of each range the place of its key
    among `codes.values`, its start and its end."""

    codes: Codes
    group: Int64
    start: Int64
    end: Int64


def covers(trace: Trace, chosen: Int64, attribution: Attribution) -> list[Held]:
    """By each key what these ranges count calls of; ranges whose thread or process made none are left out."""
    found = []
    for key, places in attribution.by_key(trace, chosen):
        codes, keys, ranges = trace.calls.codes(key), trace.ranges.codes(key), chosen[places]
        _, of_calls, of_ranges = np.intersect1d(codes.values, keys.values, assume_unique=True, return_indices=True)
        group_of = np.full(len(keys.values), -1)
        group_of[of_ranges] = of_calls
        group = gathered(group_of, keys.code[ranges])
        if (group < 0).any():
            ranges, group = ranges[group >= 0], group[group >= 0]
        if len(group):
            found.append(
                Held(codes, group, *(gathered(times, ranges) for times in (trace.ranges.start, trace.ranges.end)))
            )
    return found


def launched_inside(trace: Trace, own: Sequence[Held], others: Sequence[Held]) -> tuple[int, int]:
    """How many operations were launched by a call that any of `own` counts, and how many by one that any of both does."""
    calls, launch = trace.calls, trace.operations.launch
    found = _by_core(calls, launch, own, others)
    if found is not None:
        return found
    mine = np.append(_inside_any(calls, own), False)  # of no launch, -1
    any_of_both = np.append(_inside_any(calls, others), False) | mine
    return int(np.count_nonzero(mine[launch])), int(np.count_nonzero(any_of_both[launch]))


def _by_core(calls: Calls, launch: Int64, own: Sequence[Held], others: Sequence[Held]) -> tuple[int, int] | None:
    """The same in one pass over the operations by the compiled core, where it is."""
    library, held = core(), [*own, *others]
    if library is None:
        return None
    given = [np.ascontiguousarray(column) for column in (launch, calls.start, calls.end)]
    flat = [[np.ascontiguousarray(column) for column in (one.group, one.start, one.end)] for one in held]
    made = [
        Cover(len(one.codes.values), len(one.group), Column.of(one.codes.code), *(part.ctypes.data for part in parts))
        for one, parts in zip(held, flat, strict=True)
    ]
    job = Inside(len(launch), len(calls), len(held), len(own), *(column.ctypes.data for column in given))
    job.cover = (Cover * len(held))(*made)
    return None if library.aisp_inside(byref(job)) else (job.in_own, job.in_any)


def _inside_any(calls: Calls, held: Sequence[Held]) -> Bools:
    """Which calls any of these counts, group by group; shape (calls,)."""
    inside = np.zeros(len(calls), bool)
    for one in held:
        of_piece, low, high = grouped(union, one.group, len(one.codes.values), one.start, one.end)
        for number in np.unique(of_piece).tolist():
            first, last = np.searchsorted(of_piece, (number, number + 1)).tolist()
            some = np.flatnonzero(one.codes.code == number)
            around = np.searchsorted(low[first:last], calls.start[some], "right") - 1
            inside[some] |= (around >= 0) & (calls.end[some] <= high[first:last][around])
    return inside
