"""SVG's grammar of path data, point lists, transforms and numbers, by hand from the recommendation (SVG 2, 9.3.9), and what it draws."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_BETWEEN = re.compile(r"[ \t\r\n\f]*,?[ \t\r\n\f]*")
_BLANK = re.compile(r"[ \t\r\n\f]*")
_FLAG = re.compile(r"[01]")
_TAKES = {"M": 2, "Z": 0, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7}
_TRANSFORMS = {"matrix": (6,), "translate": (1, 2), "scale": (1, 2), "rotate": (1, 3), "skewX": (1,), "skewY": (1,)}
GEOMETRY = frozenset({"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "width", "height", "dx", "dy"})

Point = tuple[float, float]


class NotGrammatical(ValueError):
    """It is no geometry that a browser would draw to its end."""


def path_commands(data: str) -> Iterator[tuple[str, list[float]]]:
    """Every command with its numbers, one repetition at a time.

    Raises:
        NotGrammatical: where a browser would stop drawing.
    """
    at = _BLANK.match(data).end()
    if at < len(data) and data[at] not in "Mm":
        raise NotGrammatical(f"begins with {data[at : at + 20]!r}")
    while at < len(data):
        command = data[at]
        if command.upper() not in _TAKES:
            raise NotGrammatical(f"{data[max(0, at - 20) : at + 20]!r} at {at}")
        at = _BLANK.match(data, at + 1).end()
        count = _TAKES[command.upper()]
        while True:
            numbers = []
            for place in range(count):
                flag = command.upper() == "A" and place in (3, 4)
                found = (_FLAG if flag else _NUMBER).match(data, at)
                if not found:
                    raise NotGrammatical(f"no number at {at}: {data[max(0, at - 20) : at + 20]!r}")
                numbers.append(float(found[0]))
                at = _BETWEEN.match(data, found.end()).end()
            yield command, numbers
            if not count or not _NUMBER.match(data, at):
                break


def subpaths(data: str) -> list[list[Point]]:
    """The corners of every subpath; of curves their ends."""
    found: list[list[Point]] = []
    x = y = 0.0
    for command, n in path_commands(data):
        kind, relative = command.upper(), command.islower()
        if kind == "Z":
            x, y = found[-1][0]
            continue
        across, down = (0.0, n[-1]) if kind == "V" else (n[-1], 0.0) if kind == "H" else (n[-2], n[-1])
        if relative:
            x, y = x + across, y + down
        else:
            x, y = (x if kind == "V" else across), (y if kind == "H" else down)
        if kind == "M":
            found.append([])
        found[-1].append((x, y))
    return found


def check_points(text: str) -> None:
    numbers = [one for one in re.split(r"[ \t\r\n\f,]+", text.strip()) if one]
    if len(numbers) % 2 or not all(_NUMBER.fullmatch(one) for one in numbers):
        raise NotGrammatical(f"points {text[:60]!r}")


def check_transform(text: str) -> None:
    rest = text.strip()
    while rest:
        found = re.match(r"(\w+)\s*\(([^()]*)\)[\s,]*", rest)
        numbers = re.split(r"[\s,]+", found[2].strip()) if found else []
        if not found or len(numbers) not in _TRANSFORMS.get(found[1], ()):
            raise NotGrammatical(f"transform {text[:60]!r}")
        if not all(_NUMBER.fullmatch(one) for one in numbers):
            raise NotGrammatical(f"transform {text[:60]!r}")
        rest = rest[found.end() :]


@dataclass
class Timeline:
    """One picture of a timeline: its marks by (track, lane, kind), and where its axis lies."""

    left: float
    width: float
    bands: dict[tuple[int, int, str], list[list[Point]]] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)


class Pictures(HTMLParser):
    """All geometry of a page, checked; `timelines` by ("pair-1", "wide"), `paths` how many there were."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.paths = self.numbers = 0
        self.timelines: dict[tuple[str, str], Timeline] = {}
        self.dots: dict[tuple[str, str], list[Point]] = {}
        self._article = self._svg = ""
        self._strips = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "article":
            self._article = told["id"]
        if tag == "svg":
            self._open(told)
        if "d" in told:
            self._path(told)
        if "points" in told:
            check_points(told["points"])
        if "transform" in told:
            check_transform(told["transform"])
        if "viewbox" in told:
            check_points(told["viewbox"])
        for name in GEOMETRY & told.keys():
            if tag not in ("meta", "col", "table"):
                self._number(name, told[name])
        if tag == "g" and "end" in told.get("class", "").split():
            self._timeline().ends[int(told["data-track"])] = float(told["data-x"])
        if tag == "circle" and self._svg in ("wide", "narrow"):
            self.dots.setdefault((self._article, self._svg), []).append((float(told["cx"]), float(told["cy"])))

    def _open(self, told: dict[str, str]) -> None:
        words = told.get("class", "").split()
        self._svg = words[-1] if words else ""
        if "timeline" in words:
            self.timelines[self._article, self._svg] = Timeline(float(told["data-left"]), float(told["data-width"]))

    def _timeline(self) -> Timeline:
        return self.timelines[self._article, self._svg]

    def _path(self, told: dict[str, str]) -> None:
        drawn = subpaths(told["d"])
        if not drawn:
            raise NotGrammatical("a path that draws nothing")
        self.paths += 1
        if "data-kind" in told:
            band = int(told["data-track"]), int(told["data-lane"]), told["data-kind"]
            self._timeline().bands[band] = drawn

    def _number(self, name: str, value: str) -> None:
        if not all(_NUMBER.fullmatch(one) for one in value.split()):
            raise NotGrammatical(f"{name}={value[:60]!r}")
        self.numbers += 1


