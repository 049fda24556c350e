"""Every run as a dot on an axis from zero, one strip for each variant and way of timing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from ...profiler.evidence import Evidence, VariantEvidence
from ..catalog import Catalog
from ..units import duration
from .axis import Axis, Measure, Tick
from .colours import of_variant

ROW = 24.0
_APART = 3.1
_DEEPEST = 9.3


@dataclass(frozen=True, slots=True)
class Strip:
    """One row: its dots around `y`, the bar at the median, and what is written beside it."""

    label: str
    note: str
    colour: str
    traced: bool
    y: float
    dots: tuple[tuple[float, float], ...]
    median_x: float
    label_x: float
    value: str


@dataclass(frozen=True, slots=True)
class StripPlot:
    """All rows on one axis. `sentence` says in words what the picture shows."""

    width: float
    height: float
    axis: Axis
    ticks: tuple[Tick, ...]
    strips: tuple[Strip, ...]
    sentence: str


def strip_plot(evidence: Evidence, say: Catalog, measure: Measure, untraced: bool = True) -> StripPlot | None:
    """Every measured iteration and every untraced run, or (`untraced` False) only those the speedup rests on; None if
    nothing was measured."""
    rows = [row for row in _rows(evidence, untraced) if row[2]]
    if not rows:
        return None
    axis = measure.axis(max(max(times) for _, _, times in rows))
    strips = tuple(
        _strip(variant, traced, times, axis, ROW * index + ROW / 2, say)
        for index, (variant, traced, times) in enumerate(rows)
    )
    sentence = " ".join(say("runs.row", variant=strip.label, note=strip.note, value=strip.value) for strip in strips)
    return StripPlot(measure.width, ROW * len(rows) + 22, axis, axis.ticks(measure.most_ticks), strips, sentence)


def times_of(variant: VariantEvidence) -> tuple[int, ...]:
    """The projected time of every measured iteration, in ns."""
    return tuple(iteration.end - iteration.start for iteration in variant.iterations)


def _rows(evidence: Evidence, untraced: bool) -> list[tuple[str, bool, tuple[int, ...]]]:
    """Both variants, traced and untraced. With a staged pair's steps that would fill the page: then, as in an overview,
    only the runs that the speedup rests on."""
    ends = (evidence.baseline, evidence.optimized)
    if untraced and not evidence.staged:
        return [row for traced in (True, False) for row in _timed(ends, traced)]
    by_events = evidence.speedup is not None and evidence.speedup.source == "events"
    return _timed(evidence.variants if untraced else ends, not by_events)


def _timed(variants: Iterable[VariantEvidence], traced: bool) -> list[tuple[str, bool, tuple[int, ...]]]:
    return [(one.name, traced, times_of(one) if traced else one.untraced_ns) for one in variants]


def _strip(variant: str, traced: bool, times: Sequence[int], axis: Axis, y: float, say: Catalog) -> Strip:
    middle = median(times)
    return Strip(
        label=say.get(f"variant.{variant}", variant),
        note=say("claims.n" if traced else "runs.untraced", n=len(times)),
        colour=of_variant(variant),
        traced=traced,
        y=y,
        dots=swarm([axis.x(time) for time in times], y),
        median_x=axis.x(middle),
        label_x=round(axis.x(max(times)) + 8, 2),
        value=duration(middle),
    )


def swarm(xs: Sequence[float], y: float) -> tuple[tuple[float, float], ...]:
    """Dots moved apart vertically, in order, where they would hide one another; by at most `_DEEPEST`."""
    steps = [0.0] + [sign * step * _APART for step in range(1, int(_DEEPEST / _APART) + 1) for sign in (-1, 1)]
    placed: list[tuple[float, float]] = []
    for x in xs:
        free = (step for step in steps if all(_clear(x, y + step, dot) for dot in placed))
        placed.append((x, round(y + next(free, 0.0), 2)))
    return tuple(placed)


def _clear(x: float, y: float, dot: tuple[float, float]) -> bool:
    return (x - dot[0]) ** 2 + (y - dot[1]) ** 2 >= _APART**2 - 1e-6
