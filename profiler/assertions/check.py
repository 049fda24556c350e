"""`assert`: claims on the ranges of any trace, or on the whole of it, judged as those of a pair are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np

from ...declaration import VARIANTS
from ...errors import UsageError
from ...machine.records import convert
from ..analysis.completeness import OF_RANGES, attested
from ..analysis.metrics import split
from ..analysis.selection import PREFIXES
from ..arrays.types import Int64
from ..capture.calibrate import read_calibration
from ..evidence import ClaimResult, Completeness, Finding, Iteration, VariantEvidence, Verdict
from ..judging.grounds import Grounds, grounds_of
from ..judging.hiccups import explained
from ..judging.judge import judge, of_the_median
from ..judging.language import Claim, asked_of, compared_in, parse
from ..judging.limits import FLOOR, OF_FLOOR, TIME, Estimate, ceilings_of
from ..judging.rate_metrics import RATE_METRICS
from ..judging.speedup import times
from ..judging.terms import Term
from ..judging.verdicts import badness
from ..manifest import Ceilings
from ..proof.sessions import Known, apart_of, session_caveats
from ..queries.other_threads import other_threads
from ..queries.ranges import why_none
from ..queries.selectors import select, why_empty
from ..ranges.attribution import Attribution
from ..ranges.chosen import chosen_ranges
from ..ranges.faults import blocked_by
from ..ranges.instances import Instances, instances_of, whole_trace
from ..ranges.numbers import numbers
from ..ranges.work import Launches
from ..trace.devices import labels
from ..trace.model import Trace
from .counterexamples import Shown, shown

WHOLE = "trace"
"""The name of what a claim is about when no range is given."""

MOST_BY_INTERVAL = 50_000
"""The most instances for which an interval is computed, in about ten seconds. Times over more of them are claimed with
`every` or `any`."""

MOST_COMPARED = 10_000_000
"""The most pairs of values that are compared one by one when a claim compares two metrics."""

_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asserted.

    claims       in the claim language of docs/metrics.md, where the named ranges stand for variants
    ranges       name -> glob of range names; every instance of a range is an iteration. Empty: the whole trace is one
    domain       a domain or glob of domains; None for all
    attribution  "thread", or "process" for the launches of every thread of the process inside a range
    ceilings     what `aisp-prof calibrate -o FILE` measured on the GPU of the trace, for claims that name ceilings
    communication  regular expressions of further communication kernels, with which the trace is to be read
    apart        of two runs, each of which has a trace of its own: the first is `baseline`, the second `optimized`
    """

    claims: tuple[str, ...]
    ranges: Mapping[str, str]
    domain: str | None = None
    attribution: str = "thread"
    ceilings: Path | None = None
    communication: tuple[str, ...] = ()
    apart: bool = False

    def of_two_runs(self) -> Question:
        """The same question to two traces: one range stands for both.

        Raises:
            UsageError: its ranges are of other names than the two runs, or it names ceilings, which are of one session.
        """
        if self.ceilings is not None:
            raise UsageError("ceilings are those of one session", "assert each trace by itself")
        if len(self.ranges) == 1:
            return replace(self, ranges=dict.fromkeys(VARIANTS, next(iter(self.ranges.values()))), apart=True)
        if self.ranges and set(self.ranges) != set(VARIANTS):
            raise UsageError(
                f"of two traces the ranges are called {' and '.join(VARIANTS)}, not {', '.join(self.ranges)}",
                "one name stands for both: --range step",
            )
        return replace(self, apart=True)

    def parsed(self) -> tuple[Claim, ...]:
        """The claims, read.

        Raises:
            UsageError: one cannot be read, or there is none; a range's name is not a word; rates need counters, which a
                trace does not hold.
        """
        for name in self.ranges:
            if not _WORD.fullmatch(name):
                raise UsageError(f"no range may be called {name!r}", "a word names it: --range step='train_step*'")
        if not self.claims:
            raise UsageError("nothing is asserted", "give a claim: aisp-prof assert TRACE 'hidden(copy) >= 0.8'")
        names = VARIANTS if self.apart else tuple(self.ranges) or (WHOLE,)
        default = VARIANTS[1] if self.apart else names[0] if len(names) == 1 else ""
        return claims_on_a_trace(self.claims, names, default)


