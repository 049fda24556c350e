"""The measured roofs of a roofline: the slope of the memory, a flat line for each precision, and their labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..catalog import Catalog
from ..units import SCALES, fixed, scaled
from .labels import Rect, Segment, width
from .log_axis import LogAxis

SIZE = 10.5
"""Of the picture's labels, in pixels."""

_ROW = 13.0
_ALONG = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
_ENOUGH = 70.0

Mark = tuple[float, float]
"""Where a variant stands, in pixels."""


@dataclass(frozen=True, slots=True)
class Roofs:
    """What was measured: bytes a second, and FLOP a second by the name of the ceiling."""

    bandwidth: float
    compute: dict[str, float]
    own: frozenset[str]


@dataclass(frozen=True, slots=True)
class Roof:
    """One measured roof, where it is the lower one; `own`: at least one variant has work under it."""

    label: str
    own: bool
    x1: float
    y1: float
    x2: float
    y2: float
    label_x: float
    label_y: float
    angle: float

    @property
    def line(self) -> Segment:
        return self.x1, self.y1, self.x2, self.y2

    @property
    def room(self) -> Rect | None:
        """The space that a flat roof's label takes; None if it has no label, or one along a slope."""
        if not self.label or self.angle:
            return None
        left = self.label_x - width(self.label, SIZE)
        return Rect(round(left, 2), round(self.label_y - SIZE, 2), self.label_x, round(self.label_y + 2, 2))


def slope_of(
    roofs: Roofs, taken: Sequence[Rect], marks: Sequence[Mark], x_axis: LogAxis, y_axis: LogAxis, say: Catalog
) -> Roof:
    """The slope, from the left or lower edge up to the highest ridge; its label lies along it, where there is the most
    room."""
    lowest = max(10.0**x_axis.low, 10.0**y_axis.low / roofs.bandwidth)
    highest = max(roofs.compute.values(), default=10.0**y_axis.high) / roofs.bandwidth
    x1, y1 = x_axis.at(lowest), y_axis.at(lowest * roofs.bandwidth)
    x2, y2 = x_axis.at(highest), y_axis.at(highest * roofs.bandwidth)
    angle = math.atan2(y2 - y1, x2 - x1)
    places = [
        (x1 + share * (x2 - x1) + 6 * math.sin(angle), y1 + share * (y2 - y1) - 6 * math.cos(angle)) for share in _ALONG
    ]
    x, y = max(
        places, key=lambda at: min(_ENOUGH, *(r.distance(*at) for r in taken), *(math.dist(m, at) for m in marks))
    )
    label = say("roofline.memory", rate=scaled(roofs.bandwidth, "B/s"))
    return Roof(label, True, x1, y1, x2, y2, round(x, 2), round(y, 2), round(math.degrees(angle), 2))


def flat_roofs(roofs: Roofs, x_axis: LogAxis, y_axis: LogAxis) -> Iterable[Roof]:
    """A line for each precision, from its ridge point to the right; labels that would touch share one line."""
    ordered = sorted(roofs.compute.items(), key=lambda item: -item[1])
    for name, rate in ordered:
        y, x = y_axis.at(rate), x_axis.at(rate / roofs.bandwidth)
        label = _together(_group(ordered, y_axis, name))
        yield Roof(label, name in roofs.own, x, y, x_axis.end, y, x_axis.end, round(y - 4, 2), 0)


def _together(group: Sequence[tuple[str, float]]) -> str:
    """ "bf16 803, fp16 765 TFLOP/s": three digits each, the unit only once."""
    if not group:
        return ""
    limit, prefix = next(pair for pair in SCALES if group[-1][1] >= pair[0] or pair[0] == 1.0)
    return ", ".join(f"{name} {_digits(value / limit)}" for name, value in group) + f"\u00a0{prefix}FLOP/s"


def _digits(value: float) -> str:
    return fixed(value, 0 if value >= 99.95 else 1 if value >= 9.995 else 2)


def _group(ordered: Sequence[tuple[str, float]], y_axis: LogAxis, name: str) -> list[tuple[str, float]]:
    """The ceilings labelled at the line of `name`: itself and those right below it; none if it is itself labelled at a
    higher line."""
    groups: list[list[tuple[str, float]]] = []
    for one in ordered:
        if groups and y_axis.at(one[1]) - y_axis.at(groups[-1][0][1]) < _ROW:
            groups[-1].append(one)
        else:
            groups.append([one])
    return next((group for group in groups if group[0][0] == name), [])


def rooms(roofs: Sequence[Roof]) -> list[Rect]:
    """The space taken by the labels of the roofs."""
    return [room for roof in roofs for room in (_along(roof) if roof.angle else [roof.room] if roof.room else [])]


def _along(roof: Roof) -> list[Rect]:
    """What a label along a slope takes, as a chain of squares."""
    half, turn = width(roof.label, SIZE) / 2, math.radians(roof.angle)
    count = max(1, math.ceil(2 * half / SIZE))
    found = []
    for step in range(count + 1):
        far = half * (2 * step / count - 1)
        x = roof.label_x + far * math.cos(turn) + SIZE / 3 * math.sin(turn)
        y = roof.label_y + far * math.sin(turn) - SIZE / 3 * math.cos(turn)
        found.append(Rect(x - SIZE / 2, y - SIZE / 2, x + SIZE / 2, y + SIZE / 2))
    return found
