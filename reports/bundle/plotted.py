"""Whether strips, bars of single numbers and rooflines say what the evidence does: each held against it, without the code that draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10
from statistics import median

from ...profiler.evidence import Evidence, KernelRates, Rates, VariantEvidence
from ...profiler.judging.rate_metrics import RATE_METRICS
from .plots import Numbers, Plots, Roofline, Runs, Tick

_NEAR = 0.06
_BAR = 150.0
_THIN = 0.5
_UNITS = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_MOST_RINGS = 500
_MAY_BE_ABSENT = ("busy(h2d)", "busy(d2h)", "overlap(compute, copy)", "overlap(h2d, d2h)")
_SHARED = {"overlap(compute, copy)": ("compute", "copy"), "overlap(h2d, d2h)": ("h2d", "d2h")}
_TIMES = ("span", "host", "busy(compute)", *_MAY_BE_ABSENT, "idle")
_SIZES = ["wide", "narrow"]


def plot_differences(plots: Plots, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Where the pictures of a pair's values are not the evidence's: which one, and what."""
    yield from _of_runs(plots.runs, _timed(evidence, evidence.variants), "runs")
    if plots.details:
        yield from _of_runs(plots.every_run, _every_time(evidence), "every run")
        yield from _of_rooflines(plots.rooflines, evidence)
    due = _times(evidence)
    if plots.details or not _staged(evidence):
        drawn = [one for one in plots.numbers if one.rows]
        if len(drawn) != bool(due):
            yield "numbers", f"{len(drawn)} tables with bars, by the evidence {int(bool(due))}"
        elif due:
            yield from (("bars of the numbers", what) for what in _of_numbers(drawn[0], due))


def overview_differences(small: Sequence[Runs], evidences: Sequence[Evidence]) -> Iterator[tuple[str, str]]:
    """Where the small pictures of the overview, a row a pair, are not the evidence's."""
    if len(evidences) < 2:
        return
    due = [rows for one in evidences if (rows := _timed(one, (one.baseline, one.optimized)))]
    if len(small) != len(due):
        yield "overview", f"{len(small)} pictures, by the evidence {len(due)}"
        return
    for place, (drawn, rows) in enumerate(zip(small, due, strict=True), 1):
        yield from ((f"overview, row {place}", what) for what in _in_runs(drawn, rows))


def _staged(evidence: Evidence) -> bool:
    """Whether its numbers stand in the appendix, as a table of steps takes their room."""
    return bool(evidence.steps and evidence.speedup)


Rows = list[tuple[int, ...]]


def _spans(variant: VariantEvidence) -> tuple[int, ...]:
    return tuple(run.end - run.start for run in variant.iterations)


def _timed(evidence: Evidence, variants: Sequence[VariantEvidence]) -> Rows:
    """The runs that the speedup rests on, a row a variant."""
    untraced = evidence.speedup is not None and evidence.speedup.source == "events"
    return [times for one in variants if (times := one.untraced_ns if untraced else _spans(one))]


def _every_time(evidence: Evidence) -> Rows:
    ends = (evidence.baseline, evidence.optimized)
    if evidence.staged or not all(one.iterations and one.untraced_ns for one in ends):
        return []
    return [*map(_spans, ends), *(one.untraced_ns for one in ends)]


def _of_runs(drawn: Sequence[Runs], rows: Rows, where: str) -> Iterator[tuple[str, str]]:
    if [one.name for one in drawn] != (_SIZES if rows else []):
        yield where, f"{len(drawn)} pictures, by the evidence {2 if rows else 0}"
        return
    for one in drawn:
        yield from ((f"{where}, {one.name}", what) for what in _in_runs(one, rows))


def _in_runs(drawn: Runs, rows: Rows) -> Iterator[str]:
    unit = drawn.width / max(1, *(max(times) for times in rows))
    yield from _linear(drawn.ticks, drawn.left, unit)
    due = [drawn.left + unit * ns for times in rows for ns in times]
    if len(drawn.dots) != len(due):
        yield f"{len(drawn.dots)} dots, by the evidence {len(due)}"
    elif wrong := [(x, at) for x, at in zip(drawn.dots, due, strict=True) if abs(x - at) > _NEAR]:
        yield f"a dot is drawn at {wrong[0][0]:.2f}, by the evidence at {wrong[0][1]:.2f}"
    middles = [drawn.left + unit * median(times) for times in rows]
    if len(drawn.medians) != len(middles) or any(
        abs(x - at) > _NEAR for x, at in zip(drawn.medians, middles, strict=False)
    ):
        yield f"its medians are drawn at {drawn.medians}, by the evidence at {[round(at, 2) for at in middles]}"