def claims_on_a_trace(texts: Iterable[str], names: Sequence[str], default: str) -> tuple[Claim, ...]:
    """Claims on ranges of these names, read.

    Raises:
        UsageError: one cannot be read, or speaks of what no trace holds.
    """
    claims = tuple(parse(text, names, default) for text in texts)
    for claim in claims:
        if counted := {term.metric for term in claim.terms} & set(RATE_METRICS):
            raise UsageError(f"claim {claim.text!r}: a trace holds no counters for {', '.join(counted)}")
        if {term.metric for term in claim.terms} & {FLOOR, OF_FLOOR}:
            raise UsageError(
                f"claim {claim.text!r}: a trace does not say what its work needs",
                "a floor is of pairs, which declare it; for any trace: busiest >= 0.9",
            )
    return claims


@dataclass(frozen=True, slots=True)
class Checked:
    """One claim judged, with what can be looked up by hand: why it holds, or what breaks it.

    `runs` are the values that leave a claim by interval unproven: range -> its values in order of time; for a speedup,
    times in ns.
    `seconds` is how long judging took.
    """

    claim: ClaimResult
    gpu: str
    shown: tuple[Shown, ...]
    runs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """All claims, each on the one of `gpus` where it fares worst; `instances` says how many ranges of each name were judged,
    and `notes` what is there in the place of a range that is not, and what ranges hold and do not count. `sessions` is what a reader
    of a comparison of two runs should know."""

    verdict: Verdict
    completeness: Completeness
    attribution: str
    instances: Mapping[str, int]
    claims: tuple[Checked, ...]
    gpus: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sessions: tuple[Finding, ...] = ()


def check(trace: Trace, question: Question, after: Trace | None = None, known: Known | None = None) -> Answer:
    """Judge the claims of `question` on a trace; or, `after` being that of another run, on both.

    Args:
        known: what no trace tells of the sessions of two runs.

    Raises:
        UsageError: a claim cannot be read, no such attribution, more instances match than can be judged, or the ceilings are
            those of another GPU.
    """
    Attribution.named(question.attribution)
    claims = question.parsed()
    measured = _Ceilings.read(question.ceilings, trace)
    traces = (trace,) if after is None else (trace, after)
    instances = _instances(traces, question)
    sessions = None if after is None else known or Known({}, {})
    case = _Case(attested(traces), claims, instances, measured, sessions)
    judged = tuple(_timed(case, claim) for claim in claims)
    return Answer(
        verdict=Verdict.worst([one.claim.verdict for one in judged]),
        completeness=case.completeness,
        attribution=question.attribution,
        instances={name: len(one) for name, one in instances.items()},
        claims=judged,
        gpus=tuple(_name(part) for part in case.parts if part.gpu is not None),
        notes=tuple(dict.fromkeys(note for one in traces for note in _notes(one, question))),
        sessions=tuple(session_caveats(sessions, instances)),
    )


def is_called(trace: Trace, domain: str | None, glob: str) -> bool:
    """Whether any range of the trace matches."""
    return bool(len(chosen_ranges(trace, domain, glob)))


def _timed(case: _Case, claim: Claim) -> Checked:
    start = perf_counter()
    return replace(case.worst(claim), seconds=perf_counter() - start)


def _notes(trace: Trace, question: Question) -> tuple[str, ...]:
    domain = question.domain
    absent = [glob for glob in question.ranges.values() if not len(chosen_ranges(trace, domain, glob))]
    uncounted = [
        note for glob in question.ranges.values() for note in other_threads(trace, glob, question.attribution, domain)
    ]
    unnamed = [why_empty(trace, selector) for selector in _selectors(question) if not select(trace, selector).any()]
    return (*(why_none(trace, domain, glob) for glob in absent), *dict.fromkeys(uncounted), *unnamed)


