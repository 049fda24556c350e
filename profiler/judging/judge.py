"""From a claim and the measured iterations to a verdict: proven, refuted, or what is missing to tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from ..analysis.affected import touches
from ..analysis.metrics import classes_of, is_lower_bound, of_copies_beside_others
from ..evidence import ClaimResult, Finding, Verdict
from .bootstrap import LEAST_RUNS, autocorrelation, effective_runs
from .grounds import Grounds
from .language import COMPARISONS, Claim
from .limits import Estimate
from .outcomes import Outcome, by_interval, by_speedup, few, in_a_share, in_any_run, in_every_run
from .terms import Term

_WHOLE_GRAPHS = "graph_level_tracing"


def judge(claim: Claim, grounds: Grounds) -> ClaimResult:
    """Decide one claim.

    Counts and shares must hold in every iteration; times, rates, what is of the span and the speedup by their 95 % interval. An
    interval on both sides of the threshold is UNPROVEN, not rounded to either side, and says how many more iterations would
    decide. What was measured on the right has an interval too: a claim holds, or fails, at both of its ends or not at all.
    """
    values = grounds.values(claim.left)
    reasons = _obstacles(claim, grounds)
    limit, each = _limit(claim, grounds), _limits(claim, grounds)
    if grounds.invalid:
        outcome = Outcome(Verdict.INVALID, reasons=grounds.invalid)
    elif reasons:
        outcome = _already_broken(claim, values, reasons) or Outcome(Verdict.UNPROVEN, reasons=reasons)
    elif not (limit or each) or _missing(values, claim.left, grounds):
        outcome = Outcome(Verdict.UNPROVEN, reasons=(_unknown(claim, values, grounds),))
    elif limit is None:
        outcome = (in_any_run if claim.quantifier == "any" else in_every_run)(claim, values, sorted(set(each)))
    else:
        outcome = _at_both_ends(claim, limit, _judged_by(claim, values, grounds))
    threshold = limit or (Estimate.exactly(median(each)) if each else None)
    return _result(claim, threshold, values, _n(claim.left, values, grounds), outcome)


def _judged_by(claim: Claim, values: Sequence[float], grounds: Grounds) -> Callable[[float], Outcome]:
    """How a claim is judged against a number."""
    if claim.left.compared:
        speedup = grounds.speedups[claim.left.compared]
        if grounds.apart is not None:
            return lambda threshold: _of_two_sessions(by_speedup(claim, threshold, speedup))
        return lambda threshold: by_speedup(claim, threshold, speedup)
    if claim.quantifier == "any":
        return lambda threshold: in_any_run(claim, values, [threshold])
    if claim.share is not None:
        return lambda threshold: in_a_share(claim, values, threshold)
    if of_the_median(claim):
        spread = grounds.spread_of_floor(claim.left)
        return lambda threshold: by_interval(claim, threshold, values, spread)
    return lambda threshold: in_every_run(claim, values, [threshold])


def _of_two_sessions(outcome: Outcome) -> Outcome:
    """No number of iterations narrows what moves from one session to the next."""
    return replace(outcome, reasons=tuple(one for one in outcome.reasons if one.code != "more_iterations"))


def _at_both_ends(claim: Claim, limit: Estimate, judged: Callable[[float], Outcome]) -> Outcome:
    """Against what has an interval itself: the verdict that both of its ends give, none where they differ.

    Of two 95 % intervals that lie apart either misses what it should hold in 2.5 % on that side: a false verdict comes in 5 % at most,
    and far less often where both have a spread, as then both must miss at once.
    """
    at_value = judged(limit.value)
    if limit.known:
        return at_value
    at_low, at_high = judged(limit.low), judged(limit.high)
    inside = (
        at_value.low is not None
        and at_value.high is not None
        and limit.low < at_value.low <= at_value.high < limit.high
    )
    if at_low.verdict is at_high.verdict is at_value.verdict and not inside:
        return at_value
    ends = {"limit_low": limit.low, "limit_high": limit.high}
    low, high = at_value.low, at_value.high
    own = {} if low is None or high is None else {"low": low, "high": high}
    reason = Finding("limit_uncertain", {**own, **ends} if own else {"measured": at_value.measured or 0.0, **ends})
    return replace(at_value, verdict=Verdict.UNPROVEN, reasons=(reason,))


def _unknown(claim: Claim, values: Sequence[float], grounds: Grounds) -> Finding:
    """Why a claim has nothing to be judged on although nothing speaks against its trace."""
    right = claim.right
    if claim.left.compared and 0 < (least := min(map(grounds.runs, claim.left.compared))) < LEAST_RUNS:
        return few(least)
    if isinstance(right, Term) and right.variant and 0 < (n := len(grounds.values(right))) < LEAST_RUNS:
        return few(n)
    return Finding("metric_missing", {"metric": claim.left.metric})


def _n(term: Term, values: Sequence[float], grounds: Grounds) -> int:
    """How many values decided; for a speedup how many runs the variant with fewer has."""
    if term.compared is None:
        return len(values)
    speedup = grounds.speedups[term.compared]
    return min(speedup.n_baseline, speedup.n_optimized) if speedup else 0


def _result(claim: Claim, threshold: Estimate | None, values: Sequence[float], n: int, outcome: Outcome) -> ClaimResult:
    in_a_row = bool(values) and outcome.low is not None
    spread = threshold is not None and not threshold.known
    return ClaimResult(
        text=claim.text,
        metric=claim.left.metric,
        variant=claim.left.variant,
        comparison=claim.comparison,
        threshold=None if threshold is None else threshold.value,
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
        threshold_low=threshold.low if threshold and spread else None,
        threshold_high=threshold.high if threshold and spread else None,
    )


def _missing(values: Sequence[float], term: Term, grounds: Grounds) -> bool:
    """An iteration in which the metric is not defined cannot support a claim about every iteration."""
    if term.compared:
        return grounds.speedups[term.compared] is None
    if not term.of_trace:
        return not values
    return not values or len(values) < len(grounds.variants[term.variant].iterations)


def _limit(claim: Claim, grounds: Grounds) -> Estimate | None:
    """What all iterations are held against; None where each value of the metric on the right is a limit of its own, or nothing
    can be told of it."""
    right = claim.right
    if not isinstance(right, Term):
        return Estimate.exactly(right)
    if not (right.fixed or claim.left.compared or of_the_median(claim)):
        return None
    found = grounds.estimate(right)
    return None if found is None else found.times(claim.factor or 1.0)


def _limits(claim: Claim, grounds: Grounds) -> list[float]:
    """The values of the metric on the right, where each iteration is held against each of them."""
    right = claim.right
    if not isinstance(right, Term) or right.fixed or claim.left.compared or of_the_median(claim):
        return []
    return [value * (claim.factor or 1.0) for value in grounds.values(right)]


def _obstacles(claim: Claim, grounds: Grounds) -> tuple[Finding, ...]:
    found: dict[str, Finding] = {}
    for term in claim.terms:
        found |= {f.code: f for f in grounds.order.get(term.compared, ())} if term.compared else {}
        for variant in term.names:
            found |= {f.code: f for f in grounds.blocked[variant] if _concerns(f, term)}
            if term.of_trace and of_copies_beside_others(term.metric):
                found |= {f.code: f for f in grounds.copies_blocked[variant]}
        found |= {f.code: f for f in grounds.lacking(term)}
    if grounds.apart is not None and _times_of_both(claim):
        found["times_of_both"] = Finding("times_of_both", {})
    return tuple(found.values())


def _times_of_both(claim: Claim) -> bool:
    """Whether a time or a rate of the one variant is held against one of the other."""
    left, right = claim.left, claim.right
    return isinstance(right, Term) and left.unit in ("ns", "B/s") and bool({*right.names} - {*left.names})


def _concerns(finding: Finding, term: Term) -> bool:
    """A fault of some classes of operations leaves alone what is said of others; times, a speedup and a rate speak of all."""
    return not term.of_trace or touches(finding, classes_of(term.metric))


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


def _already_broken(claim: Claim, values: Sequence[float], obstacles: Sequence[Finding]) -> Outcome | None:
    """A refutation needs no complete trace: a number above its upper limit stays above it, whatever is missing.

    Only where the claim is one on every iteration: of those that are missing nobody knows the median, or whether one holds.
    """
    codes = {finding.code for finding in obstacles}
    limit, metric, holds = claim.right, claim.left.metric, COMPARISONS[claim.comparison]
    if isinstance(limit, Term) or not claim.left.of_trace or not codes <= RECORDS_MISSING:
        return None
    of_every = claim.quantifier not in ("any", "share") and not of_the_median(claim)
    if not of_every or claim.comparison in (">=", ">") or not is_lower_bound(metric, _WHOLE_GRAPHS in codes):
        return None
    broken = [value for value in values if value >= limit and not holds(value, limit)]
    if not broken:
        return None
    reason = Finding("worst_iteration", {"value": max(broken), "index": values.index(max(broken))})
    return Outcome(Verdict.REFUTED, max(broken), reasons=(reason, Finding("lower_bound", {}), *obstacles))


def of_the_median(claim: Claim) -> bool:
    """Whether a claim is about the median over the iterations, by its interval, rather than about each of them."""
    if claim.quantifier:
        return claim.quantifier == "median"
    right = claim.right
    return claim.left.by_interval and (not isinstance(right, Term) or right.fixed or claim.factor is not None)