def _linear(ticks: Sequence[Tick], left: float, unit: float) -> Iterator[str]:
    """Whether each tick of an axis from zero lies where its label says; the last one names the unit."""
    last, _, name = ticks[-1][1].partition("\u00a0") if len(ticks) > 1 else ("", "", "")
    if not last or name not in _UNITS:
        yield "has no axis"
        return
    for x, label in ticks:
        if abs(x - left - _read(label.partition("\u00a0")[0]) * _UNITS[name] * unit) > _NEAR:
            yield f"its axis says {label} at {x:.2f}"


def _read(label: str) -> float:
    return float(label.replace(",", ""))


def _times(evidence: Evidence) -> list[dict[str, float]]:
    """The times of one iteration that have a row, medians in ns by variant."""
    rows = []
    for name in _TIMES:
        known = {
            one: ns
            for one, variant in (("baseline", evidence.baseline), ("optimized", evidence.optimized))
            if (ns := _median(variant, name)) is not None
        }
        if known and (any(known.values()) or name not in _MAY_BE_ABSENT):
            rows.append(known)
    return rows if any(any(row.values()) for row in rows) else []


def _median(variant: VariantEvidence, name: str) -> float | None:
    values: list[float] = []
    for run in variant.iterations:
        if name == "span":
            values.append(run.end - run.start)
        elif name == "host":
            values += [] if run.host_ns is None else [run.host_ns]
        elif name in run.numbers:
            values.append(run.numbers[name])
        elif name in _SHARED:
            one, two = _SHARED[name]
            parts = run.numbers.get(f"hidden({one}, {two})"), run.numbers.get(f"busy({one})")
            values += [] if parts[0] is None or parts[1] is None else [parts[0] * parts[1]]
    return median(values) if values else None


def _of_numbers(drawn: Numbers, due: list[dict[str, float]]) -> Iterator[str]:
    unit = _BAR / max(ns for row in due for ns in row.values())
    if len(drawn.ticks) < 2:
        yield "have no axis"
    for x, label in drawn.ticks:
        if abs(x - _read(label) * 1e6 * unit) > _NEAR:
            yield f"their axis says {label} at {x:.2f}"
    if len(drawn.rows) != len(due):
        yield f"are {len(drawn.rows)} rows, by the evidence {len(due)}"
        return
    for place, (row, known) in enumerate(zip(drawn.rows, due, strict=True)):
        for name in ("baseline", "optimized"):
            at, is_ = unit * known.get(name, 0.0), row.get(name, 0.0)
            if not at - _NEAR <= is_ <= max(at, _THIN if at else 0.0) + _NEAR:
                yield f"row {place}, {name}: is drawn {is_:.2f} long, by the evidence {at:.2f}"


def _of_rooflines(drawn: Sequence[Roofline], evidence: Evidence) -> Iterator[tuple[str, str]]:
    placed = _placed(evidence)
    if [one.name for one in drawn] != (_SIZES if placed else []):
        yield "roofline", f"{len(drawn)} pictures, by the evidence {2 if placed else 0}"
        return
    for one in drawn:
        yield from ((f"roofline, {one.name}", what) for what in _in_roofline(one, placed, evidence))


Placed = list[tuple[Rates, float, float]]
"""Of each variant with a place its rates, FLOP a byte and FLOP a second."""


def _ceilings(evidence: Evidence) -> dict[str, float]:
    measured = evidence.manifest.ceilings
    return {row.name: float(row.value) for row in (measured.ceilings or [])} if measured else {}


def _bandwidth(ceilings: dict[str, float]) -> float:
    return max((ceilings.get(name, 0.0) for name in ("copy", "read")), default=0.0)


