"""From a claim and the measured iterations to a verdict: proven, refuted, or what is missing to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from ..analysis.affected import touches
from ..analysis.metrics import classes_of, is_lower_bound, of_copies_beside_others
from ..evidence import ClaimResult, Finding, Speedup, Verdict
from .bootstrap import LEAST_RUNS, autocorrelation, effective_runs, median_interval
from .grounds import Grounds
from .language import COMPARISONS, Claim, Term
from .rate_metrics import RATE_METRICS, rate_obstacles
from .verdicts import decided

_WHOLE_GRAPHS = "graph_level_tracing"
_FURTHEST = 1000.0
"""An interval that would have to be a thousand times narrower is not to be had by measuring longer."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    verdict: Verdict
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    reasons: tuple[Finding, ...] = ()


def judge(claim: Claim, grounds: Grounds) -> ClaimResult:
    """Decide one claim.

    Counts and shares must hold in every iteration; times, rates and the speedup by their 95 % interval. An interval on
    both sides of the threshold is UNPROVEN, not rounded to either side, and says how many more iterations would decide.
    """
    values = grounds.values(claim.left)
    limits = _limits(claim, grounds)
    reasons = _obstacles(claim, grounds)
    if grounds.invalid:
        outcome = _Outcome(Verdict.INVALID, reasons=grounds.invalid)
    elif reasons:
        outcome = _already_broken(claim, values, reasons) or _Outcome(Verdict.UNPROVEN, reasons=reasons)
    elif claim.left.compared:
        outcome = _by_speedup(claim, limits, grounds.speedups[claim.left.compared])
    elif _missing(values, claim.left, grounds) or not limits:
        outcome = _Outcome(Verdict.UNPROVEN, reasons=(Finding("metric_missing", {"metric": claim.left.metric}),))
    elif claim.quantifier == "any":
        outcome = _in_any_run(claim, values, sorted(set(limits)))
    elif of_the_median(claim):
        outcome = _by_interval(claim, limits[0], values)
    else:
        outcome = _in_every_run(claim, values, sorted(set(limits)))
    return _result(claim, median(limits) if limits else None, values, _n(claim.left, values, grounds), outcome)


def _n(term: Term, values: Sequence[float], grounds: Grounds) -> int:
    """How many values decided; for a speedup how many runs the variant with fewer has."""
    if term.compared is None:
        return len(values)
    speedup = grounds.speedups[term.compared]
    return min(speedup.n_baseline, speedup.n_optimized) if speedup else 0


def _result(claim: Claim, threshold: float | None, values: Sequence[float], n: int, outcome: _Outcome) -> ClaimResult:
    in_a_row = bool(values) and outcome.low is not None
    return ClaimResult(
        text=claim.text,
        metric=claim.left.metric,
        variant=claim.left.variant,
        comparison=claim.comparison,
        threshold=threshold,
        unit=claim.left.unit,
        measured=outcome.measured,
        low=outcome.low,
        high=outcome.high,
        n=n,
        values=tuple(values),
        verdict=outcome.verdict,
        reasons=outcome.reasons,
        autocorrelation=autocorrelation(values) if in_a_row else None,
        effective_n=effective_runs(values) if in_a_row else None,
    )


def _missing(values: Sequence[float], term: Term, grounds: Grounds) -> bool:
    """An iteration in which the metric is not defined cannot support a claim about every iteration."""
    if term.metric in RATE_METRICS:
        return not values
    return not values or len(values) < len(grounds.variants[term.variant].iterations)


def _limits(claim: Claim, grounds: Grounds) -> list[float]:
    """What to compare with: the number on the right, or every value of the metric there; empty where it has none."""
    return grounds.values(claim.right) if isinstance(claim.right, Term) else [claim.right]


def _obstacles(claim: Claim, grounds: Grounds) -> tuple[Finding, ...]:
    found: dict[str, Finding] = {}
    for term in claim.terms:
        found |= {f.code: f for f in grounds.order.get(term.compared, ())} if term.compared else {}
        for variant in term.names:
            found |= {f.code: f for f in grounds.blocked[variant] if _concerns(f, term)}
            if term.metric in RATE_METRICS:
                found |= {f.code: f for f in rate_obstacles(grounds.rates.get(variant), term.metric)}
            elif not term.compared and of_copies_beside_others(term.metric):
                found |= {f.code: f for f in grounds.copies_blocked[variant]}
    return tuple(found.values())


def _concerns(finding: Finding, term: Term) -> bool:
    """A fault of some classes of operations leaves alone what is said of others; a speedup and a rate speak of all."""
    return bool(term.compared) or term.metric in RATE_METRICS or touches(finding, classes_of(term.metric))


def _by_speedup(claim: Claim, limits: Sequence[float], speedup: Speedup | None) -> _Outcome:
    if speedup is None or not limits:
        return _Outcome(Verdict.UNPROVEN, reasons=(Finding("metric_missing", {"metric": claim.left.metric}),))
    value, low, high = speedup.value, speedup.low, speedup.high
    least = min(speedup.n_baseline, speedup.n_optimized)
    if least < LEAST_RUNS:
        return _Outcome(Verdict.UNPROVEN, value, low, high, (_few(least),))
    outcome = _against(claim, limits[0], value, low, high, least)
    if outcome.verdict is Verdict.PROVEN and _says_different(claim, limits[0]) and not speedup.differs:
        reason = Finding("within_noise", {"percent": round(100 * speedup.noise_floor, 2)})
        clear = 1 + speedup.noise_floor if value > 1 else 1 - speedup.noise_floor
        end = low if value > 1 else high
        more = _more(least, abs(value - end), (value - clear) * (1 if value > 1 else -1))
        return _Outcome(Verdict.UNPROVEN, value, low, high, (reason, *more))
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


