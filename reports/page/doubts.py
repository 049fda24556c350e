"""What was seen that could make a page wrong, in words; and whether any claim rests on what is in doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ...profiler.evidence import Evidence, Finding
from ...profiler.judging.limits import FLOOR, OF_FLOOR
from ..catalog import Catalog, FindingText
from ..claim_words import read

LIMITS_OF_GAIN = frozenset({"same_engine_bound"})
"""Findings that make no page wrong: they say how much more there would be to gain, which is the appendix's."""

_OF_FLOPS = frozenset(
    {"flops", "arithmetic_intensity", "flops_agreement", "achieved_flops", "of_roofline", FLOOR, OF_FLOOR}
    | {"hmma_flops", "hgmma_flops", "utchmma_flops"}
)
"""The metrics that FLOPs go into, counted or declared: of floors the declared ones."""


def told(finding: Finding, evidence: Evidence, say: Catalog) -> FindingText:
    """A finding of a pair in words; of FLOPs that are in doubt also that no claim rests on them, where none does."""
    text = say.finding(finding)
    if finding.code != "flops_disagree" or _rests_on_doubtful_flops(evidence):
        return text
    return replace(text, seen=f"{text.seen} {say('wrong.no_claim')}")


def _rests_on_doubtful_flops(evidence: Evidence) -> bool:
    """Whether a claim names such a metric of any variant whose FLOPs are in doubt; one that cannot be read might."""
    doubtful = {str(one.values.get("variant")) for one in evidence.caveats if one.code == "flops_disagree"}
    claims = [read(claim.text, evidence.manifest.declaration.names) for claim in evidence.claims]
    return any(
        claim is None or any(term.metric in _OF_FLOPS and doubtful & {*term.names} for term in claim.terms)
        for claim in claims
    )


def caveats(evidence: Evidence, say: Catalog) -> tuple[FindingText, ...]:
    """What was seen that could make the page wrong, each once; what blocks a conclusion comes first."""
    distinct: dict[str, Finding] = {}
    for finding in (*evidence.completeness.findings, *evidence.caveats):
        distinct.setdefault(repr((finding.code, sorted(finding.values.items()))), finding)
    ordered = sorted(distinct.values(), key=lambda finding: not finding.blocks)
    return tuple(told(finding, evidence, say) for finding in ordered)


def one_a_code(told: Sequence[FindingText]) -> tuple[tuple[FindingText, int], ...]:
    """The first of each code, and how many more there are of it."""
    counted = Counter(one.code for one in told)
    first = {one.code: one for one in reversed(told)}
    return tuple((first[code], more - 1) for code, more in counted.items())
