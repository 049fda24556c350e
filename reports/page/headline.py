"""The verdict and the one sentence of a page; where the evidence cannot tell, the sentence says so and gives no number."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...profiler.evidence import Evidence, Speedup, Verdict
from ..catalog import Catalog
from ..units import duration, factor, factors, percent
from .claims import alike, asked, held, speedup_claim
from .labels import width

_SPEAKS = frozenset({Verdict.PROVEN, Verdict.REFUTED})
_LONG = 72.0
"""In font sizes: what fills three lines of print at their full size."""

_THAN = " than "
"""Pairs write "{speedup} than one stream"; a factor is said as "1.71× as fast as", since "1.71× faster" may mean 2.71×."""
_AS = "as "
"""What "{speedup} than as it comes" has too many of then."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The sentence in three parts; `number` ("" when there is none) takes the colour of `tone`."""

    before: str
    number: str
    after: str
    tone: Verdict

    @property
    def text(self) -> str:
        return f"{self.before}{self.number}{self.after}"

    @property
    def long(self) -> bool:
        """Whether it would fill three lines in print, where it is set smaller then."""
        return width(self.text, 1) > _LONG


def headline(evidence: Evidence, say: Catalog) -> Headline:
    """The pair's own sentence with its speedup, or one that says what cannot be concluded."""
    pair = evidence.manifest.declaration
    if evidence.verdict not in _SPEAKS or evidence.speedup is None:
        quiet = Verdict.UNPROVEN if evidence.verdict in _SPEAKS else evidence.verdict
        return Headline(say(f"headline.{quiet}", title=say.of(pair.title)), "", "", quiet)
    before, field, after = say.of(pair.sentence).partition("{speedup}")
    number, word = (say("headline.alike"), "") if alike(evidence) else _spoken(evidence.speedup, say)
    if number != say("headline.no_faster") and after.startswith(_THAN):
        after = say("headline.compared") + after.removeprefix(_THAN).removeprefix(_AS)
    if not field:
        return Headline(f"{before} ", number, word, _tone(evidence))
    return Headline(before, number, f"{word}{after}", _tone(evidence))


def _spoken(speedup: Speedup, say: Catalog) -> tuple[str, str]:
    """("1.71×", " as fast"), or ("no faster", "") if they differ by no more than noise."""
    if not speedup.differs:
        return say("headline.no_faster"), ""
    word = say("headline.slower" if speedup.value < 1 else "headline.faster")
    return say("headline.factor", factor=factor(speedup.value)), word


def _tone(evidence: Evidence) -> Verdict:
    claim = speedup_claim(evidence)
    return claim.verdict if claim else evidence.verdict


def verdict_line(evidence: Evidence, say: Catalog) -> str:
    """How many of the claims hold."""
    return say("verdict.held", held=held(evidence), all=len(evidence.claims)) if evidence.claims else ""


def lead(evidence: Evidence, say: Catalog) -> tuple[str, ...]:
    """Claimed against measured in a few sentences: the threshold, n, the interval, the noise, where the times come from."""
    claim, speedup = speedup_claim(evidence), evidence.speedup
    sentences = [say("lead.claimed", asked=asked(claim, say))] if claim else []
    if speedup is None:
        return (*sentences, say(f"lead.silent_{evidence.verdict}"))
    low, high = factors(speedup.low, speedup.high)
    counts = {"n_baseline": speedup.n_baseline, "n_optimized": speedup.n_optimized}
    times = {"baseline": duration(speedup.baseline_ns), "optimized": duration(speedup.optimized_ns)}
    measured = factor(speedup.value, claim.threshold if claim else None)
    origin = evidence.manifest.origin
    key = "lead.measured_apart" if origin is not None and origin.apart else "lead.measured"
    sentences.append(say(key, factor=measured, low=low, high=high))
    sentences.append(say("lead.medians", **times, **counts))
    if math.isfinite(speedup.noise_floor):
        sentences.append(say("lead.noise", percent=percent(speedup.noise_floor)))
    sentences.append(say(f"lead.from_{speedup.source}"))
    return tuple(sentences)