def _selectors(question: Question) -> list[str]:
    """The kernels and streams that claims name, each once."""
    metrics = [
        term.metric for claim in question.parsed() for term in claim.terms if term.of_trace and term.metric != TIME
    ]
    arguments = [argument for metric in metrics for argument in split(metric)[1]]
    return list(dict.fromkeys(one for one in arguments if one.startswith(PREFIXES)))


def _instances(traces: Sequence[Trace], question: Question) -> dict[str, Instances]:
    """By name; of two traces each variant's from its own."""
    launches = [Launches(trace) for trace in traces]
    if not question.ranges:
        return {
            name: whole_trace(one, name)
            for name, one in zip(VARIANTS if question.apart else (WHOLE,), launches, strict=True)
        }
    mine = dict(zip(VARIANTS, launches, strict=True)) if question.apart else dict.fromkeys(question.ranges, launches[0])
    return {
        name: _of_range(mine[name], question, name, question.ranges[name])
        for name in (mine if question.apart else question.ranges)
    }


def _of_range(launches: Launches, question: Question, name: str, glob: str) -> Instances:
    chosen = _by_time(launches.trace, question.domain, glob)
    return instances_of(launches, chosen, name, glob, Attribution(question.attribution))


def _by_time(trace: Trace, domain: str | None, glob: str) -> Int64:
    chosen = chosen_ranges(trace, domain, glob)
    return chosen[np.argsort(trace.ranges.start[chosen], kind="stable")]


@dataclass(frozen=True, slots=True)
class _OnGpu:
    """What one device ran (None: there is no device), and the grounds on which claims about it are judged."""

    gpu: int | None
    instances: Mapping[str, Instances]
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class _Ceilings:
    """What was measured of a GPU; `uuids` are those of the trace's, of which one is it or nobody can tell."""

    rates: Mapping[str, Estimate]
    uuid: str
    uuids: Sequence[str]

    @classmethod
    def read(cls, path: Path | None, trace: Trace) -> Self:
        found = {} if path is None else read_calibration(path, None)
        uuid = _plain((found.get("gpu") or {}).get("uuid"))
        uuids = [_plain(gpu.uuid) for gpu in trace.gpus]
        if uuid and all(uuids) and uuids and uuid not in uuids:
            raise UsageError(
                f"the ceilings in {path} are those of another GPU than the trace's, {uuid}",
                "measure them on that GPU: aisp-prof calibrate -o FILE",
            )
        return cls(ceilings_of(convert(found, Ceilings, str(path))), uuid, uuids)

    def on(self, gpu: int | None) -> Mapping[str, Estimate]:
        """The rates of a GPU of the trace; none where they are another's."""
        other = gpu is not None and bool(self.uuid and self.uuids[gpu]) and self.uuids[gpu] != self.uuid
        return {} if other else self.rates


def _plain(uuid: Any) -> str:
    return str(uuid or "").lower().removeprefix("gpu-")