_CELLS = 100
"""Cells of a pixel, in which pictures are compared."""


def check_marks(
    marks: list[list[Point]], picture: Timeline, rows: list[tuple[int, int]], limit: int, merge: bool
) -> int:
    """Hold the marks of a band against rows (start and end in ns from the axis' zero) by painting both cell by cell.

    Returns how many marks there are.
    """
    spans = sorted((_cell(picture, start, limit), _cell(picture, end, limit)) for start, end in rows)
    boxes = sorted((round(min(x for x, _ in one) * _CELLS), round(max(x for x, _ in one) * _CELLS)) for one in marks)
    assert all(len({round(x, 4) for x, _ in one}) == 2 and len({round(y, 4) for _, y in one}) == 2 for one in marks)
    painted, due = _painted(boxes), _painted(spans)
    if merge:
        gaps = [gap for gap in _gaps(spans) if gap[1] - gap[0] > _CELLS / 3 + 2]
        assert len(boxes) == len(_runs(spans)), "another number of marks than the rows give"
        assert not due - painted, "rows are not drawn"
    else:
        gaps = [gap for gap in _gaps(spans) if gap[1] - gap[0] > _CELLS / 2 + 2]
        assert len(boxes) == len(rows), "not every row is a mark"
        for (left, right), (start, end) in zip(boxes, spans, strict=True):
            assert abs(left - start) <= 1
            assert right <= max(end, start + 25) + 2
            assert right >= end - 52
    for left, right in gaps:  # the thinnest mark is a quarter of a pixel
        assert not painted & set(range(left + 26, right - 1)), f"drawn where nothing ran: {left / _CELLS} px"
    return len(boxes)


def _cell(picture: Timeline, ns: int, limit: int) -> int:
    return round((picture.left + picture.width * ns / limit) * _CELLS)


def _painted(spans: list[tuple[int, int]]) -> set[int]:
    return {cell for left, right in spans for cell in range(left, right)}


def _runs(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What closer than a third of a pixel belongs together."""
    runs: list[tuple[int, int]] = []
    for left, right in spans:
        if runs and left / _CELLS - runs[-1][1] / _CELLS < 1 / 3:
            runs[-1] = (runs[-1][0], max(right, runs[-1][1]))
        else:
            runs.append((left, right))
    return runs


def _gaps(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found, reached = [], spans[0][1]
    for left, right in spans:
        found += [(reached, left)] if left > reached else []
        reached = max(reached, right)
    return found
