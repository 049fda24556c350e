"""Place the labels of marks where they hide nothing, with a leader where that is not beside the mark; and break captions into lines."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..hostile import shorten

_CLASSES = (
    (0.27, " .,:;'|!ijlI\u00a0"),
    (0.37, "()[]/ftr"),
    (0.46, "-_"),
    (0.64, "0123456789"),
    (0.95, "mwMW%@…×"),
    (0.68, "ABCDEFGHJKLNOPQRSTUVXYZ+−=<>"),
)
_WIDTHS = {char: size for size, chars in _CLASSES for char in chars}
_LATIN, _WIDE = 0.56, 1.0
"""Widths in font sizes, of Inter 400 and 600 with tabular digits: classes of characters, any other letter, and a Korean one."""

_ABOVE, _BELOW = 8.0, 3.0
_ANCHORS = ("start", "end")
_ASIDE = (7.0, 14.0, 26.0, 44.0, 75.0, 120.0)
_DOWN = tuple(range(-140, 141, 7))
"""Distances of a label's near end and of its middle from its mark, in pixels."""

_NEAR = 12.0
_OUTSIDE, _COVERS, _CROSSES, _OVER, _TANGLED, _SOFT, _PAST, _THROUGH = 1e4, 1e3, 300.0, 200.0, 100.0, 40.0, 50.0, 25.0
_PASSES = 3


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
    """Where a text begins or ends (`anchor`: "start", "end"), its baseline, the space it takes, and the place of that which is next
    to its mark; `far`: a line from there is needed to show which mark it belongs to."""

    x: float
    y: float
    anchor: str
    room: Rect
    tip: tuple[float, float]
    far: bool


Segment = tuple[float, float, float, float]
"""x1, y1, x2, y2."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a label has around it.

    frame   the area that it must stay inside
    taken   marks and labels that it must not cover
    lines   what it must not cross, nor its leader if that can be helped
    soft    what it should rather not cross
    """

    frame: Rect
    taken: Sequence[Rect]
    lines: Sequence[Segment]
    soft: Sequence[Segment] = ()


def width(text: str, size: float) -> float:
    """Approximately how wide a text is at a font size in pixels."""
    return size * sum(
        _WIDTHS.get(one) or (_WIDE if unicodedata.east_asian_width(one) in "WF" else _LATIN) for one in text
    )


def beside(
    x: float, y: float, text: str, size: float, frame: Rect, taken: Sequence[Rect], lines: Iterable[Segment]
) -> Label:
    """The place for `text` beside the mark at (x, y) that costs least, as `together` places several."""
    return _Mark((x, y), width(text, size), Around(frame, taken, tuple(lines))).best(())


def together(marks: Sequence[tuple[float, float, str]], size: float, around: Around) -> tuple[Label, ...]:
    """A label for each mark (x, y, text): one after the other where it costs least, then each once more with all others in place.

    A cost counts what a label covers or crosses and what its leader runs over, then how far it is from its mark. The same marks always
    have the same labels (greedy placement with iterated improvement: Christensen, Marks & Shieber 1995).
    """
    every = [_Mark((x, y), width(text, size), around) for x, y, text in marks]
    found: dict[int, Label] = {}
    for _ in range(_PASSES):
        before = dict(found)
        for place, mark in enumerate(every):
            found[place] = mark.best([(every[other].at, label) for other, label in found.items() if other != place])
        if found == before:
            break
    return tuple(found[place] for place in range(len(marks)))


Placed = tuple[tuple[float, float], Label]
"""A mark, and its label."""


class _Mark:
    """A mark and the places that its label may have, the nearest first."""

    def __init__(self, at: tuple[float, float], wide: float, around: Around) -> None:
        self.at, self._around = at, around
        labels = (_label(*at, wide, anchor, aside, down) for down in _DOWN for aside in _ASIDE for anchor in _ANCHORS)
        self._places = sorted(((label.room.distance(*at), label) for label in labels), key=lambda one: one[0])
        self._alone: dict[int, float] = {}
        self._strange = [one for one in around.taken if not one.holds(*at)]

    def best(self, others: Sequence[Placed]) -> Label:
        """The place that costs least; none is tried whose distance alone costs more than the best one found."""
        best, least = self._places[0][1], math.inf
        for place, (away, label) in enumerate(self._places):
            if away >= least:
                break
            if place not in self._alone:
                self._alone[place] = away + self._cost(label)
            cost = self._alone[place]
            if cost < least and (cost := cost + self._among(label, others)) < least:
                best, least = label, cost
        return best

    def _cost(self, label: Label) -> float:
        """What a place costs whatever the other labels do."""
        room, around = label.room, self._around
        cost = 0.0 if room.inside(around.frame) else _OUTSIDE
        cost += _COVERS * sum(map(room.meets, around.taken))
        cost += _CROSSES * sum(crosses(room, line) for line in around.lines)
        cost += _SOFT * sum(crosses(room, line) for line in around.soft)
        if label.far:
            leader = (*self.at, *label.tip)
            cost += _PAST * sum(crosses(one, leader) for one in self._strange)
            cost += _THROUGH * sum(_meet(leader, line) for line in (*around.lines, *around.soft))
        return cost

    def _among(self, label: Label, others: Sequence[Placed]) -> float:
        cost, leader = 0.0, (*self.at, *label.tip)
        for at, other in others:
            theirs = (*at, *other.tip)
            cost += _COVERS * label.room.meets(other.room) + _OVER * (other.far and crosses(label.room, theirs))
            if label.far:
                cost += _OVER * crosses(other.room, leader) + _TANGLED * _meet(leader, theirs)
        return cost


def _label(x: float, y: float, wide: float, anchor: str, aside: float, down: float) -> Label:
    start, baseline = x + aside if anchor == "start" else x - aside, y + down + 4
    left = start if anchor == "start" else start - wide
    room = Rect(left - 2, baseline - _ABOVE, left + wide + 2, baseline + _BELOW)
    tip = round(min(max(x, room.left), room.right), 2), round(min(max(y, room.top), room.bottom), 2)
    return Label(round(start, 2), round(baseline, 2), anchor, room, tip, room.distance(x, y) > _NEAR)


def crosses(room: Rect, line: Segment) -> bool:
    """Whether a line has a point inside the room (Liang & Barsky 1984); most lie on one side of it, which is seen at once."""
    x1, y1, x2, y2 = line
    left, top, right, bottom = room.left, room.top, room.right, room.bottom
    if (
        (x1 < left and x2 < left)
        or (x1 > right and x2 > right)
        or (y1 < top and y2 < top)
        or (y1 > bottom and y2 > bottom)
    ):
        return False
    begin, end = 0.0, 1.0
    for step, low, high in ((x2 - x1, left - x1, right - x1), (y2 - y1, top - y1, bottom - y1)):
        if step:
            first, last = sorted((low / step, high / step))
            begin, end = max(begin, first), min(end, last)
    return begin <= end


def _meet(one: Segment, two: Segment) -> bool:
    """Whether two lines cross: each has the ends of the other on both sides."""
    x1, y1, x2, y2 = one
    x3, y3, x4, y4 = two
    dx, dy = x2 - x1, y2 - y1
    if (dx * (y3 - y1) - dy * (x3 - x1)) * (dx * (y4 - y1) - dy * (x4 - x1)) >= 0:
        return False
    dx, dy = x4 - x3, y4 - y3
    return (dx * (y1 - y3) - dy * (x1 - x3)) * (dx * (y2 - y3) - dy * (x2 - x3)) < 0


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
