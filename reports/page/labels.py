"""Place the labels of marks where they hide least: of a few positions beside each mark, the freest wins."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..hostile import shorten

_LATIN, _WIDE = 0.51, 1.0  # mean width of a character of Inter, and of a Korean one, in font sizes
_ABOVE, _BELOW = 8.0, 3.0
_LEVEL, _FAR = 4.0, 20.0
_PLACES = (17.0, -9.0, _LEVEL, 31.0, 45.0, 59.0, 73.0, -23.0, -37.0, 87.0, 101.0, 115.0, 129.0)
"""Distances below a mark at which its label's baseline may lie."""


@dataclass(frozen=True, slots=True)
class Rect:
    """Left, top, right and bottom in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def meets(self, other: Rect) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def distance(self, x: float, y: float) -> float:
        return math.hypot(max(self.left - x, 0, x - self.right), max(self.top - y, 0, y - self.bottom))

    def inside(self, other: Rect) -> bool:
        return other.holds(self.left, self.top) and other.holds(self.right, self.bottom)


@dataclass(frozen=True, slots=True)
class Label:
    """Where a text begins or ends (`anchor`: "start", "end"), its baseline, and the space it takes."""

    x: float
    y: float
    anchor: str
    room: Rect
    far: bool  # a line is needed to show which mark it belongs to


Segment = tuple[float, float, float, float]
"""x1, y1, x2, y2."""


def width(text: str, size: float) -> float:
    """Approximately how wide a text is at a font size in pixels."""
    return size * sum(_WIDE if unicodedata.east_asian_width(one) in "WF" else _LATIN for one in text)


def beside(
    x: float, y: float, text: str, size: float, frame: Rect, taken: Sequence[Rect], lines: Iterable[Segment]
) -> Label:
    """The freest place for `text` beside the mark at (x, y).

    Args:
        frame: the area that the label must stay inside.
        taken: labels and marks that it should not cover.
        lines: what it should preferably not cover.
    """
    wide, drawn = width(text, size), list(lines)
    candidates = [_label(x, y, wide, anchor, down) for down in _PLACES for anchor in ("start", "end")]

    def cost(label: Label) -> float:
        covered = sum(label.room.meets(one) for one in taken)
        crossed = sum(_crosses(label.room, line) for line in drawn)
        return 100 * (not label.room.inside(frame)) + 20 * covered + crossed + abs(label.y - y) / 40

    return min(candidates, key=cost)


def _label(x: float, y: float, wide: float, anchor: str, down: float) -> Label:
    aside = 10 if down == _LEVEL else 6
    start, baseline = x + aside if anchor == "start" else x - aside, y + down
    left = start if anchor == "start" else start - wide
    room = Rect(left - 2, baseline - _ABOVE, left + wide + 2, baseline + _BELOW)
    return Label(round(start, 2), round(baseline, 2), anchor, room, abs(down) > _FAR)


def _crosses(room: Rect, line: Segment) -> bool:
    """Whether one of 201 points of the line lies in the room; a line that lies aside is told without them."""
    x1, y1, x2, y2 = line
    if (
        max(x1, x2) < room.left - 1
        or min(x1, x2) > room.right + 1
        or max(y1, y2) < room.top - 1
        or min(y1, y2) > room.bottom + 1
    ):
        return False
    return any(room.holds(x1 + (x2 - x1) * step / 200, y1 + (y2 - y1) * step / 200) for step in range(201))


def wrapped(text: str, first: float, wide: float, size: float, most: int) -> tuple[str, ...]:
    """A text in at most so many lines, broken between words only; what does not fit ends with "…", after a whole word.

    A word that is wider than a line has one to itself, cut in its middle.

    Args:
        first, wide: how wide the first line and the others may be, in pixels; where not one word fits into the first, it is "".
    """
    lines, words = [""], text.split()
    while words:
        room = (first if len(lines) == 1 else wide) - (width(" …", size) if len(lines) == most and words[1:] else 0)
        more = f"{lines[-1]} {words[0]}".strip()
        if width(more, size) <= room:
            lines[-1] = more
            words.pop(0)
        elif len(lines) < most and (lines[-1] or len(lines) == 1):
            lines.append("")
        elif not lines[-1]:
            lines[-1] = shorten(words.pop(0), max(3, int(wide / size / _WIDE)))
        else:
            lines[-1] = f"{lines[-1]} …"
            break
    return tuple(lines)
