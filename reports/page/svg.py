"""Geometry as SVG markup made only of numbers, so that it needs none of the guards for foreign text."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from markupsafe import Markup


def boxes(spans: Iterable[tuple[float, float]], y: float, height: float) -> Markup:
    """Path data: a rectangle for each (x, width), all at one height."""
    return Markup("".join(f"M{_n(x)} {_n(y)}h{_n(width)}v{_n(height)}h{_n(-width)}z" for x, width in spans))


def polygon(corners: Iterable[tuple[float, float]]) -> Markup:
    """Path data: one closed line through all corners."""
    return Markup("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in corners) + "z")


def open_line(corners: Iterable[tuple[float, float]]) -> Markup:
    """Path data: one line through all corners, from the first to the last."""
    return Markup("M" + "L".join(f"{_n(round(x, 2))} {_n(round(y, 2))}" for x, y in corners))


def _n(value: float) -> str:
    """A number, to a hundredth of a pixel as the picture's are.

    Raises:
        ValueError: it is not a number that a picture can be drawn with.
    """
    if not isfinite(value):
        raise ValueError(f"{value} is no place in a picture")
    return f"{value:g}"