class _Case:
    """Claims and what they are about, split by device: operations of different GPUs are never added together."""

    def __init__(
        self,
        completeness: Completeness,
        claims: Sequence[Claim],
        instances: Mapping[str, Instances],
        measured: _Ceilings,
        sessions: Known | None = None,
    ) -> None:
        self.completeness, self.claims, self.instances, self.measured = completeness, claims, instances, measured
        self.sessions = sessions  # of two runs, whose GPUs are not numbered alike: there is one part
        gpus = sorted({gpu for one in instances.values() for gpu in one.gpus()}) if sessions is None else []
        self.parts = [self._part(gpu) for gpu in gpus] or [self._part(None)]

    def _part(self, gpu: int | None) -> _OnGpu:
        mine = self.instances if gpu is None else {name: one.on(gpu) for name, one in self.instances.items()}
        for claim in self.claims:
            _check_count(claim, mine)
        variants = {name: _evidence(name, one, self.claims) for name, one in mine.items()}
        blocked = {
            name: tuple(f for f in findings if not (mine[name].whole and f.code in OF_RANGES))
            for name, findings in blocked_by(self.completeness, {n: one.findings for n, one in mine.items()}).items()
        }
        doubts = tuple(finding for finding in session_caveats(self.sessions, mine) if finding.blocks)
        blocked = {name: (*found, *doubts) for name, found in blocked.items()}
        ceilings, apart = self.measured.on(gpu), apart_of(self.sessions, mine)
        grounds = grounds_of(variants, mine, blocked, compared_in(self.claims), ceilings=ceilings, apart=apart)
        return _OnGpu(gpu, mine, grounds)

    def worst(self, claim: Claim) -> Checked:
        """A claim on the GPU where it fares worst, of those on which all its ranges ran."""
        names = claim.names
        there = [part for part in self.parts if all(len(part.instances[name]) for name in names)]
        whole = all(self.instances[name].whole for name in names)
        asked = replace(claim, quantifier="every") if whole else claim
        for part in there:
            _check_pairs(asked, part)
        judged = [(part, judge(asked, part.grounds)) for part in there or self.parts]
        part, found = max(judged, key=lambda one: badness(one[1]))
        timed = claim.left.of_trace or claim.left.metric == TIME
        result = explained(asked, found, part.instances.get(claim.left.variant) if timed else None)
        return Checked(result, _name(part), shown(result, part.instances), _runs(claim, result, part))


def _runs(claim: Claim, result: ClaimResult, part: _OnGpu) -> Mapping[str, tuple[float, ...]]:
    if result.verdict is not Verdict.UNPROVEN:
        return {}
    if claim.left.compared:
        return {name: tuple(times(part.grounds.variants[name], "trace")) for name in claim.left.compared}
    return {claim.left.variant: result.values} if result.low is not None else {}


def _check_count(claim: Claim, instances: Mapping[str, Instances]) -> None:
    """Refuse an interval that would take minutes to compute, and name an alternative."""
    most = max(len(instances[name]) for name in claim.names)
    if most > MOST_BY_INTERVAL and (claim.left.compared or of_the_median(claim)):
        raise UsageError(
            f"claim {claim.text!r}: of {most:,} instances; an interval is computed of at most {MOST_BY_INTERVAL:,}",
            "name fewer ranges, or say over which a time must hold: every, or any",
        )


def _check_pairs(claim: Claim, part: _OnGpu) -> None:
    """Refuse a comparison of two metrics that would take minutes; equal values of the right one count once."""
    if not isinstance(claim.right, Term) or claim.left.compared or claim.right.fixed or of_the_median(claim):
        return
    left, right = (part.grounds.variants[term.variant].iterations for term in (claim.left, claim.right))
    pairs = len(left) * len({one.numbers.get(claim.right.metric, one.end - one.start) for one in right})
    if pairs > MOST_COMPARED:
        raise UsageError(
            f"claim {claim.text!r}: {pairs:,} pairs of values; at most {MOST_COMPARED:,} are compared",
            "name fewer ranges, or compare with a number",
        )


def _name(part: _OnGpu) -> str:
    if part.gpu is None:
        return ""
    return labels(next(iter(part.instances.values())).trace.gpus)[part.gpu]


def _evidence(name: str, instances: Instances, claims: Iterable[Claim]) -> VariantEvidence:
    """The numbers that the claims ask of these instances, one iteration each."""
    wanted = sorted(asked_of(claims, (name,)))
    columns = numbers(instances, wanted)
    values = zip(*columns.values(), strict=True) if columns else repeat((), len(instances))
    start, end = (times.tolist() for times in instances.times())
    iterations = tuple(
        Iteration(index, low, high, None, {text: v for text, v in zip(wanted, row, strict=True) if v is not None})
        for index, (low, high, row) in enumerate(zip(start, end, values, strict=True))
    )
    return VariantEvidence(name, iterations, None, (), (), ())
