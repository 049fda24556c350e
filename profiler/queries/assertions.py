"""`assert`: claims on the ranges of any trace, or on the whole of it, judged as those of a pair are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import UsageError
from ..analysis.completeness import attest
from ..evidence import ClaimResult, Completeness, VariantEvidence, Verdict
from ..proof import conduct
from ..proof.claims import Claim, Term, parse
from ..proof.compare import speedup_of
from ..proof.judge import Grounds, judge
from ..proof.measured import Measured, gpus_of, numbers_of, on_gpu, runs_of, whole_trace
from ..proof.prove import blocked_by
from ..proof.rate_metrics import RATE_METRICS
from ..trace.columns import Int64
from ..trace.model import Trace
from .counterexamples import Shown, shown
from .ranges import check_attribution, chosen_ranges

WHOLE = "trace"
"""What a claim is about where no range is named."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asserted.

    claims       in the claim language of docs/metrics.md, where the named ranges stand for variants
    ranges       name -> glob of range names; every instance of a range is an iteration. Empty: the whole trace is one
    domain       a domain or glob of domains; None for all
    attribution  "thread", or "process" for the launches of every thread of the process inside a range
    """

    claims: tuple[str, ...]
    ranges: Mapping[str, str]
    domain: str | None = None
    attribution: str = "thread"

    def parsed(self) -> tuple[Claim, ...]:
        """The claims, read.

        Raises:
            UsageError: one cannot be read, or there is none; rates need counters, which a trace does not hold.
        """
        if not self.claims:
            raise UsageError("nothing is asserted", "give a claim: aisp-prof assert TRACE 'hidden(copy) >= 0.8'")
        names = tuple(self.ranges) or (WHOLE,)
        claims = tuple(parse(text, names, names[0] if len(names) == 1 else "") for text in self.claims)
        for claim in claims:
            if counted := {term.metric for term in _terms(claim)} & set(RATE_METRICS):
                raise UsageError(f"claim {claim.text!r}: a trace holds no counters for {', '.join(counted)}")
        return claims


@dataclass(frozen=True, slots=True)
class Checked:
    """One claim judged, and what can be looked up by hand: why it holds, or what breaks it."""

    claim: ClaimResult
    gpu: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """All claims, each on the GPU where it fares worst; `instances` says how many ranges of each name were judged."""

    verdict: Verdict
    completeness: Completeness
    attribution: str
    instances: Mapping[str, int]
    claims: tuple[Checked, ...]


def check(trace: Trace, question: Question) -> Answer:
    """Judge the claims of `question` on a trace.

    Raises:
        UsageError: a claim cannot be read, or no such attribution.
    """
    check_attribution(question.attribution)
    claims = question.parsed()
    completeness = attest(trace)
    measured = _measured(trace, question)
    gpus = gpus_of(measured.values())
    each = [(str(gpu), {name: on_gpu(one, gpu) for name, one in measured.items()}) for gpu in gpus]
    results = [_judged(trace, completeness, claims, runs, _name(trace, int(gpu))) for gpu, runs in each]
    if not results:
        results = [_judged(trace, completeness, claims, measured, "")]
    order = list(Verdict)
    worst = tuple(max(of_all, key=lambda one: order.index(one.claim.verdict)) for of_all in zip(*results, strict=True))
    return Answer(
        verdict=Verdict.worst([one.claim.verdict for one in worst]),
        completeness=completeness,
        attribution=question.attribution,
        instances={name: len(one.runs) for name, one in measured.items()},
        claims=worst,
    )


def _name(trace: Trace, gpu: int) -> str:
    return trace.gpus[gpu].uuid or f"device {trace.gpus[gpu].device}"


def _measured(trace: Trace, question: Question) -> dict[str, Measured]:
    if not question.ranges:
        return {WHOLE: whole_trace(trace, WHOLE)}
    return {
        name: runs_of(trace, _by_time(trace, question.domain, glob), name, glob, question.attribution == "process")
        for name, glob in question.ranges.items()
    }


def _by_time(trace: Trace, domain: str | None, glob: str) -> Int64:
    chosen = chosen_ranges(trace, domain, glob)
    return chosen[np.argsort(trace.ranges.start[chosen], kind="stable")]


def _judged(
    trace: Trace, completeness: Completeness, claims: Sequence[Claim], measured: Mapping[str, Measured], gpu: str
) -> list[Checked]:
    variants = {name: _evidence(trace, one, claims) for name, one in measured.items()}
    blocked = blocked_by(completeness, measured)
    compared = {term.compared for claim in claims for term in _terms(claim) if term.compared}
    speedups = {(a, b): speedup_of(variants[a], variants[b], "trace") for a, b in compared}
    pageable = {name: conduct.pageable(one) for name, one in measured.items()}
    grounds = Grounds(variants, speedups, blocked, pageable, ())
    whole = len(measured) == 1 and WHOLE in measured
    judged = [judge(replace(claim, quantifier="every") if whole else claim, grounds) for claim in claims]
    return [Checked(result, gpu, shown(trace, result, measured)) for result in judged]


def _evidence(trace: Trace, measured: Measured, claims: Iterable[Claim]) -> VariantEvidence:
    wanted = [term.metric for claim in claims for term in _terms(claim) if term.variant == measured.variant]
    iterations = tuple(numbers_of(trace, run, wanted, queued=True) for run in measured.runs)
    return VariantEvidence(measured.variant, iterations, None, (), (), ())


def _terms(claim: Claim) -> list[Term]:
    return [term for term in (claim.left, claim.right) if isinstance(term, Term)]
