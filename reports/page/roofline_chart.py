"""The roofline picture: both axes logarithmic, the measured roofs, the variants, and the path from one to the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup

from ...profiler.evidence import KernelRates, Rates
from ..catalog import Catalog
from ..units import NOTHING, percent, scaled
from .axis import Measure, Tick
from .colours import of_variant
from .labels import Around, Label, Rect, together
from .log_axis import LogAxis, x_ticks, y_ticks
from .roofs import SIZE, Mark, Roof, Roofs, flat_roofs, rooms, slope_of
from .svg import polygon

MOST_SMALL = 500
"""The most kernels drawn for one variant; a page holds about 2,000 marks."""

_TOP, _FOOT = 18.0, 34.0
_ROOMY = 500.0  # in a narrower picture there is no room for shares beside the rates
_RADIUS = 4.6
_DIGITS, _TOGETHER = 9.5, 5.0
_LONGER = 4
_FEW = 3
_AVOIDED = 60
"""So many kernels are kept clear of labels, those that ran longest; with more there is no place left that is."""


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

    variant: str
    name: str
    colour: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """The kernels of the table beneath that lie at (x, y), by their numbers there."""

    text: str
    x: float
    y: float
    at: Label


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
    """The picture, laid out. `x_powers`, `y_powers`: the powers of ten at the ends of each axis. `sentence` says in words what it
    shows."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_powers: str
    y_powers: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    roofs: tuple[Roof, ...]
    kernels: tuple[Small, ...]
    numbers: tuple[Numbers, ...]
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


def roofline_chart(
    placed: Sequence[Place], roofs: Roofs, say: Catalog, measure: Measure, numbered: Sequence[tuple[str, str]] = ()
) -> RooflineChart | None:
    """Lay the picture out; None where no variant has a place on it.

    Args:
        numbered: the (variant, kernel) of each row of the table beneath, in its order.
    """
    if not placed:
        return None
    wide = measure.width > _ROOMY
    left, right, height = (46.0, 16.0, 300.0) if wide else (36.0, 14.0, 280.0)
    y_axis = _y_axis(placed, roofs, height - _FOOT, _TOP)
    x_axis, flat = _labelled(placed, roofs, _x_axis(placed, roofs, left, measure.width - right), y_axis)
    marks = [(x_axis.at(place.intensity), y_axis.at(place.rate)) for place in placed]
    slope = slope_of(roofs, rooms(flat), marks, x_axis, y_axis, say)
    arrows = tuple(arrow for one, two in pairwise(marks) if (arrow := _arrow(one, two)))
    roofs_drawn, ways = [roof.line for roof in (slope, *flat)], [(a.x1, a.y1, a.x2, a.y2) for a in arrows]
    frame = Rect(left, 0, measure.width - right, height - _FOOT)
    kernels = tuple(_small(placed, x_axis, y_axis))
    small = [Rect(one.x - 3, one.y - 3, one.x + 3, one.y + 3) for one in kernels[:_AVOIDED]]
    around = Around(frame, [*rooms((slope, *flat)), *small], roofs_drawn, ways)
    points = _points(placed, marks, y_axis, around, say)
    around = replace(
        around, taken=[*around.taken, *(_at(mark) for mark in marks), *(point.at.room for point in points)]
    )
    return RooflineChart(
        width=measure.width,
        height=height,
        left=left,
        right=measure.width - right,
        top=_TOP,
        bottom=height - _FOOT,
        x_powers=f"{x_axis.low:.12g} {x_axis.high:.12g}",
        y_powers=f"{y_axis.low:.12g} {y_axis.high:.12g}",
        x_ticks=tuple(x_ticks(x_axis)),
        y_ticks=tuple(y_ticks(y_axis)),
        roofs=(slope, *flat),
        kernels=kernels,
        numbers=numbers_of(kernels, numbered, around),
        points=points,
        arrows=arrows,
        sentence=" ".join(_in_words(place, say) for place in placed),
    )


def _labelled(
    placed: Sequence[Place], roofs: Roofs, x_axis: LogAxis, y_axis: LogAxis
) -> tuple[LogAxis, tuple[Roof, ...]]:
    """The axis and the flat roofs on it; longer by up to two decades where a roof's label would lie over the slope."""
    flat = tuple(flat_roofs(roofs, x_axis, y_axis))
    for _ in range(_LONGER):
        steep = x_axis.decade / y_axis.decade
        if all((room := roof.room) is None or room.left > roof.x1 + (room.top - roof.y1) * steep + 4 for roof in flat):
            break
        x_axis = replace(x_axis, high=x_axis.high + 0.5)
        flat = tuple(flat_roofs(roofs, x_axis, y_axis))
    return x_axis, flat


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
    placed: Sequence[Place], marks: Sequence[Mark], y_axis: LogAxis, around: Around, say: Catalog
) -> tuple[Point, ...]:
    """The variants' marks, each with its label where it hides nothing."""
    names = [say.get(f"variant.{place.name}", place.name) for place in placed]
    notes = [_short(place) if brief(placed) else _note(place, say) for place in placed]
    if around.frame.right <= _ROOMY and not brief(placed):
        notes = [scaled(place.rate, "FLOP/s") for place in placed]
    texts = [(*mark, f"{name}  {note}") for mark, name, note in zip(marks, names, notes, strict=True)]
    labels = together(texts, SIZE, replace(around, taken=[*around.taken, *map(_at, marks)]))
    made = []
    for i, (place, (x, y)) in enumerate(zip(placed, marks, strict=True)):
        roof = place.rates.ceiling
        colour, roof_y = of_variant(place.name), None if roof is None else y_axis.at(roof)
        hidden = any(math.dist((x, y), later) < _RADIUS for later in marks[i + 1 :])  # so that it shows as a ring
        radius = _RADIUS * (1 + 0.6 * hidden)
        made.append(Point(place.name, names[i], notes[i], colour, place.counted, x, y, roof_y, radius, labels[i]))
    return tuple(made)


def _at(mark: Mark) -> Rect:
    return Rect(mark[0] - 6, mark[1] - 6, mark[0] + 6, mark[1] + 6)


def numbers_of(kernels: Sequence[Small], numbered: Sequence[tuple[str, str]], around: Around) -> tuple[Numbers, ...]:
    """The kernels' numbers in the table beneath, beside their marks; those of marks that cover one another together."""
    groups: list[tuple[float, float, list[int]]] = []
    for place, row in enumerate(numbered, 1):
        one = next((one for one in kernels if (one.variant, one.name) == row), None)
        if one is None:
            continue
        near = next((group for group in groups if math.dist(group[:2], (one.x, one.y)) < _TOGETHER), None)
        near[2].append(place) if near else groups.append((one.x, one.y, [place]))
    texts = [(x, y, ", ".join(map(str, places))) for x, y, places in groups]
    labels = together(texts, _DIGITS, around)
    return tuple(Numbers(text, x, y, at) for (x, y, text), at in zip(texts, labels, strict=True))


def brief(placed: Sequence[Place] | Sequence[Point]) -> bool:
    """Whether there are so many variants that only shares of their roofs are written beside them."""
    return len(placed) > _FEW


def _short(place: Place) -> str:
    share = place.rates.of_roofline
    return scaled(place.rate, "FLOP/s") if share is None else percent(share)


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
            yield Small(
                place.name, one.name, colour, x_axis.at(one.arithmetic_intensity or 1.0), y_axis.at(one.achieved_flops)
            )


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
