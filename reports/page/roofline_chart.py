"""The roofline picture: both axes logarithmic, the measured roofs, the variants, and the path from one to the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from ...profiler.evidence import KernelRates, Rates
from ..catalog import Catalog
from ..units import NOTHING, percent, scaled
from .axis import Measure, Tick
from .colours import of_variant
from .labels import Label, Rect, Segment, beside
from .log_axis import LogAxis, x_ticks, y_ticks
from .roofs import SIZE, Mark, Roof, Roofs, flat_roofs, rooms, slope_of
from .svg import polygon

MOST_SMALL = 500
"""The most kernels drawn for one variant; a page holds about 2,000 marks."""

_TOP, _FOOT = 18.0, 34.0
_ROOMY = 500.0  # in a narrower picture there is no room for shares beside the rates
_RADIUS = 4.6


@dataclass(frozen=True, slots=True)
class Point:
    """A variant: filled where its work was counted, hollow where it is only declared. `roof_y` is its own roof above it."""

    name: str
    label: str
    note: str
    colour: str
    counted: bool
    x: float
    y: float
    roof_y: float | None
    radius: float
    at: Label


@dataclass(frozen=True, slots=True)
class Small:
    """One kernel of a variant."""

    colour: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one variant to the next: a line and its head, as an SVG path."""

    x1: float
    y1: float
    x2: float
    y2: float
    head: Markup


@dataclass(frozen=True, slots=True)
class RooflineChart:
    """The picture, laid out. `sentence` says in words what it shows."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    roofs: tuple[Roof, ...]
    kernels: tuple[Small, ...]
    points: tuple[Point, ...]
    arrows: tuple[Arrow, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a variant stands: FLOP/B and FLOP/s, counted, or declared by formula."""

    name: str
    intensity: float
    rate: float
    counted: bool
    rates: Rates


def places(rates: dict[str, Rates]) -> list[Place]:
    """The variants that have a place on the picture, in their order."""
    placed = [_place(name, one) for name, one in rates.items()]
    return [place for place in placed if place is not None]


def _place(name: str, one: Rates) -> Place | None:
    counted = one.tier == "counted"
    flops = one.flops_counted if counted else one.flops_declared
    moved = one.dram_bytes if counted else one.bytes_declared
    if not flops or not moved or not one.achieved_flops:
        return None
    return Place(name, flops / moved, one.achieved_flops, counted, one)


def roofline_chart(placed: Sequence[Place], roofs: Roofs, say: Catalog, measure: Measure) -> RooflineChart | None:
    """Lay the picture out; None where no variant has a place on it."""
    if not placed:
        return None
    wide = measure.width > _ROOMY
    left, right, height = (46.0, 16.0, 300.0) if wide else (36.0, 14.0, 280.0)
    x_axis = _x_axis(placed, roofs, left, measure.width - right)
    y_axis = _y_axis(placed, roofs, height - _FOOT, _TOP)
    flat = tuple(flat_roofs(roofs, x_axis, y_axis))
    marks = [(x_axis.at(place.intensity), y_axis.at(place.rate)) for place in placed]
    slope = slope_of(roofs, rooms(flat), marks, x_axis, y_axis, say)
    arrows = tuple(arrow for one, two in pairwise(marks) if (arrow := _arrow(one, two)))
    lines = [*(roof.line for roof in (slope, *flat)), *((a.x1, a.y1, a.x2, a.y2) for a in arrows)]
    frame = Rect(left, 0, measure.width - right, height - _FOOT)
    points = _points(placed, marks, y_axis, frame, rooms(flat), lines, say)
    return RooflineChart(
        width=measure.width,
        height=height,
        left=left,
        right=measure.width - right,
        top=_TOP,
        bottom=height - _FOOT,
        x_ticks=tuple(x_ticks(x_axis)),
        y_ticks=tuple(y_ticks(y_axis)),
        roofs=(slope, *flat),
        kernels=tuple(_small(placed, x_axis, y_axis)),
        points=points,
        arrows=arrows,
        sentence=" ".join(_in_words(place, say) for place in placed),
    )


