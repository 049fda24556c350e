"""What a page of a PDF is drawn with: letters, areas and clips, in points of the page, in the order of drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Matrix = tuple[float, float, float, float, float, float]
Outline = tuple[Point, ...]

UNIT: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Clip:
    """Only what lies inside is drawn."""

    outlines: tuple[Outline, ...]


@dataclass(frozen=True, slots=True)
class Glyph:
    """One drawn letter: its middle, how wide and high an em of it is, the direction of its line, its luminance and alpha."""

    place: int
    at: Point
    em: tuple[Point, Point]
    text: str
    luminance: float
    alpha: float
    clips: tuple[Clip, ...]


@dataclass(frozen=True, slots=True)
class Paint:
    """An area that was filled, or a line that was drawn `width` wide (0 where it was filled)."""

    place: int
    outlines: tuple[Outline, ...]
    width: float
    luminance: float
    alpha: float


@dataclass(slots=True)
class Ink:
    """All that one page shows."""

    glyphs: list[Glyph] = field(default_factory=list)
    paints: list[Paint] = field(default_factory=list)
    used: dict[int, set[int]] = field(default_factory=dict)


def times(one: Matrix, two: Matrix) -> Matrix:
    a, b, c, d, e, f = one
    g, h, i, j, k, m = two
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def moved(point: Point, matrix: Matrix) -> Point:
    a, b, c, d, e, f = matrix
    return a * point[0] + c * point[1] + e, b * point[0] + d * point[1] + f


def luminance(colour: Sequence[float]) -> float:
    """0 black to 1 white, of a colour in one, three or four parts."""
    if len(colour) == 4:
        colour = [(1 - one) * (1 - colour[3]) for one in colour[:3]]
    if len(colour) == 1:
        return float(colour[0])
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), colour, strict=True))
