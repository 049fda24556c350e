"""One pair's page as the template needs it: all words and numbers written out, all pictures laid out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ...declaration import VARIANTS
from ...profiler.evidence import Evidence, VariantEvidence, Verdict
from ..catalog import Catalog, FindingText
from ..units import MINUS, NOTHING, percent, sensible
from .against import Against
from .axis import Measure
from .claims import ClaimRow, claim_rows, told_first, verdict_word
from .doubts import LIMITS_OF_GAIN, caveats, one_a_code
from .figures import FigureGroup, figure_groups
from .headline import Headline, headline, lead, verdict_line
from .identity import Fact, StoredFile, facts, ran, stored_files
from .ledgers import GainLedger, LaunchLedger, gain_ledger, launch_ledger
from .origin import claims_about, kind, mark
from .replay import replay
from .roofline import RooflineSection, roofline_section
from .strips import StripPlot, strip_plot
from .timeline import Timeline, timeline
from .undecided import Undecided, undecided
from .waterfall import Waterfall, waterfall
from .witnesses import Command, WitnessRow, commands, witness_rows, witness_words

WIDE = Measure(672, 108, 62, 8)
NARROW = Measure(344, 92, 62, 4)
"""The same pictures at two widths, in CSS pixels: a page and a phone."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything that one pair's page says. Pictures come in two widths, wide and narrow.

    kind, mark        what the page is a proof from; and "" or what nobody compared or controlled, said beside the verdict
    doubts            of the caveats the first of each kind, and how many more are like it
    claims, further   those of the page, and those of the appendix
    strips            the runs that the speedup rests on; `every_strip` has the traced and the untraced ones, for the appendix
    """

    anchor: str
    kind: str
    mark: str
    chapter: str
    topic: str
    title: str
    compares: str
    verdict: Verdict
    verdict_word: str
    verdict_line: str
    headline: Headline
    lead: tuple[str, ...]
    ran: tuple[Fact, ...]
    claims: tuple[ClaimRow, ...]
    further: tuple[ClaimRow, ...]
    claims_about: str
    undecided: tuple[tuple[Undecided, Undecided], ...]
    strips: tuple[StripPlot, ...]
    every_strip: tuple[StripPlot, ...]
    perturbation: str
    timelines: tuple[Timeline, ...]
    replay: dict[str, object] | None
    waterfall: Waterfall | None
    figures: tuple[FigureGroup, ...]
    gain: GainLedger | None
    launches: LaunchLedger | None
    roofline: RooflineSection | None
    witnesses: tuple[WitnessRow, ...]
    witness_words: str
    of_traced_run: str
    against: Against | None
    completeness: str
    completeness_line: str
    caveats: tuple[FindingText, ...]
    doubts: tuple[tuple[FindingText, int], ...]
    commands: tuple[Command, ...]
    capture_id: str
    created_utc: str
    facts: tuple[Fact, ...]
    files: tuple[StoredFile, ...]


def proof(evidence: Evidence, say: Catalog, anchor: str, against: Against | None = None) -> Proof:
    """Lay out one pair's page; `anchor` is its id in the document, `against` what became of its expectations."""
    evidence = without_times(evidence)
    pair = evidence.manifest.declaration
    first, further = told_first(evidence)
    left_open = tuple(zip(undecided(evidence, say, WIDE), undecided(evidence, say, NARROW), strict=True))
    drawn = timeline(evidence, say, WIDE)
    slim = timeline(evidence, say, NARROW)
    return Proof(
        anchor=anchor,
        kind=kind(evidence, say),
        mark=mark(evidence, say),
        chapter=pair.chapter,
        topic=say.of(pair.topic),
        title=say.of(pair.title),
        compares=say.of(pair.compares),
        verdict=evidence.verdict,
        verdict_word=verdict_word(evidence, say),
        verdict_line=verdict_line(evidence, say),
        headline=headline(evidence, say),
        lead=lead(evidence, say),
        ran=ran(evidence, say),
        claims=_without_repeats(claim_rows(first, evidence, say), {wide.text for wide, _ in left_open}),
        further=claim_rows(further, evidence, say),
        claims_about=claims_about(evidence, say),
        undecided=left_open,
        strips=_strips(evidence, say, of_speedup=True),
        every_strip=_strips(evidence, say, of_speedup=False) if _both_timed(evidence) else (),
        perturbation=perturbation(evidence, say),
        timelines=(drawn, slim) if drawn and slim else (),
        replay=replay(drawn, say) if drawn else None,
        waterfall=waterfall(evidence, say),
        figures=figure_groups(evidence, say),
        gain=gain_ledger(evidence, say),
        launches=launch_ledger(evidence, say),
        roofline=roofline_section(evidence, say, WIDE, NARROW),
        witnesses=witness_rows(evidence.optimized, say),
        witness_words=witness_words(evidence, say),
        of_traced_run=of_traced_run(evidence, say),
        against=against,
        completeness=evidence.completeness.status,
        completeness_line=completeness_line(evidence, say),
        caveats=(told := caveats(evidence, say)),
        doubts=one_a_code([one for one in told if one.code not in LIMITS_OF_GAIN]),
        commands=commands(evidence, say),
        capture_id=evidence.capture_id,
        created_utc=evidence.manifest.created_utc,
        facts=facts(evidence, say),
        files=stored_files(evidence.manifest),
    )