def _by_interval(claim: Claim, threshold: float, values: Sequence[float]) -> _Outcome:
    middle = median(values)
    low, high = median_interval(values)
    if len(values) < LEAST_RUNS:
        return _Outcome(Verdict.UNPROVEN, middle, low, high, (_few(len(values)),))
    return _against(claim, threshold, middle, low, high, len(values))


def _against(claim: Claim, threshold: float, value: float, low: float, high: float, n: int) -> _Outcome:
    """Both ends of the interval on the good side: proven; both on the bad side: refuted; else it cannot be told."""
    holds = COMPARISONS[claim.comparison]
    verdict = decided(low, high, lambda end: holds(end, threshold), (threshold,))
    if verdict is Verdict.PROVEN:
        return _Outcome(verdict, value, low, high)
    if verdict is Verdict.UNPROVEN:
        reason = Finding("interval_straddles", {"low": low, "high": high, "threshold": threshold})
        more = _more(n, value - low if value > threshold else high - value, abs(value - threshold))
        return _Outcome(Verdict.UNPROVEN, value, low, high, (reason, *more))
    reason = Finding("contradicted", {"measured": value, "threshold": threshold})
    return _Outcome(Verdict.REFUTED, value, low, high, (reason,))


def _in_every_run(claim: Claim, values: Sequence[float], limits: Sequence[float]) -> _Outcome:
    """Every iteration against the threshold, or against every iteration of the metric on the right."""
    holds = COMPARISONS[claim.comparison]
    broken = [(abs(v - limit), i) for i, v in enumerate(values) for limit in limits if not holds(v, limit)]
    worst = values[max(broken)[1]] if broken else min(values, key=lambda v: min(abs(v - limit) for limit in limits))
    if not broken:
        return _Outcome(Verdict.PROVEN, worst)
    reason = Finding("worst_iteration", {"value": worst, "index": max(broken)[1]})
    return _Outcome(Verdict.REFUTED, worst, reasons=(reason,))


RECORDS_MISSING = frozenset(
    [
        *("unattested", "events_missing", "nvtx_events_missing", "may_be_missing"),
        *("launch_without_operation", "operation_without_launch", "cut_by_window"),
        *("device_without_operations", "no_cuda_activity", "filtered_export", _WHOLE_GRAPHS),
        *("zero_timestamps", "reversed_times", "absurd_times", "missing_values"),
    ]
)
"""Findings that say of a trace that rows may be missing, and nothing else. None of those is here by which rows may be too many
or in the wrong place: more events than are stated, crossing or open ranges, a schema or an error that nobody knows."""


def _already_broken(claim: Claim, values: Sequence[float], obstacles: Sequence[Finding]) -> _Outcome | None:
    """A refutation needs no complete trace: a number above its upper limit stays above it, whatever is missing.

    Only where the claim is one on every iteration: of those that are missing nobody knows the median, or whether one holds.
    """
    codes = {finding.code for finding in obstacles}
    limit, metric, holds = claim.right, claim.left.metric, COMPARISONS[claim.comparison]
    if isinstance(limit, Term) or metric in RATE_METRICS or claim.left.compared or not codes <= RECORDS_MISSING:
        return None
    of_every = claim.quantifier != "any" and not of_the_median(claim)
    if not of_every or claim.comparison in (">=", ">") or not is_lower_bound(metric, _WHOLE_GRAPHS in codes):
        return None
    broken = [value for value in values if value >= limit and not holds(value, limit)]
    if not broken:
        return None
    reason = Finding("worst_iteration", {"value": max(broken), "index": values.index(max(broken))})
    return _Outcome(Verdict.REFUTED, max(broken), reasons=(reason, Finding("lower_bound", {}), *obstacles))


def of_the_median(claim: Claim) -> bool:
    """Whether a claim is about the median over the iterations, by its interval, rather than about each of them."""
    if claim.quantifier:
        return claim.quantifier == "median"
    return claim.left.by_interval and not isinstance(claim.right, Term)


def _in_any_run(claim: Claim, values: Sequence[float], limits: Sequence[float]) -> _Outcome:
    """One iteration that holds against every limit is enough; the value shown is the one that is furthest on its side."""
    holds = COMPARISONS[claim.comparison]
    best = max(values) if claim.comparison in (">=", ">") else min(values)
    good = [value for value in values if all(holds(value, limit) for limit in limits)]
    if good:
        return _Outcome(Verdict.PROVEN, best if best in good else good[0])
    reason = Finding("contradicted", {"measured": best, "threshold": limits[0]})
    return _Outcome(Verdict.REFUTED, best, reasons=(reason,))


def _few(n: int) -> Finding:
    return Finding("few_iterations", {"n": n, "least": LEAST_RUNS})