def _x_axis(placed: Sequence[Place], roofs: Roofs, start: float, end: float) -> LogAxis:
    """An axis with room for every variant and every ridge point."""
    ridges = [rate / roofs.bandwidth for rate in roofs.compute.values()]
    seen = [place.intensity for place in placed] + [one.arithmetic_intensity or 0 for one in _kernels(placed)]
    low, high = min(*seen, *ridges, seen[0]) / 3, max(*seen, *ridges, seen[0]) * 8
    return LogAxis(math.floor(math.log10(low) * 2) / 2, math.ceil(math.log10(high) * 2) / 2, start, end)


def _y_axis(placed: Sequence[Place], roofs: Roofs, start: float, end: float) -> LogAxis:
    seen = [place.rate for place in placed] + [one.achieved_flops for one in _kernels(placed)]
    top = max(*seen, *roofs.compute.values(), seen[0])
    low = min(*seen, *roofs.compute.values(), seen[0]) / 3
    return LogAxis(math.floor(math.log10(low) * 2) / 2, math.log10(top * 2.2), start, end)


def _points(
    placed: Sequence[Place],
    marks: Sequence[Mark],
    y_axis: LogAxis,
    frame: Rect,
    taken: list[Rect],
    lines: Sequence[Segment],
    say: Catalog,
) -> tuple[Point, ...]:
    """The variants' marks, each with its label where it hides least."""
    taken = [*taken, *(Rect(x - 6, y - 6, x + 6, y + 6) for x, y in marks)]
    made = []
    for i, (place, (x, y)) in enumerate(zip(placed, marks, strict=True)):
        label, roof = say.get(f"variant.{place.name}", place.name), place.rates.ceiling
        note = _note(place, say) if frame.right > _ROOMY else scaled(place.rate, "FLOP/s")
        at = beside(x, y, f"{label}  {note}", SIZE, frame, taken, lines)
        taken.append(at.room)
        colour, roof_y = of_variant(place.name), None if roof is None else y_axis.at(roof)
        hidden = any(math.dist((x, y), later) < _RADIUS for later in marks[i + 1 :])  # so that it shows as a ring
        made.append(
            Point(place.name, label, note, colour, place.counted, x, y, roof_y, _RADIUS * (1 + 0.6 * hidden), at)
        )
    return tuple(made)


def _note(place: Place, say: Catalog) -> str:
    share = place.rates.of_roofline
    key = "roofline.point" if place.counted else "roofline.point_declared"
    rate = scaled(place.rate, "FLOP/s")
    return say(key, rate=rate, share=NOTHING if share is None else percent(share))


def _kernels(placed: Sequence[Place]) -> list[KernelRates]:
    return [one for place in placed for one in _drawn(place)]


def _drawn(place: Place) -> list[KernelRates]:
    """The kernels of a variant that has several; one alone is the variant."""
    kernels = [one for one in place.rates.kernels if one.flops and one.arithmetic_intensity]
    return kernels[:MOST_SMALL] if len(kernels) > 1 else []


def _small(placed: Sequence[Place], x_axis: LogAxis, y_axis: LogAxis) -> Iterable[Small]:
    for place in placed:
        for one in _drawn(place):
            colour = of_variant(place.name)
            yield Small(colour, x_axis.at(one.arithmetic_intensity or 1.0), y_axis.at(one.achieved_flops))


def _arrow(one: Mark, two: Mark) -> Arrow | None:
    """None where the two are too close for one to be seen."""
    dx, dy = two[0] - one[0], two[1] - one[1]
    length = math.hypot(dx, dy)
    if length < 26:
        return None
    ux, uy = dx / length, dy / length
    tip = (two[0] - 8 * ux, two[1] - 8 * uy)
    base = (tip[0] - 7 * ux, tip[1] - 7 * uy)
    corners = [tip, (base[0] - 3 * uy, base[1] + 3 * ux), (base[0] + 3 * uy, base[1] - 3 * ux)]
    line = (round(one[0] + 7 * ux, 2), round(one[1] + 7 * uy, 2), round(base[0], 2), round(base[1], 2))
    return Arrow(*line, polygon(corners))


def _in_words(place: Place, say: Catalog) -> str:
    return say(
        "roofline.sentence",
        variant=say.get(f"variant.{place.name}", place.name),
        intensity=scaled(place.intensity, "FLOP/B"),
        rate=_note(place, say),
    )
