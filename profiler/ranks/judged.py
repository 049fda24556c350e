"""Claims on a run into verdicts: of what has bounds proven where the whole interval is good, refuted where all of it is bad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from ..evidence import ClaimResult, Finding, Iteration, VariantEvidence, Verdict
from ..judging.bootstrap import LEAST_RUNS, median_interval
from ..judging.grounds import Grounds
from ..judging.judge import judge
from ..judging.language import Claim
from ..judging.outcomes import few
from ..judging.verdicts import badness, decided
from .claims import ARRIVAL_SKEW, CLOCK_ERROR, COMM_TRANSFER, COMM_WAIT, RankClaim
from .record import Rank
from .run import Run
from .summary import clock_error

MISSING = frozenset({"ranks_trace_failed", "ranks_absent", "ranks_twice", "ranks_another_run", "ranks_of_another_run"})
"""Findings that say of a run that ranks are not there, or not of it: nothing is proven of every rank, and what is there may refute."""

_STANDS = MISSING | {"ranks_collectives_missing", "ranks_order_differs", "ranks_incomplete"}
"""With these a lower bound stays one, as long as clocks agree with all that was matched."""


@dataclass(frozen=True, slots=True)
class JudgedRanks:
    """One claim judged; `rank` is the one that decided, "" where all did together, and `ranks` how many were judged."""

    claim: ClaimResult
    rank: str
    ranks: int


@dataclass(frozen=True, slots=True)
class RanksAnswer:
    """All claims, and what stands against the run as a whole."""

    verdict: Verdict
    ranks: int
    instances: int
    findings: tuple[Finding, ...]
    claims: tuple[JudgedRanks, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """From `low` to `high`; None where nothing is known, infinity where no upper bound is."""

    low: float
    high: float


def judged(run: Run, claims: Sequence[RankClaim], name: str) -> RanksAnswer:
    """Judge claims on a run whose records hold the metrics that they ask for."""
    found = tuple(_judged(run, claim, name) for claim in claims)
    return RanksAnswer(
        verdict=Verdict.worst([one.claim.verdict for one in found]),
        ranks=len(run.ranks),
        instances=sum(one.measured.count for one in run.ranks if one.measured),
        findings=run.findings,
        claims=found,
    )


def _judged(run: Run, claim: RankClaim, name: str) -> JudgedRanks:
    if claim.of_trace is not None:
        return _of_traces(run, claim, claim.of_trace, name)
    if claim.metric == COMM_WAIT:
        return _of_waits(run, claim)
    bounds = _spread(run, claim.argument) if claim.argument else _together(run, claim.metric)
    return JudgedRanks(_by_bounds(run, claim, bounds), "", len(run.ranks))


def _of_traces(run: Run, claim: RankClaim, asked: Claim, name: str) -> JudgedRanks:
    """A claim of the language on each rank by itself, by the one engine that judges claims."""
    whole = replace(asked, text=claim.text, quantifier=asked.quantifier or ("every" if name == "trace" else ""))
    every = [(judge(whole, _grounds(one, name)), called) for one, called in zip(run.ranks, run.names, strict=True)]
    pick = max if claim.which == "every" else min
    if not every:
        nothing = ClaimResult(claim.text, asked.left.metric, name, asked.comparison, None, claim.unit, None, None, None, 0, (), Verdict.UNPROVEN, run.findings)  # fmt: skip
        return JudgedRanks(nothing, "", 0)
    result, rank = pick(every, key=lambda one: badness(one[0]))
    absent = tuple(one for one in run.findings if one.code in MISSING)
    kept = Verdict.PROVEN if claim.which == "every" else Verdict.REFUTED
    if absent and result.verdict is kept:
        result = replace(result, verdict=Verdict.UNPROVEN, reasons=absent)
    elif len(every) > 1 and result.measured is not None and result.verdict is not Verdict.PROVEN:
        worst = Finding("ranks_worst", {"rank": rank, "value": result.measured})
        result = replace(result, reasons=(worst, *result.reasons))
    return JudgedRanks(result, rank, len(every))


def _grounds(rank: Rank, name: str) -> Grounds:
    """What claims on one rank are judged on."""
    measured = rank.measured
    if measured is None:
        raise ValueError("the record of a rank holds no metrics: none were asked for")
    wanted = {text: values for text, values in measured.values.items() if len(values) == measured.count}
    iterations = tuple(
        Iteration(i, 0, 0, None, {text: values[i] for text, values in wanted.items()}) for i in range(measured.count)
    )
    blocked = {name: tuple(one.finding() for one in measured.blocked)}
    pageable = {name: tuple(one.finding() for one in measured.pageable)}
    variant = VariantEvidence(name, iterations, None, (), (), ())
    return Grounds({name: variant}, {}, blocked, pageable, ())


def _of_waits(run: Run, claim: RankClaim) -> JudgedRanks:
    joined = run.joined
    waits = zip(joined.wait_low.tolist(), joined.wait_high.tolist(), run.names, strict=True)
    every = [(_by_bounds(run, claim, Bounds(low, high)), name) for low, high, name in waits]
    if not every or not len(joined.collectives):
        nothing = (Finding("ranks_not_joined", {}),)
        return JudgedRanks(_result(run, claim, Verdict.UNPROVEN, None, nothing), "", len(every))
    pick = max if claim.which == "every" else min
    result, rank = pick(every, key=lambda one: badness(one[0]))
    if result.verdict is not Verdict.PROVEN and len(every) > 1:
        worst = Finding("ranks_worst", {"rank": rank, "value": result.measured or 0.0})
        result = replace(result, reasons=(worst, *result.reasons))
    return JudgedRanks(result, rank, len(every))


def _together(run: Run, metric: str) -> Bounds | None:
    joined = run.joined
    found = joined.collectives
    if metric == CLOCK_ERROR:
        error = clock_error(joined)
        return None if error is None else Bounds(error, error)
    if not len(found):
        return None
    if metric == COMM_TRANSFER:
        return Bounds(int(found.transfer_low.sum()), int(found.shortest.sum()))
    if metric == ARRIVAL_SKEW:
        unknown = bool((found.skew_high < 0).any())
        return Bounds(int(found.skew_low.max()), math.inf if unknown else int(found.skew_high.max()))
    raise KeyError(metric)


def _spread(run: Run, metric: str) -> Bounds | None:
    """By how much the slowest rank's value is above the fastest's; over several instances that of their medians."""
    known = [_value(rank, metric) for rank in run.ranks]
    every = [one for one in known if one is not None]
    if len(every) < len(known) or len(every) < 2:
        return None
    least, most = min(one.low for one in every), min(one.high for one in every)
    if least <= 0:
        return None
    low = max(one.low for one in every) / most - 1
    return Bounds(max(0.0, low), max(one.high for one in every) / least - 1)


def _value(rank: Rank, metric: str) -> Bounds | None:
    """A metric of one rank: exact where there is one instance, else the interval of its median, but no wider than its values."""
    measured = rank.measured
    values = measured.values.get(metric, []) if measured else []
    if measured is None or measured.blocked or not values or len(values) < measured.count:
        return None
    if len(values) == 1:
        return Bounds(values[0], values[0])
    if len(values) < LEAST_RUNS:
        return None
    low, high = median_interval(values)
    return Bounds(max(low, min(values)), min(high, max(values)))


def _by_bounds(run: Run, claim: RankClaim, bounds: Bounds | None) -> ClaimResult:
    """The verdict of an interval, as far as the run allows one."""
    if bounds is None:
        blocking = tuple(one for one in run.findings if one.blocks)
        return _result(run, claim, Verdict.UNPROVEN, None, (*blocking, _unknown(run, claim)))
    verdict = decided(bounds.low, bounds.high, claim.holds, (claim.threshold,))
    blocking = tuple(one for one in run.findings if one.blocks)
    if blocking and not (verdict is Verdict.REFUTED and _refutes(run, claim, blocking)):
        return _result(run, claim, Verdict.UNPROVEN, bounds, blocking)
    reasons: tuple[Finding, ...] = ()
    if verdict is Verdict.UNPROVEN:
        values = {"low": bounds.low, "high": bounds.high, "threshold": claim.threshold}
        reasons = (Finding("ranks_bounds_straddle", values),)
    elif verdict is Verdict.REFUTED:
        value = bounds.low if claim.comparison[0] == "<" else bounds.high
        reasons = (Finding("contradicted", {"measured": value, "threshold": claim.threshold}), *blocking)
    return _result(run, claim, verdict, bounds, reasons)


def _unknown(run: Run, claim: RankClaim) -> Finding:
    """Why a metric of all ranks together cannot be told."""
    if not claim.argument:
        return Finding("ranks_no_clock" if claim.metric == CLOCK_ERROR else "ranks_not_joined", {})
    fewest = min((one.measured.count for one in run.ranks if one.measured), default=0)
    return few(fewest) if 1 < fewest < LEAST_RUNS else Finding("metric_missing", {"metric": claim.argument})


def _refutes(run: Run, claim: RankClaim, blocking: Sequence[Finding]) -> bool:
    """Whether what is there refutes, whatever is missing: what is above an upper limit by a lower bound stays above it."""
    if claim.comparison not in ("<=", "<") or claim.metric == COMM_TRANSFER:
        return False
    return all(one.code in _STANDS for one in blocking) and run.joined.clocks_agree


def _result(
    run: Run, claim: RankClaim, verdict: Verdict, bounds: Bounds | None, reasons: tuple[Finding, ...]
) -> ClaimResult:
    low = None if bounds is None else bounds.low
    high = None if bounds is None or math.isinf(bounds.high) else bounds.high
    towards = {"<": high if high is not None else low, ">": low}.get(claim.comparison[0], median((low or 0, high or 0)))
    metric = f"{claim.metric}({claim.argument})" if claim.argument else claim.metric
    return ClaimResult(
        text=claim.text,
        metric=metric,
        variant="",
        comparison=claim.comparison,
        threshold=claim.threshold,
        unit=claim.unit,
        measured=None if bounds is None else towards,
        low=low,
        high=high,
        n=len(run.ranks),
        values=(),
        verdict=verdict,
        reasons=reasons,
    )
