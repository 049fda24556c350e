"""Times and rates over a size as one picture: medians as marks, the fitted parabola as a line through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...profiler.queries.scaling import Growth, Scaling
from ..catalog import Catalog
from ..page.axis import Tick, round_step
from ..page.colours import of_variant
from ..page.log_axis import LogAxis
from ..page.svg import boxes, open_line, polygon
from ..units import SCALES, duration, fixed, scaled, sensible

WIDTH, HEIGHT = 672.0, 268.0
_TOP, _BOTTOM, _LEFT, _APART = 22.0, 236.0, 50.0, 64.0
_TIMES, _RATES = (_LEFT, 326.0), (326.0 + _APART, WIDTH - 4)
_STEPS, _MOST_TICKS, _REACH = 48, 5, 3.4
_KIB = 1024

Spot = tuple[float, float]
Shape = Callable[[float, float], Markup]


@dataclass(frozen=True, slots=True)
class Curve:
    """One variant in one panel: all its marks as path data, and the fit as a line; `marks` alone where nothing was fitted."""

    colour: str
    marks: Markup
    line: Markup


@dataclass(frozen=True, slots=True)
class Panel:
    """An area with axes; `unit` stands above its left one."""

    left: float
    right: float
    unit: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A variant in the legend, by its own mark around (5, 5)."""

    colour: str
    mark: Markup
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`sentence` says in words what it shows."""

    width: float
    height: float
    top: float
    bottom: float
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...]
    axis: str
    sentence: str


def chart(found: Scaling, say: Catalog) -> Chart:
    """Lay the picture out: times on the left, both axes logarithmic; on the right, from nought, the rates of those whose operations
    grow with the square."""
    growths = found.growths
    rated = [growth for growth in growths if growth.rate is not None]
    panels = [_times(growths, say), *([_rates(rated)] if rated else [])]
    last = [(one.variant, one.points[-1]) for one in growths]
    told = [
        say("scaling.picture.one", variant=name, size=fixed(point.size, 0), time=duration(point.median_ns),
            rate=scaled(point.rate, "FLOP/s"))
        for name, point in last
    ]  # fmt: skip
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        panels=tuple(panels),
        keys=tuple(
            Key(of_variant(one.variant), _shape(place)(5.0, 5.0), say.get(f"variant.{one.variant}", one.variant))
            for place, one in enumerate(growths)
        ),
        axis=found.over,
        sentence=" ".join(told),
    )


def _times(growths: Sequence[Growth], say: Catalog) -> Panel:
    seen = [point.median_ns for growth in growths for point in growth.points]
    low, high = math.log10(min(seen) / 1.3), math.log10(max(seen) * 1.3)
    x_axis, y_axis = _sizes(growths, _TIMES), LogAxis(low, high, _BOTTOM, _TOP)
    curves = [
        _curve(place, growth, x_axis, y_axis.at, [point.median_ns for point in growth.points], lambda time, size: time)
        for place, growth in enumerate(growths)
    ]
    ticks = tuple(Tick(y_axis.at(10.0**power), _decade(power)) for power in y_axis.decades)
    return Panel(*_TIMES, say("scaling.picture.time"), _x_ticks(growths, x_axis), ticks, tuple(curves))


def _rates(growths: Sequence[Growth]) -> Panel:
    top = max(point.rate for growth in growths for point in growth.points) * 1.08
    x_axis = _sizes(growths, _RATES)

    def at(rate: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * min(1.0, rate / top)

    curves = [
        _curve(place, growth, x_axis, at, [point.rate for point in growth.points], _rate_of(growth))
        for place, growth in enumerate(growths)
    ]
    step = round_step(top, _MOST_TICKS)
    limit, prefix = next(pair for pair in SCALES if top >= pair[0] or pair[0] == 1.0)
    ticks = tuple(Tick(round(at(i * step), 2), sensible(i * step / limit)) for i in range(int(top / step) + 1))
    return Panel(*_RATES, f"{prefix}FLOP/s", _x_ticks(growths, x_axis), ticks, tuple(curves))


def _decade(power: int) -> str:
    """10⁷ ns as "10 ms"."""
    start, unit = next((pair for pair in ((9, "s"), (6, "ms"), (3, "µs")) if power >= pair[0]), (0, "ns"))
    return f"{sensible(10.0 ** (power - start))}\u00a0{unit}"


def _rate_of(growth: Growth) -> Callable[[float, float], float]:
    """The rate of a fitted time at a size, where the operations are so many a square."""
    each = growth.points[-1].flops / growth.points[-1].size ** 2
    return lambda time, size: each * size**2 / time * 1e9


def _curve(
    place: int,
    growth: Growth,
    x_axis: LogAxis,
    at: Callable[[float], float],
    values: Sequence[float],
    drawn: Callable[[float, float], float],
) -> Curve:
    """`drawn` makes of a fitted time and its size what the panel shows; where the fit is not above nought there is no line."""
    shape = _shape(place)
    marks = [shape(x_axis.at(point.size), at(value)) for point, value in zip(growth.points, values, strict=True)]
    sizes = np.geomspace(growth.points[0].size, growth.points[-1].size, _STEPS).tolist()
    fitted = [(size, growth.linear.value * size + growth.square.value * size**2) for size in sizes]
    above = all(time > 0 for _, time in fitted)
    line = open_line((x_axis.at(size), at(drawn(time, size))) for size, time in fitted) if above else Markup()
    return Curve(of_variant(growth.variant), Markup("").join(marks), line)


def _sizes(growths: Sequence[Growth], ends: Spot) -> LogAxis:
    seen = [point.size for growth in growths for point in growth.points]
    return LogAxis(math.log10(min(seen) / 1.25), math.log10(max(seen) * 1.25), *ends)


def _x_ticks(growths: Sequence[Growth], axis: LogAxis) -> tuple[Tick, ...]:
    sizes = sorted({point.size for growth in growths for point in growth.points})
    return tuple(Tick(axis.at(size), f"{size // _KIB}k" if size % _KIB == 0 else str(size)) for size in sizes)


def _shape(place: int) -> Shape:
    """A mark for each variant, so that none is told by its colour alone."""
    return (_diamond, _square, _triangle)[place % 3]


def _diamond(x: float, y: float) -> Markup:
    return polygon([(x - _REACH, y), (x, y - _REACH), (x + _REACH, y), (x, y + _REACH)])


def _square(x: float, y: float) -> Markup:
    half = _REACH * 0.8
    return boxes([(x - half, 2 * half)], y - half, 2 * half)


def _triangle(x: float, y: float) -> Markup:
    return polygon([(x - _REACH, y + 0.7 * _REACH), (x, y - _REACH), (x + _REACH, y + 0.7 * _REACH)])