def _without_repeats(rows: tuple[ClaimRow, ...], drawn: Collection[str]) -> tuple[ClaimRow, ...]:
    """Of claims whose distribution is drawn, how many more runs would decide is said beside the picture."""
    return tuple(
        replace(row, reasons=tuple(one for one in row.reasons if one.code != "more_iterations"))
        if row.text in drawn
        else row
        for row in rows
    )


def _both_timed(evidence: Evidence) -> bool:
    """Whether there are runs beside those that the speedup rests on, and room for them: of a staged pair there is none."""
    ends = (evidence.baseline, evidence.optimized)
    return not evidence.staged and all(one.iterations and one.untraced_ns for one in ends)


def _strips(evidence: Evidence, say: Catalog, of_speedup: bool) -> tuple[StripPlot, ...]:
    """In both widths. Of a staged pair every variant's runs in any case, and only those that the speedup rests on."""
    untraced = evidence.staged or not of_speedup
    return tuple(plot for size in (WIDE, NARROW) if (plot := strip_plot(evidence, say, size, untraced=untraced)))


def without_times(evidence: Evidence) -> Evidence:
    """A wrong answer has no time: if the outputs disagree, the runs are not shown."""
    if not any(finding.code == "outputs_invalid" for finding in evidence.caveats):
        return evidence
    baseline, optimized = (VariantEvidence(name, (), None, (), (), ()) for name in VARIANTS)
    silent = replace(evidence, speedup=None, perturbation={}, gain=(), between=(), beyond=(), steps=(), rates={})
    return replace(silent, baseline=baseline, optimized=optimized)


def perturbation(evidence: Evidence, say: Catalog) -> str:
    """By how much tracing itself changed each variant; "" without an untraced run to compare with."""
    if not all(variant in evidence.perturbation for variant in VARIANTS):
        return ""
    queued = say("runs.queued") + " " if evidence.manifest.declaration.queued else ""
    origin = evidence.manifest.origin
    key = "runs.perturbation" if origin is None else "runs.program_perturbation"
    if origin is not None and not origin.in_turn:
        key = "runs.alone_perturbation"
    return queued + say(key, **{variant: _change(evidence.perturbation[variant]) for variant in VARIANTS})


def of_traced_run(evidence: Evidence, say: Catalog) -> str:
    """A note that these numbers come from the trace while the speedup does not; "" if both rest on the same runs."""
    elsewhere = evidence.speedup is not None and evidence.speedup.source == "events"
    return say("runs.of_traced_run") if elsewhere and evidence.baseline.iterations else ""


def _change(ratio: float) -> str:
    sign = "+" if ratio > 1 else MINUS if ratio < 1 else ""
    return f"{sign}{percent(abs(ratio - 1))}"


def completeness_line(evidence: Evidence, say: Catalog) -> str:
    """How many events the trace says it has, and how many were found."""
    seen = evidence.completeness
    stated = NOTHING if seen.events_stated is None else sensible(seen.events_stated)
    key = "trace.counted" if seen.events_stated is not None else "trace.not_stated"
    return say(key, stated=stated, found=sensible(seen.events_found))
