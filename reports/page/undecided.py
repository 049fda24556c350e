"""Why a claim is not decided, as a picture: every iteration, the interval of their median, and the threshold that it does not leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...profiler.evidence import ClaimResult, Evidence, Verdict
from ...profiler.judging.enough import surely
from ...profiler.judging.language import parse
from ...profiler.judging.speedup import times
from ..catalog import Catalog
from ..units import quantity, sensible
from .axis import Measure, Tick, round_step
from .claims import asked
from .labels import width
from .strips import swarm

OPEN = frozenset({"interval_straddles", "limit_uncertain", "within_noise", "few_iterations"})
"""Reasons that more or steadier iterations could remove; of all others a picture of the iterations says nothing."""

_ROW, _FOOT, _TOP, _MARGIN = 58.0, 22.0, 20.0, 0.06


@dataclass(frozen=True, slots=True)
class Undecided:
    """One claim: each value as a dot, the interval from `low_x` to `high_x` around `middle_x`, and the threshold's line, or band where it
    was measured too. `lowest` and `highest` are the values at both ends of the axis.

    about, more   what the dots are, and how many iterations would decide
    """

    claim: int
    text: str
    about: str
    more: str
    width: float
    height: float
    left: float
    span: float
    lowest: float
    highest: float
    y: float
    dots: tuple[tuple[float, float], ...]
    low_x: float
    high_x: float
    middle_x: float
    interval: str
    threshold: tuple[float, float, float]
    threshold_label: str
    label_end: bool
    ticks: tuple[Tick, ...]
    sentence: str


def undecided(evidence: Evidence, say: Catalog, measure: Measure) -> tuple[Undecided, ...]:
    """A picture for every claim that the iterations left open; none where the outputs disagree or a trace is not whole."""
    return tuple(
        _drawn(place, claim, values, evidence, say, measure)
        for place, claim in enumerate(evidence.claims)
        if is_open(claim) and (values := shown(claim, evidence))
    )


def is_open(claim: ClaimResult) -> bool:
    codes = {reason.code for reason in claim.reasons}
    known = None not in (claim.threshold, claim.low, claim.high, claim.measured)
    return claim.verdict is Verdict.UNPROVEN and known and bool(codes & OPEN)


def _compared(claim: ClaimResult, evidence: Evidence) -> tuple[str, str] | None:
    """The two variants of a claim on a speedup."""
    return parse(claim.text, tuple(one.name for one in evidence.variants)).left.compared


def shown(claim: ClaimResult, evidence: Evidence) -> list[float]:
    """The values of a claim in the order of its iterations; of a speedup the first variant's run over the second's of the same place."""
    compared = _compared(claim, evidence)
    if not compared or evidence.speedup is None:
        return list(claim.values)
    of = {one.name: times(one, evidence.speedup.source) for one in evidence.variants}
    before, after = (of.get(name, []) for name in compared)
    return [one / two for one, two in zip(before, after, strict=False) if two]


def _drawn(
    place: int, claim: ClaimResult, values: Sequence[float], evidence: Evidence, say: Catalog, measure: Measure
) -> Undecided:
    low, high, threshold = claim.low or 0.0, claim.high or 0.0, claim.threshold or 0.0
    band = [claim.threshold_low or threshold, claim.threshold_high or threshold]
    lowest, highest = _range([*values, low, high, threshold, *band])
    left, span = 12.0, measure.width - 24.0

    def x(value: float) -> float:
        return round(left + span * (value - lowest) / (highest - lowest), 2)

    said = say("undecided.threshold", asked=asked(claim, say))
    interval = _between(claim, say)
    return Undecided(
        claim=place,
        text=claim.text,
        about=say("undecided.turns" if _compared(claim, evidence) else "undecided.values", n=len(values)),
        more=" ".join(_more(claim, say)),
        width=measure.width,
        height=_ROW + _FOOT,
        left=left,
        span=span,
        lowest=lowest,
        highest=highest,
        y=_TOP + 14,
        dots=swarm([x(value) for value in values], _TOP + 14),
        low_x=x(low),
        high_x=x(high),
        middle_x=x(claim.measured or 0.0),
        interval=interval,
        threshold=(x(threshold), x(band[0]), x(band[1])),
        threshold_label=said,
        label_end=x(threshold) + width(said, 10.5) + 8 > measure.width,
        ticks=tuple(_ticks(lowest, highest, claim.unit, x, measure.most_ticks // 2 + 1)),
        sentence=say("undecided.sentence", claim=claim.text, interval=interval, asked=said),
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Both ends of the axis: all that is drawn, with a margin; it does not begin at zero."""
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or abs(high) * _MARGIN or 1.0
    return low - margin, high + margin


def _between(claim: ClaimResult, say: Catalog) -> str:
    ends = (quantity(end, claim.unit, claim.threshold) for end in (claim.low, claim.high))
    low, high = ends
    return say("undecided.interval", low=low, high=high)


def _more(claim: ClaimResult, say: Catalog) -> Iterator[str]:
    """How many iterations would decide, where a number of them would."""
    reasons = {reason.code: reason.values for reason in claim.reasons}
    if "more_iterations" in reasons:
        needed = int(reasons["more_iterations"]["needed"])
        counts = {"more": needed - claim.n, "needed": needed, "surely": surely(needed)}
        yield say("undecided.more", **{name: sensible(count) for name, count in counts.items()})
    elif "few_iterations" in reasons:
        yield say("undecided.few", n=claim.n, least=reasons["few_iterations"]["least"])
    else:
        yield say("undecided.none")


def _ticks(lowest: float, highest: float, unit: str, x: Callable[[float], float], most: int) -> Iterator[Tick]:
    """Round values within the axis, each with its unit: it has no zero that a reader could count from."""
    step = round_step(highest - lowest, most)
    for index in range(math.ceil(lowest / step), math.floor(highest / step) + 1):
        yield Tick(x(index * step), quantity(index * step, unit, (index + 1) * step))
