"""From captures that agree to an entry: its value, how far a later one may be off, and the bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import median, stdev

from ..judging.bootstrap import student
from .model import Bound, Entry, counted
from .observe import ITERATION, Observation, clock_hull

AGREEMENT = 0.10
"""Captures agree whose times, rates and speedups differ by no more than this share, and whose shares (`hidden(h2d, d2h)`) by
no more than half of it, as a difference. Counts agree when they are the same, and where they vary from iteration to iteration in both,
as those of a program that chooses do, when their ranges have a number in common."""

PROVISIONAL = 0.10
"""The least tolerance until `SETTLING` captures agree: how sessions differ is not known yet."""

SETTLING = 4
"""Captures whose spread says how sessions differ. Two that happen to lie close say little: where sessions spread by 2 %, 3 % of
later sessions failed a bound from two captures, each of a pair's dozen numbers anew (benchmarks/gate_statistics.py)."""

SETTLED = 0.05
"""The least tolerance once they do. A bound never lies inside what was measured: what captures are off counts twice."""

OF_WORK = 0.01
"""Counted FLOPs are those of the algorithm: the same within a per cent, or something else was run."""

Clocks = Mapping[str, float | None]
"""Capture -> median SM clock of its measured iterations, MHz."""


def entry_of(observations: Sequence[Observation], clocks: Clocks, since: str, reason: str) -> Entry | None:
    """The entry that observations of one number support, newest first; None for what cannot be bounded: a time other than an
    iteration's that no claim gives a threshold to."""
    newest = observations[0]
    measured = tuple(one.measured for one in observations)
    value = float(median(one.value for one in measured))
    reference = _reference(observations, clocks)
    found = _bound(observations, value, reference, clocks)
    if found is None:
        return None
    return Entry(
        variant=newest.variant,
        metric=newest.metric,
        tier=newest.tier,
        unit=newest.unit,
        better="" if newest.counted_each else newest.better,
        claim=newest.claim,
        value=value,
        normalised=_normalised(observations, reference, clocks),
        at_mhz=reference,
        bound=found[0],
        tolerance=found[1],
        measured=measured,
        since=since,
        reason=reason,
        history=(),
        n=counted(measured),
        captures=len(measured),
    )


def _reference(observations: Sequence[Observation], clocks: Clocks) -> float | None:
    """The clock to which iteration times are scaled; None for other numbers, or when one capture has none."""
    known = [clocks.get(one.measured.capture) for one in observations]
    wanted = [clock for clock in known if clock]
    return float(median(wanted)) if observations[0].metric == ITERATION and len(wanted) == len(known) else None


def _normalised(observations: Sequence[Observation], reference: float | None, clocks: Clocks) -> float | None:
    if reference is None:
        return None
    return float(median(o.measured.value * (clocks[o.measured.capture] or reference) / reference for o in observations))


def _bound(
    observations: Sequence[Observation], value: float, reference: float | None, clocks: Clocks
) -> tuple[Bound, float | None] | None:
    """The bound and the tolerance that it comes from."""
    newest = observations[0]
    hulls = [clock_hull(o.measured, clocks.get(o.measured.capture), reference) for o in observations]
    low, high = min(end for end, _ in hulls), max(end for _, end in hulls)
    if newest.counted_each:
        return Bound.of(low, high), None
    if newest.unit == "ns" and newest.metric != ITERATION:
        return _of_the_claim(newest)
    tolerance = _tolerance(newest.unit, [one.measured.value for one in observations], low, high)
    reach = tolerance if newest.unit == "ratio" else abs(value) * tolerance
    if not newest.better:
        return Bound.of(value - reach, value + reach), tolerance
    if newest.better == "less":
        return Bound.of(None, _not_looser(value + reach, newest, high)), tolerance
    return Bound.of(_not_looser(value - reach, newest, low), None), tolerance


def _of_the_claim(observation: Observation) -> tuple[Bound, None] | None:
    """Idle times and gaps are a few microseconds and vary by a multiple: the claim's own threshold is their bound."""
    limit = observation.threshold
    if limit is None or not observation.better:
        return None
    return (Bound.of(None, limit) if observation.better == "less" else Bound.of(limit, None)), None


def _tolerance(unit: str, values: Sequence[float], low: float, high: float) -> float:
    """Twice what the captures themselves are off, and no less than what is known of how sessions differ."""
    if unit == "FLOP":
        return OF_WORK
    value = float(median(values))
    off = max(2 * max(value - low, high - value), between_sessions(values))
    least = PROVISIONAL if len(values) < SETTLING else SETTLED
    if unit == "ratio":
        return max(least / 2, off)
    return max(least, off / abs(value)) if value else least


def between_sessions(values: Sequence[float]) -> float:
    """How far from these captures' values the next one's may lie: the 95 % prediction interval of Student's distribution, its
    half width; 0 of fewer than `SETTLING`."""
    n = len(values)
    return student(n - 1) * stdev(values) * sqrt(1 + 1 / n) if n >= SETTLING else 0.0


def _not_looser(edge: float, observation: Observation, end: float) -> float:
    """No bound is looser than the claim, and a win stays a win: but `end`, what was measured itself, always meets it."""
    limits = [observation.threshold] if observation.threshold is not None else []
    if observation.unit == "x" and observation.better == "more" and end > 1:
        limits.append(1.0)
    if observation.better == "less":
        return min([edge, *(max(limit, end) for limit in limits)])
    return max([edge, *(min(limit, end) for limit in limits)])


def disagreement(newest: Observation, older: Observation, clocks: Clocks) -> bool:
    """Whether two captures tell different stories of one number."""
    a, b = newest.measured, older.measured
    if newest.counted_each:
        both_vary = a.low < a.high and b.low < b.high
        return max(a.low, b.low) > min(a.high, b.high) if both_vary else (a.low, a.high) != (b.low, b.high)
    if newest.unit == "ns" and newest.metric != ITERATION:
        return False  # its bound is the claim's, which both captures prove
    if newest.unit == "ratio":
        return abs(a.value - b.value) > AGREEMENT / 2
    scale = 1.0
    if newest.metric == ITERATION and clocks.get(a.capture) and clocks.get(b.capture):
        scale = (clocks[a.capture] or 1) / (clocks[b.capture] or 1)
    return all(abs(b.value - mine) > AGREEMENT * abs(mine) for mine in (a.value, a.value * scale))
