"""Whether the small pictures of a page say what the evidence does: each held against it, without the code that draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...profiler.evidence import ClaimResult, Evidence, Verdict
from .charts import Bar, Bars, Charts, Open

_NEAR = 0.06
_THIN = 0.6
"""The thinnest bar that is drawn."""

_WIDTHS = {"waterfall": 110.0, "gain": 240.0}
_LEFT_OUT = frozenset({"comm", "memset", "graph"})
_OPEN = frozenset({"interval_straddles", "limit_uncertain", "within_noise", "few_iterations"})


@dataclass(frozen=True, slots=True)
class Heights:
    """What a table's bars must show, in ns: the first row from zero, then from each height to the next; and a last one from zero."""

    between: tuple[float, ...]
    last: float | None = None

    @property
    def scale(self) -> float:
        return max(1.0, *self.between)

    @property
    def rows(self) -> list[tuple[float, float]]:
        last = [] if self.last is None else [(0.0, self.last)]
        return [(0.0, self.between[0]), *pairwise(self.between), *last]


def chart_differences(charts: Charts, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Where the small pictures of a pair are not the evidence's: which one, and what."""
    due = _due(evidence) if charts.details else {}
    if [one.name for one in charts.bars] != list(due):
        yield "bars", f"of {[one.name for one in charts.bars]}, there should be those of {list(due)}"
        return
    for bars in charts.bars:
        for what in _in_bars(bars, due[bars.name]):
            yield f"bars of the {bars.name}", what
    claims = [place for place, claim in enumerate(evidence.claims) if _is_open(claim) and _values(claim, evidence)]
    for name in ("wide", "narrow"):
        drawn = [one for one in charts.open if one.name == name]
        if [one.claim for one in drawn] != claims:
            yield f"claims left open, {name}", f"{[one.claim for one in drawn]} are drawn, by the evidence {claims}"
            continue
        for one in drawn:
            claim = evidence.claims[one.claim]
            for what in _in_claim(one, claim, _values(claim, evidence)):
                yield f"{claim.text}, {name}", what


def _due(evidence: Evidence) -> dict[str, Heights]:
    """The tables that have bars, in the order of a page."""
    found = {}
    if evidence.steps and evidence.speedup:
        found["waterfall"] = Heights(_down(evidence.speedup.baseline_ns, [step.saved_ns for step in evidence.steps]))
    times = sorted(run.end - run.start for run in evidence.baseline.iterations)
    if evidence.gain and times:
        half = len(times) // 2
        whole = round(times[half] if len(times) % 2 else (times[half - 1] + times[half]) / 2)
        terms = {term.code: term.ns for term in evidence.gain}
        parts = [ns for code, ns in terms.items() if code != "total" and (ns or code not in _LEFT_OUT)]
        found["gain"] = Heights(_down(whole, parts), whole - terms.get("total", sum(parts)))
    return found


def _down(height: float, saved: Sequence[float]) -> tuple[float, ...]:
    heights = [height]
    for one in saved:
        heights.append(heights[-1] - one)
    return tuple(heights)


def _in_bars(bars: Bars, due: Heights) -> Iterator[str]:
    if len(bars.rows) != len(due.rows):
        yield f"are {len(bars.rows)}, by the evidence {len(due.rows)}"
        return
    unit = _WIDTHS[bars.name] / due.scale
    for x, label in bars.ticks:
        if abs(x - float(label.replace(",", "")) * 1e6 * unit) > _NEAR:
            yield f"their axis says {label} at {x:.2f}"
    if len(bars.ticks) < 2:
        yield "have no axis"
    for row, (bar, (before, after)) in enumerate(zip(bars.rows, due.rows, strict=True)):
        whole = row == 0 or (due.last is not None and row == len(bars.rows) - 1)
        if what := _one(bar, before * unit, after * unit, whole):
            yield f"row {row}: {what}"


def _one(bar: Bar, before: float, after: float, whole: bool) -> str:
    """What is wrong with one bar; a change to less is filled, one to more is hollow, and none is not there."""
    low, high = sorted((max(0.0, before), max(0.0, after)))
    if bar.empty:
        return "" if before == after else f"nothing is drawn, by the evidence from {before:.2f} to {after:.2f}"
    if abs(bar.low - low) > _NEAR or not high - _NEAR <= bar.high <= max(high, low + _THIN) + _NEAR:
        return f"is drawn from {bar.low:.2f} to {bar.high:.2f}, by the evidence from {low:.2f} to {high:.2f}"
    return "" if whole or bar.hollow == (after > before) else "points the other way"


def _is_open(claim: ClaimResult) -> bool:
    known = None not in (claim.threshold, claim.low, claim.high, claim.measured)
    return claim.verdict is Verdict.UNPROVEN and known and any(reason.code in _OPEN for reason in claim.reasons)


def _values(claim: ClaimResult, evidence: Evidence) -> list[float]:
    """The values that a claim rests on; of a factor between two variants, run by run."""
    if not claim.metric.startswith("speedup"):
        return list(claim.values)
    inside = claim.text.partition("speedup(")[2].partition(")")[0] or "baseline, optimized"
    of = {}
    for one in evidence.variants:
        runs = [run.end - run.start for run in one.iterations]
        of[one.name] = list(one.untraced_ns) if evidence.speedup and evidence.speedup.source == "events" else runs
    before, after = (of.get(name.strip(), []) for name in inside.split(","))
    return [one / two for one, two in zip(before, after, strict=False) if two] if evidence.speedup else []


def _in_claim(drawn: Open, claim: ClaimResult, values: Sequence[float]) -> Iterator[str]:
    def x(value: float | None) -> float:
        return drawn.left + drawn.width * ((value or 0.0) - drawn.lowest) / (drawn.highest - drawn.lowest)

    if not drawn.highest > drawn.lowest:
        yield f"its axis is from {drawn.lowest} to {drawn.highest}"
        return
    dots = zip(drawn.dots, values, strict=False)
    if len(drawn.dots) != len(values) or any(abs(dot - x(value)) > _NEAR for dot, value in dots):
        yield f"its {len(drawn.dots)} dots are not the {len(values)} values"
    low, high = drawn.interval
    if abs(low - x(claim.low)) > _NEAR or not x(claim.high) - _NEAR <= high <= max(x(claim.high), low + _THIN) + _NEAR:
        yield f"its interval is drawn from {low:.2f} to {high:.2f}, it is from {x(claim.low):.2f} to {x(claim.high):.2f}"
    if abs(drawn.threshold - x(claim.threshold)) > _NEAR:
        yield f"its threshold is drawn at {drawn.threshold:.2f}, it is at {x(claim.threshold):.2f}"
    band = None if claim.threshold_low == claim.threshold_high else (x(claim.threshold_low), x(claim.threshold_high))
    if band and (drawn.band is None or max(abs(a - b) for a, b in zip(band, drawn.band, strict=True)) > _NEAR):
        yield "its threshold was measured, and the band of that is not drawn"
