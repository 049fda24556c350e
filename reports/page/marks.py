"""Operations as SVG paths: one path for each kind of operation in a lane, one subpath per operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from ...profiler.evidence import Op
from .axis import Axis
from .colours import of_kind
from .svg import boxes

MOST_MARKS: Final = 2_000
"""With more operations than this on a page, those closer than a third of a pixel are drawn as one."""

_CLOSE: Final = 1 / 3
_THINNEST: Final = 0.25
_EXTENT: Final = {
    "compute": (0.0, 1.0),
    "graph": (0.0, 1.0),
    "comm": (0.15, 0.85),
    "h2d": (0.0, 0.55),
    "d2h": (0.45, 1.0),
}


@dataclass(frozen=True, slots=True)
class Box:
    """Where a lane lies: its axis, the time (ns of the trace) at the axis' zero, and its top and height."""

    axis: Axis
    origin: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Band:
    """All operations of one kind in one lane. `y` and `height` are those of the marks, for the script that redraws them."""

    kind: str
    colour: str
    y: float
    height: float
    path: Markup


def extent(kind: str) -> tuple[float, float]:
    """Top and bottom of a kind's marks as shares of the lane: so kinds differ even in greyscale."""
    return _EXTENT.get(kind, (0.36, 0.64))


def bands(ops: Sequence[Op], box: Box, merge: bool) -> tuple[Band, ...]:
    """One band per kind; kernels first, so that what overlaps them in the same stream stays visible."""
    kinds = sorted({op.kind for op in ops}, key=lambda kind: (extent(kind)[0] - extent(kind)[1], kind))
    return tuple(_band(kind, [op for op in ops if op.kind == kind], box, merge) for kind in kinds)


def _band(kind: str, ops: Sequence[Op], box: Box, merge: bool) -> Band:
    top, bottom = extent(kind)
    y, height = round(box.y + top * box.height, 2), round((bottom - top) * box.height, 2)
    spans = [(box.axis.x(op.start - box.origin), box.axis.x(op.end - box.origin)) for op in ops]
    drawn = merged(spans) if merge else parted(spans)
    return Band(kind, of_kind(kind), y, height, boxes(drawn, y, height))


def merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans closer than a third of a pixel as one, each as (x, width)."""
    joined: list[tuple[float, float]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] < _CLOSE:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return [(start, _width(end - start)) for start, end in joined]


def parted(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each span as (x, width); where the next one follows immediately, a gap of half a pixel keeps them apart."""
    drawn: list[tuple[float, float]] = []
    for index, (start, end) in enumerate(spans):
        touched = index + 1 < len(spans) and spans[index + 1][0] - end < 0.5 and end - start > 2
        drawn.append((start, _width(end - start - (0.5 if touched else 0))))
    return drawn


def _width(width: float) -> float:
    return round(max(width, _THINNEST), 2)
