"""The small pictures of a page as they stand in it, bars of changes and claims that are not decided: read by nothing that draws them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_TABLES = ("waterfall", "gain")


@dataclass(slots=True)
class Bar:
    """What is drawn in one row: from where to where, and whether hollow. `empty` where nothing is."""

    low: float = 0.0
    high: float = 0.0
    hollow: bool = False
    empty: bool = True


@dataclass(slots=True)
class Bars:
    """A table's column of bars: the axis above it as (x, label), and a bar a row."""

    name: str
    ticks: list[tuple[float, str]] = field(default_factory=list)
    rows: list[Bar] = field(default_factory=list)


@dataclass(slots=True)
class Open:
    """A picture of a claim: where its axis lies and what its ends are, its dots, interval and threshold."""

    claim: int
    name: str
    left: float
    width: float
    lowest: float
    highest: float
    dots: list[float] = field(default_factory=list)
    interval: tuple[float, float] = (0.0, 0.0)
    band: tuple[float, float] | None = None
    threshold: float = float("inf")


@dataclass(slots=True)
class Charts:
    """The small pictures of one pair. `details`: what lies beneath its page is there too, which a brief page leaves out."""

    details: bool = False
    bars: list[Bars] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)


def charts_of(html: str) -> list[Charts]:
    """Those of every pair of a page, in their order: of its article, and of its section of the appendix.

    Raises:
        ValueError, LookupError: what stands where a picture should be is none.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return list(reader.pairs.values())


def number(text: str) -> float:
    """A place in a picture; no "nan" and no "inf", which equal nothing.

    Raises:
        ValueError: it is none.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no place")
    return float(text)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pairs: dict[str, Charts] = {}
        self._pair = Charts()
        self._bars: Bars | None = None
        self._open: Open | None = None
        self._head = False
        self._tick: float | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        words = told.get("class", "").split()
        if tag == "article":
            self._pair = self.pairs[told["id"]] = Charts()
        elif tag == "section" and "details" in words:
            self._pair = self.pairs[told["id"].removesuffix("-details")]
            self._pair.details = True
        elif tag == "table":
            name = next((one for one in words if one in _TABLES), "")
            self._bars = Bars(name) if name else None
            if self._bars:
                self._pair.bars.append(self._bars)
        elif tag in ("thead", "tbody"):
            self._head = tag == "thead"
        elif tag == "svg":
            self._begin(words, told)
        elif self._open:
            self._of_claim(tag, words, told)
        elif self._bars:
            self._of_bars(tag, words, told)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def _begin(self, words: list[str], told: dict[str, str]) -> None:
        if "undecided" in words:
            left, width, lowest, highest = (number(told[f"data-{at}"]) for at in ("left", "width", "lowest", "highest"))
            self._open = Open(int(told["data-claim"]), words[-1], left, width, lowest, highest)
            self._pair.open.append(self._open)
        elif self._bars and not self._head:
            self._bars.rows.append(Bar())

    def _of_claim(self, tag: str, words: list[str], told: dict[str, str]) -> None:
        assert self._open is not None
        if tag == "circle":
            self._open.dots.append(number(told["cx"]))
        elif tag == "rect":
            span = number(told["x"]), number(told["x"]) + number(told["width"])
            if "interval" in words:
                self._open.interval = span
            elif "limit" in words:
                self._open.band = span
        elif tag == "line" and "threshold" in words:
            self._open.threshold = number(told["x1"])

    def _of_bars(self, tag: str, words: list[str], told: dict[str, str]) -> None:
        assert self._bars is not None
        self._tick = None
        if self._head and tag == "text":
            self._tick = number(told["x"])
        elif tag == "rect":
            low = number(told["x"])
            self._bars.rows[-1] = Bar(low, low + number(told["width"]), False, False)
        elif tag == "polygon":
            xs = [number(one) for one in told["points"].split()[::2]]
            self._bars.rows[-1] = Bar(min(xs), max(xs), "f-ground" in words, False)

    def handle_data(self, data: str) -> None:
        if self._bars and self._tick is not None:
            self._bars.ticks.append((self._tick, data))

    def handle_endtag(self, tag: str) -> None:
        self._tick = None
        if tag == "svg":
            self._open = None
        elif tag == "table":
            self._bars = None
