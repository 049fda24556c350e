"""Every run as a dot on an axis from zero, one strip for each variant and way of timing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from ...profiler.evidence import Evidence, VariantEvidence
from ..catalog import Catalog
from ..units import duration
from .axis import Axis, Measure, Tick
from .colours import of_variant

ROW, _FLAT = 24.0, 15.5
_FEW = 3
"""Of more rows than this each is flatter and says no n, where that is the same of all: the picture's `note`."""

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
    """All rows on one axis. `note` is what would stand beside every row, `half` how far a median's bar reaches from its row;
    `sentence` says in words what the picture shows."""

    width: float
    height: float
    axis: Axis
    ticks: tuple[Tick, ...]
    strips: tuple[Strip, ...]
    note: str
    half: float
    sentence: str


def strip_plot(evidence: Evidence, say: Catalog, measure: Measure, untraced: bool = True) -> StripPlot | None:
    """Every measured iteration and every untraced run, or (`untraced` False) only those the speedup rests on; None if
    nothing was measured."""
    rows = [row for row in _rows(evidence, untraced) if row[2]]
    if not rows:
        return None
    axis = measure.axis(max(max(times) for _, _, times in rows))
    flat = len(rows) > _FEW and len({(traced, len(times)) for _, traced, times in rows}) == 1
    row = _FLAT if flat else ROW
    strips = tuple(
        _strip(variant, traced, times, axis, row * index + row / 2, row, say)
        for index, (variant, traced, times) in enumerate(rows)
    )
    return StripPlot(
        width=measure.width,
        height=row * len(rows) + 22,
        axis=axis,
        ticks=axis.ticks(measure.most_ticks),
        strips=tuple(replace(one, note="") for one in strips) if flat else strips,
        note=strips[0].note if flat else "",
        half=row / 2,
        sentence=" ".join(say("runs.row", variant=one.label, note=one.note, value=one.value) for one in strips),
    )


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


def _strip(variant: str, traced: bool, times: Sequence[int], axis: Axis, y: float, row: float, say: Catalog) -> Strip:
    middle = median(times)
    return Strip(
        label=say.get(f"variant.{variant}", variant),
        note=say("claims.n" if traced else "runs.untraced", n=len(times)),
        colour=of_variant(variant),
        traced=traced,
        y=y,
        dots=swarm([axis.x(time) for time in times], y, row / ROW * _DEEPEST),
        median_x=axis.x(middle),
        label_x=round(axis.x(max(times)) + 8, 2),
        value=duration(middle),
    )


def swarm(xs: Sequence[float], y: float, deepest: float = _DEEPEST) -> tuple[tuple[float, float], ...]:
    """Dots moved apart vertically, in order, where they would hide one another; by at most `deepest`."""
    steps = [0.0] + [sign * step * _APART for step in range(1, int(deepest / _APART + 1e-9) + 1) for sign in (-1, 1)]
    placed: list[tuple[float, float]] = []
    for x in xs:
        free = (step for step in steps if all(_clear(x, y + step, dot) for dot in placed))
        placed.append((x, round(y + next(free, 0.0), 2)))
    return tuple(placed)


def _clear(x: float, y: float, dot: tuple[float, float]) -> bool:
    return (x - dot[0]) ** 2 + (y - dot[1]) ** 2 >= _APART**2 - 1e-6
