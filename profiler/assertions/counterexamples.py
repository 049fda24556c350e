"""What to look up by hand for a claim: the overlaps or calls that decided it, or the stretches without any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..analysis.findable import findable
from ..analysis.longest import witnesses
from ..analysis.metrics import split
from ..analysis.overlap import busy_time, grouped
from ..analysis.selection import selected
from ..arrays.intervals import Intervals, at_least, union
from ..evidence import ClaimResult, Op, Verdict
from ..judging.limits import TIME
from ..ranges.instances import Instances
from ..ranges.numbers import CALLS, counted
from ..trace.model import Calls, Operations, Trace
from ..trace.schema import RUNTIME

MOST = 3

_OF_TWO = frozenset(("hidden", "exposed", "overlap", "overlap_efficiency"))
_OF_STREAMS = frozenset(("overlap", "overlap_ratio", "concurrency"))
_OF_GAPS = frozenset(("idle", "gap_max", "gap_median"))
_SMALL_IS_OVERLAPPED = frozenset(("exposed",))


@dataclass(frozen=True, slots=True)
class Call:
    """One CUDA API call, findable by hand: `select * from <table> where rowid = <row>`."""

    table: str
    row: int
    name: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A stretch of time in the iteration that decided: `kind` is "iteration", "overlap", "exposed", "gap" or "call"; ns.

    `operations` are those of an overlap, or the first that ran exposed; `call` is that of a "call", else None.
    """

    kind: str
    start: int
    end: int
    iteration: int
    operations: tuple[Op, ...]
    call: Call | None = None


def shown(claim: ClaimResult, instances: Mapping[str, Instances]) -> tuple[Shown, ...]:
    """The iteration that decided, and its longest overlaps, or what was exposed in it, its longest gaps, or its calls."""
    mine = instances.get(claim.variant)
    if not mine or claim.measured is None or claim.verdict not in (Verdict.PROVEN, Verdict.REFUTED):
        return ()
    index = _deciding(claim)
    start, end = (int(times[index]) for times in mine.times())
    return (Shown("iteration", start, end, index, ()), *_inside(mine, claim, index))


def _deciding(claim: ClaimResult) -> int:
    """The position of the iteration that is named as the worst, else of the one whose value is nearest to the measured."""
    for reason in claim.reasons:
        if reason.code == "worst_iteration":
            return int(reason.values["index"])
    distance = np.abs(np.asarray(claim.values, float) - float(claim.measured or 0.0))
    return int(distance.argmin())


def _inside(instances: Instances, claim: ClaimResult, index: int) -> list[Shown]:
    if claim.metric == TIME:
        return []
    (name, arguments), trace = split(claim.metric), instances.trace
    if name in CALLS:
        return _calls(instances, name, arguments, index) if claim.verdict is Verdict.REFUTED else []
    every = instances.operations(index)
    if name in _OF_GAPS:
        gaps = busy_time(every).gaps
        return [Shown("gap", start, end, index, ()) for start, end in _longest(gaps)]
    if name in _OF_TWO and len(arguments) == 2:
        a, b = (every.take(selected(every, trace.strings, selector)) for selector in arguments)
        return _overlaps(trace, a, b, index) if _by_overlap(claim) else _exposed(trace, a, b, index)
    if name in _OF_STREAMS and not arguments:
        return _overlaps(trace, every, every, index) if _by_overlap(claim) else _alone(trace, every, index)
    return []


def _by_overlap(claim: ClaimResult) -> bool:
    """Whether overlaps, rather than their absence, make the claim hold or break it."""
    if claim.comparison == "==":
        much = (claim.measured or 0.0) >= (claim.threshold or 0.0)
        return much is (split(claim.metric)[0] not in _SMALL_IS_OVERLAPPED)
    asks_for_much = (claim.comparison[0] == ">") is (split(claim.metric)[0] not in _SMALL_IS_OVERLAPPED)
    return asks_for_much is (claim.verdict is Verdict.PROVEN)


def _overlaps(trace: Trace, a: Operations, b: Operations, index: int) -> list[Shown]:
    overlaps: dict[frozenset[Op], Shown] = {}
    for i, j in witnesses(a, b, 2 * MOST):  # in a set against itself every pair is found from both sides
        one, two = findable(trace, a, i), findable(trace, b, j)
        times = max(one.start, two.start), min(one.end, two.end)
        overlaps.setdefault(frozenset((one, two)), Shown("overlap", *times, index, (one, two)))
    return list(overlaps.values())[:MOST]


def _exposed(trace: Trace, a: Operations, b: Operations, index: int) -> list[Shown]:
    """Where operations of the first class ran and none of the second."""
    alone = busy_time(a) - busy_time(b)
    return [Shown("exposed", start, end, index, _running(trace, a, start)) for start, end in _longest(alone)]


def _alone(trace: Trace, operations: Operations, index: int) -> list[Shown]:
    """Where one stream alone was at work."""
    lanes = operations.lanes()
    _, start, end = grouped(union, lanes, int(lanes.max()) + 1, operations.start, operations.end)
    alone = busy_time(operations) - at_least(start, end, 2)
    return [Shown("exposed", low, high, index, _running(trace, operations, low)) for low, high in _longest(alone)]


def _calls(instances: Instances, name: str, arguments: tuple[str, ...], index: int) -> list[Shown]:
    """The longest of the calls that are counted."""
    trace, every = instances.trace, instances.calls(index)
    calls = every.take(counted(every, trace.strings, name, arguments))
    return [
        Shown("call", int(calls.start[i]), int(calls.end[i]), index, (), _call(trace, calls, int(i)))
        for i in np.argsort(calls.start - calls.end, kind="stable")[:MOST]
    ]


def _call(trace: Trace, calls: Calls, i: int) -> Call:
    return Call(trace.schema.called(RUNTIME), int(calls.row[i]), trace.text(int(calls.name[i])))


def _longest(pieces: Intervals) -> list[tuple[int, int]]:
    order = np.argsort(pieces.start - pieces.end, kind="stable")[:MOST]
    return [(int(pieces.start[i]), int(pieces.end[i])) for i in order]


def _running(trace: Trace, operations: Operations, at: int) -> tuple[Op, ...]:
    running = np.flatnonzero((operations.start <= at) & (operations.end > at))
    return tuple(findable(trace, operations, int(i)) for i in running[:1])
