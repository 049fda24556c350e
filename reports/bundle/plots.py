"""Strips, bars of single numbers and rooflines as they stand in a page: read from the document, by nothing that draws them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from .charts import number

Tick = tuple[float, str]
"""A place on an axis, and what is written there."""


@dataclass(slots=True)
class Runs:
    """A picture of runs: where its axis lies, its ticks, and in the order of the document its dots and its medians."""

    name: str
    left: float
    width: float
    ticks: list[Tick] = field(default_factory=list)
    dots: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Numbers:
    """A table of numbers with bars: the axis above them, and of each row how long both bars are; 0 where there is none."""

    ticks: list[Tick] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)


@dataclass(slots=True)
class Roofline:
    """A roofline: the area of its axes as left, right, top and bottom, and the powers of ten at their ends; its ticks, and its marks.

    points   of the variants: x, y, whether filled, and the place of the variant's own roof above it, None where none is drawn
    rings    of the kernels: x, y
    roofs    lines, as x1, y1, x2, y2
    """

    name: str
    area: tuple[float, ...]
    x_powers: tuple[float, ...]
    y_powers: tuple[float, ...]
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    points: list[tuple[float, float, bool, float | None]] = field(default_factory=list)
    rings: list[tuple[float, float]] = field(default_factory=list)
    roofs: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Plots:
    """Those of one pair: of its page, then of its section of the appendix, which a brief page leaves out."""

    details: bool = False
    runs: list[Runs] = field(default_factory=list)
    every_run: list[Runs] = field(default_factory=list)
    numbers: list[Numbers] = field(default_factory=list)
    rooflines: list[Roofline] = field(default_factory=list)


def plots_of(html: str) -> tuple[list[Plots], list[Runs]]:
    """Those of every pair of a page in their order, and the small ones of the overview.

    Raises:
        ValueError, LookupError: what stands where a picture should be is none.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return list(reader.pairs.values()), reader.overview


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(number, text.split()))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pairs: dict[str, Plots] = {}
        self.overview: list[Runs] = []
        self._pair = Plots()
        self._drawn: Runs | Roofline | None = None
        self._table: Numbers | None = None
        self._head = self._bar = False
        self._tick: tuple[list[Tick], float] | None = None
        self._roof: float | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        words = told.get("class", "").split()
        self._tick = None
        if tag == "article":
            self._pair = self.pairs[told["id"]] = Plots()
        elif tag == "section" and "details" in words:
            self._pair = self.pairs[told["id"].removesuffix("-details")]
            self._pair.details = True
        elif tag == "table":
            self._table = Numbers() if "figures" in words else None
        elif tag in ("thead", "tbody"):
            self._head = tag == "thead"
        elif tag == "svg":
            self._begin(words, told)
        elif isinstance(self._drawn, Runs):
            self._of_runs(self._drawn, tag, words, told)
        elif isinstance(self._drawn, Roofline):
            self._of_roofline(self._drawn, tag, words, told)
        elif self._table and self._bar:
            self._of_numbers(self._table, tag, words, told)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def _begin(self, words: list[str], told: dict[str, str]) -> None:
        if "strip" in words:
            self._drawn = Runs(words[-1], number(told["data-left"]), number(told["data-width"]))
            every = self.overview if not self.pairs else self._pair.every_run if self._pair.details else self._pair.runs
            every.append(self._drawn)
        elif "roofline" in words:
            area, x, y = (_numbers(told[f"data-{name}"]) for name in ("area", "x", "y"))
            self._drawn = Roofline(words[-1], area, x, y)
            self._pair.rooflines.append(self._drawn)
        elif self._table and "bars" in words:
            self._bar = True
            if self._table not in self._pair.numbers:
                self._pair.numbers.append(self._table)
            if not self._head:
                self._table.rows.append({})

    def _of_runs(self, drawn: Runs, tag: str, words: list[str], told: dict[str, str]) -> None:
        if tag == "circle":
            drawn.dots.append(number(told["cx"]))
        elif tag == "line" and "median" in words:
            drawn.medians.append(number(told["x1"]))
        elif tag == "text" and "tick" in words:
            self._tick = drawn.ticks, number(told["x"])

    def _of_numbers(self, table: Numbers, tag: str, words: list[str], told: dict[str, str]) -> None:
        if self._head and tag == "text":
            self._tick = table.ticks, number(told["x"])
        elif not self._head and tag == "rect":
            if number(told["x"]):
                raise ValueError("a bar that does not begin at 0")
            table.rows[-1][words[0].removeprefix("f-")] = number(told["width"])

    def _of_roofline(self, drawn: Roofline, tag: str, words: list[str], told: dict[str, str]) -> None:
        if tag == "text" and ("tick-x" in words or "tick-y" in words):
            along = "tick-x" in words
            at = told["x"] if along else told["data-y"]
            self._tick = (drawn.x_ticks if along else drawn.y_ticks), number(at)
        elif tag == "line" and "roof" in words:
            drawn.roofs.append(tuple(number(told[name]) for name in ("x1", "y1", "x2", "y2")))
        elif tag == "line" and "own-roof" in words:
            self._roof = number(told["y2"])
        elif tag == "circle" and "ring" in words:
            drawn.rings.append((number(told["cx"]), number(told["cy"])))
        elif tag == "circle":
            drawn.points.append((number(told["cx"]), number(told["cy"]), "f-ground" not in words, self._roof))
            self._roof = None

    def handle_data(self, data: str) -> None:
        if self._tick:
            ticks, at = self._tick
            ticks.append((at, data))

    def handle_endtag(self, tag: str) -> None:
        self._tick = None
        if tag == "svg":
            self._drawn, self._bar = None, False
        elif tag == "table":
            self._table = None
