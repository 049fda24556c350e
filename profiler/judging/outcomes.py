"""One claim against a number: in every iteration, in one, in a share of them, by the interval of their median, by a speedup's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from statistics import median

from ..evidence import Finding, Speedup, Verdict
from .bootstrap import LEAST_RUNS, median_interval
from .language import COMPARISONS, Claim
from .verdicts import decided

_FURTHEST = 1000.0
"""An interval that would have to be a thousand times narrower is not to be had by measuring longer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    reasons: tuple[Finding, ...] = ()


def by_speedup(claim: Claim, threshold: float, speedup: Speedup | None) -> Outcome:
    if speedup is None:
        return Outcome(Verdict.UNPROVEN, reasons=(Finding("metric_missing", {"metric": claim.left.metric}),))
    value, low, high = speedup.value, speedup.low, speedup.high
    least = min(speedup.n_baseline, speedup.n_optimized)
    if least < LEAST_RUNS:
        return Outcome(Verdict.UNPROVEN, value, low, high, (few(least),))
    outcome = _against(claim, threshold, value, low, high, least)
    if outcome.verdict is Verdict.PROVEN and _says_different(claim, threshold) and not speedup.differs:
        reason = Finding("within_noise", {"percent": round(100 * speedup.noise_floor, 2)})
        clear = 1 + speedup.noise_floor if value > 1 else 1 - speedup.noise_floor
        end = low if value > 1 else high
        more = _more(least, abs(value - end), (value - clear) * (1 if value > 1 else -1))
        return Outcome(Verdict.UNPROVEN, value, low, high, (reason, *more))
    return outcome


def _more(n: int, reach: float, gap: float) -> tuple[Finding, ...]:
    """How many more iterations would decide, at the spread seen: an interval gets narrower as 1 / sqrt(n).

    Args:
        reach: from the value to the end of its interval on the side of what it is held against.
        gap: from the value to that; where it is not above 0 no number of iterations decides.
    """
    needed = ceil(n * (reach / gap) ** 2) if gap > 0 and reach / gap < _FURTHEST else 0
    even = needed + needed % 2
    return (Finding("more_iterations", {"n": n, "needed": max(even, n + 2)}),) if needed else ()


def _says_different(claim: Claim, threshold: float) -> bool:
    """Whether a claim on a factor says that the two differ; `speedup >= 0.97` only says that nothing was lost."""
    return threshold >= 1 if claim.comparison in (">=", ">") else threshold <= 1


def by_interval(
    claim: Claim, threshold: float, values: Sequence[float], spread: tuple[float, float] = (1.0, 1.0)
) -> Outcome:
    """`spread` are factors by which both ends lie farther out, for what is not known beside the runs."""
    middle = median(values)
    low, high = (end * factor for end, factor in zip(median_interval(values), spread, strict=True))
    if len(values) < LEAST_RUNS:
        return Outcome(Verdict.UNPROVEN, middle, low, high, (few(len(values)),))
    return _against(claim, threshold, middle, low, high, len(values))


def _against(claim: Claim, threshold: float, value: float, low: float, high: float, n: int) -> Outcome:
    """Both ends of the interval on the good side: proven; both on the bad side: refuted; else it cannot be told."""
    holds = COMPARISONS[claim.comparison]
    verdict = decided(low, high, lambda end: holds(end, threshold), (threshold,))
    if verdict is Verdict.PROVEN:
        return Outcome(verdict, value, low, high)
    if verdict is Verdict.UNPROVEN:
        reason = Finding("interval_straddles", {"low": low, "high": high, "threshold": threshold})
        more = _more(n, value - low if value > threshold else high - value, abs(value - threshold))
        return Outcome(Verdict.UNPROVEN, value, low, high, (reason, *more))
    reason = Finding("contradicted", {"measured": value, "threshold": threshold})
    return Outcome(Verdict.REFUTED, value, low, high, (reason,))


def in_every_run(claim: Claim, values: Sequence[float], limits: Sequence[float]) -> Outcome:
    """Every iteration against the threshold, or against every iteration of the metric on the right."""
    holds = COMPARISONS[claim.comparison]
    broken = [(abs(v - limit), i) for i, v in enumerate(values) for limit in limits if not holds(v, limit)]
    worst = values[max(broken)[1]] if broken else min(values, key=lambda v: min(abs(v - limit) for limit in limits))
    if not broken:
        return Outcome(Verdict.PROVEN, worst)
    reason = Finding("worst_iteration", {"value": worst, "index": max(broken)[1]})
    return Outcome(Verdict.REFUTED, worst, reasons=(reason,))


def in_a_share(claim: Claim, values: Sequence[float], threshold: float) -> Outcome:
    """So large a share of the iterations against the threshold; what decides is the worst of those that must hold."""
    holds, wanted = COMPARISONS[claim.comparison], claim.share or Fraction(1)
    needed = ceil(wanted * len(values))
    decides = sorted(values, key=lambda value: _off(claim, value, threshold))[needed - 1]
    count = sum(holds(value, threshold) for value in values)
    if count >= needed:
        return Outcome(Verdict.PROVEN, decides)
    reason = Finding("too_few_hold", {"count": count, "of": len(values), "needed": needed})
    return Outcome(Verdict.REFUTED, decides, reasons=(reason,))


def _off(claim: Claim, value: float, threshold: float) -> float:
    """How far a value lies towards the side on which a claim does not hold."""
    return {">": threshold - value, "<": value - threshold}.get(claim.comparison[0], abs(value - threshold))


def in_any_run(claim: Claim, values: Sequence[float], limits: Sequence[float]) -> Outcome:
    """One iteration that holds against every limit is enough; the value shown is the one that is furthest on its side."""
    holds = COMPARISONS[claim.comparison]
    best = max(values) if claim.comparison in (">=", ">") else min(values)
    good = [value for value in values if all(holds(value, limit) for limit in limits)]
    if good:
        return Outcome(Verdict.PROVEN, best if best in good else good[0])
    reason = Finding("contradicted", {"measured": best, "threshold": limits[0]})
    return Outcome(Verdict.REFUTED, best, reasons=(reason,))


def few(n: int) -> Finding:
    return Finding("few_iterations", {"n": n, "least": LEAST_RUNS})
