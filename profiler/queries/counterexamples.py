"""What to look up by hand for a claim: the overlaps that make it true, or the stretches that break it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..analysis.intervals import Intervals
from ..analysis.metrics import Scope, split
from ..analysis.overlap import busy_time, witnesses
from ..evidence import ClaimResult, Op, Verdict
from ..proof.measured import Measured, Run
from ..trace.model import Operations, Trace
from .witnesses import op

MOST = 3

_OF_TWO = frozenset(("hidden", "exposed", "overlap", "overlap_efficiency"))
_OF_GAPS = frozenset(("idle", "gap_max", "gap_median"))


@dataclass(frozen=True, slots=True)
class Shown:
    """A stretch of time in the iteration that decided: `kind` is "iteration", "overlap", "exposed" or "gap"; ns."""

    kind: str
    start: int
    end: int
    iteration: int
    operations: tuple[Op, ...]


def shown(trace: Trace, claim: ClaimResult, measured: Mapping[str, Measured]) -> tuple[Shown, ...]:
    """The iteration that decided, and its longest overlaps, or what was exposed in it, or its longest gaps."""
    runs = measured[claim.variant].runs if claim.variant else ()
    if not runs or claim.measured is None or claim.verdict not in (Verdict.PROVEN, Verdict.REFUTED):
        return ()
    index = _deciding(claim)
    run = runs[index]
    return (Shown("iteration", run.start, run.end, index, ()), *_inside(trace, claim, run, index))


def _deciding(claim: ClaimResult) -> int:
    """The position of the iteration whose value was the measured one, or is nearest to it where that is a median."""
    distance = np.abs(np.asarray(claim.values, float) - float(claim.measured or 0.0))
    return int(distance.argmin())


def _inside(trace: Trace, claim: ClaimResult, run: Run, index: int) -> list[Shown]:
    name, arguments = split(claim.metric)
    if name in _OF_GAPS:
        gaps = busy_time(run.scope.operations).gaps
        return [Shown("gap", start, end, index, ()) for start, end in _longest(gaps)]
    if name not in _OF_TWO or len(arguments) != 2:
        return []
    if claim.verdict is Verdict.PROVEN:
        return _overlaps(trace, run.scope, arguments, index)
    return _exposed(trace, run.scope, arguments, index)


def _overlaps(trace: Trace, scope: Scope, classes: tuple[str, ...], index: int) -> list[Shown]:
    a, b = (scope.of(name) for name in classes)
    found = []
    for i, j in witnesses(a, b, MOST):
        one, two = op(trace, a, i), op(trace, b, j)
        found.append(Shown("overlap", max(one.start, two.start), min(one.end, two.end), index, (one, two)))
    return found


def _exposed(trace: Trace, scope: Scope, classes: tuple[str, ...], index: int) -> list[Shown]:
    """Where operations of the first class ran and none of the second."""
    a, b = (scope.of(name) for name in classes)
    alone = busy_time(a) - busy_time(b)
    return [Shown("exposed", start, end, index, _running(trace, a, start)) for start, end in _longest(alone)]


def _longest(pieces: Intervals) -> list[tuple[int, int]]:
    order = np.argsort(pieces.start - pieces.end, kind="stable")[:MOST]
    return [(int(pieces.start[i]), int(pieces.end[i])) for i in order]


def _running(trace: Trace, operations: Operations, at: int) -> tuple[Op, ...]:
    found = np.flatnonzero((operations.start <= at) & (operations.end > at))
    return tuple(op(trace, operations, int(i)) for i in found[:1])