def _placed(evidence: Evidence) -> Placed:
    """The variants that have a place on the picture; none where there is no picture."""
    asked = evidence.manifest.counters or any(claim.metric in RATE_METRICS for claim in evidence.claims)
    found: Placed = []
    for one in evidence.rates.values() if asked and _bandwidth(_ceilings(evidence)) else ():
        counted = one.tier == "counted"
        work = one.flops_counted if counted else one.flops_declared
        moved = one.dram_bytes if counted else one.bytes_declared
        if work and moved and one.achieved_flops:
            found.append((one, work / moved, one.achieved_flops))
    return found


class _Log:
    """Where a value lies on an axis of powers of ten; what is beyond its ends, at them."""

    def __init__(self, start: float, end: float, powers: tuple[float, ...]) -> None:
        self.start, self.end = start, end
        self.low, self.high = powers

    def at(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))


def _in_roofline(drawn: Roofline, placed: Placed, evidence: Evidence) -> Iterator[str]:
    left, right, top, bottom = drawn.area
    x, y = _Log(left, right, drawn.x_powers), _Log(bottom, top, drawn.y_powers)
    for axis, ticks in ((x, drawn.x_ticks), (y, drawn.y_ticks)):
        yield from _decades(axis, ticks)
    due = [
        (x.at(at), y.at(rate), one.tier == "counted", None if one.ceiling is None else y.at(one.ceiling))
        for one, at, rate in placed
    ]
    if len(drawn.points) != len(due) or not all(map(_same, drawn.points, due)):
        yield f"its marks are {drawn.points}, by the evidence {due}"
    rings = [
        (x.at(one.arithmetic_intensity), y.at(one.achieved_flops))
        for rates, _, _ in placed
        for one in _kernels(rates)
        if one.arithmetic_intensity
    ]
    if len(drawn.rings) != len(rings) or not all(map(_same, drawn.rings, rings)):
        yield f"its {len(drawn.rings)} rings are not the {len(rings)} kernels"
    measured = evidence.manifest.ceilings
    rows = (measured.ceilings or []) if measured else []
    flat = [one.name for one in rows if one.unit == "flop/s" and not one.name.endswith("_sustained")]
    yield from _roofs(drawn, x, y, _ceilings(evidence), flat)


def _kernels(rates: Rates) -> list[KernelRates]:
    """The kernels of a variant that has several."""
    found = [one for one in rates.kernels if one.flops and one.arithmetic_intensity]
    return found[:_MOST_RINGS] if len(found) > 1 else []


def _decades(axis: _Log, ticks: Sequence[Tick]) -> Iterator[str]:
    """Whether each label of an axis lies where it says; some have no room."""
    if not any(label.strip() for _, label in ticks):
        yield "has an axis without labels"
    for at, label in ticks:
        value, _, prefix = label.strip().partition("\u00a0")
        if value and abs(at - axis.at(_read(value) * _PREFIXES[prefix])) > _NEAR:
            yield f"its axis says {label} at {at:.2f}"


def _roofs(drawn: Roofline, x: _Log, y: _Log, ceilings: dict[str, float], flat: Sequence[str]) -> Iterator[str]:
    """The slope of the memory's bandwidth, and a flat line from its ridge for each matrix rate that was measured."""
    peak = _bandwidth(ceilings)
    due = sorted((x.at(ceilings[name] / peak), y.at(ceilings[name]), x.end, y.at(ceilings[name])) for name in flat)
    slopes = [roof for roof in drawn.roofs if roof[1] != roof[3]]
    level = sorted(roof for roof in drawn.roofs if roof[1] == roof[3])
    if len(level) != len(due) or not all(map(_same, level, due)):
        yield f"its flat roofs are {level}, by the ceilings {due}"
    if len(slopes) != 1:
        yield f"{len(slopes)} slopes are drawn"
        return
    ((x1, y1, x2, y2),) = slopes
    for at, height in ((x1, y1), (x2, y2)):
        power = x.low + (x.high - x.low) * (at - x.start) / (x.end - x.start)
        if abs(y.at(10**power * peak) - height) > 0.2:
            yield f"its slope is at {height:.2f}, by the bandwidth at {y.at(10**power * peak):.2f}"


def _same(one: Sequence[float | None], two: Sequence[float | None]) -> bool:
    return all(
        a is b or (a is not None and b is not None and abs(a - b) <= _NEAR) for a, b in zip(one, two, strict=True)
    )
