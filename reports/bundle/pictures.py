"""The timelines of a page as they stand in it: read from the document, by nothing that draws them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_NUMBER = r"-?\d+(?:\.\d+)?"
_MARK = re.compile(rf"M({_NUMBER}) ({_NUMBER})h({_NUMBER})v({_NUMBER})h-({_NUMBER})z")

Band = tuple[int, int, str]
"""Track, lane and kind."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A rectangle, in the units of its picture."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width


Place = tuple[int, int]
"""Track and lane."""


@dataclass(slots=True)
class Fold:
    """Lanes squeezed together: how many, between which heights, and what is written beside them."""

    count: int
    y: float
    height: float
    label: str = ""


@dataclass(slots=True)
class Picture:
    """One timeline: where its axis lies, the lanes' tops and heights in their order, the name of each and what is written beside it,
    folds by their first lane, the path data of each band, each variant's end."""

    name: str
    left: float
    width: float
    lanes: dict[Place, tuple[float, float]] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)
    labels: dict[Place, str] = field(default_factory=dict)
    folds: dict[Place, Fold] = field(default_factory=dict)
    bands: dict[Band, str] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Article:
    """One pair of a page: its timelines, and the data that the script zooms with (None where there is none)."""

    pictures: list[Picture] = field(default_factory=list)
    replay: Any = None


def marks_of(path: str) -> list[Mark] | None:
    """The rectangles of a path; None where it is anything but rectangles, one after the other."""
    found = [Mark(*map(float, one.groups()[:4])) for one in _MARK.finditer(path)]
    whole = "".join(one[0] for one in _MARK.finditer(path)) == path
    closed = all(one[3] == one[5] for one in _MARK.finditer(path))
    seen = all(one.width > 0 and one.height > 0 for one in found)
    return found if found and whole and closed and seen else None


def articles_of(html: str) -> list[Article]:
    """The pairs of a page in their order.

    Raises:
        ValueError, LookupError: what stands where a picture should be is none.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.articles


def _number(text: str) -> float:
    """No "nan" and no "inf", which equal nothing and so hide whatever is compared with them."""
    if not re.fullmatch(_NUMBER, text):
        raise ValueError(f"{text[:40]!r} is no place")
    return float(text)


def _place(told: dict[str, str], lane: str) -> Place:
    return int(told["data-track"]), int(told[lane])


class _Reader(HTMLParser):
    """Collects what is drawn of operations; the rest of a page is not its matter."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.articles: list[Article] = []
        self._drawing = self._told = False
        self._beside: tuple[str, Place] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        words = told.get("class", "").split()
        if tag == "article":
            self.articles.append(Article())
        elif tag == "script":
            self._told = told.get("type") == "application/json"
        elif tag == "svg":
            self._drawing = "timeline" in words
            if self._drawing:
                picture = Picture(words[-1], _number(told["data-left"]), _number(told["data-width"]))
                self.articles[-1].pictures.append(picture)
        elif self._drawing:
            self._shape(tag, words, told)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def _shape(self, tag: str, words: list[str], told: dict[str, str]) -> None:
        picture = self.articles[-1].pictures[-1]
        self._beside = None
        if tag == "rect" and "f-lane" in words:
            place = _place(told, "data-lane")
            if place in picture.lanes:
                raise ValueError(f"a lane is there twice: {place}")
            picture.lanes[place] = _number(told["y"]), _number(told["height"])
            picture.names[place] = told["data-name"]
        elif tag == "text" and "lane" in words:
            self._beside = "lane", _place(told, "data-lane")
        elif tag == "text" and "fold" in words:
            place = _place(told, "data-first")
            picture.folds[place] = Fold(int(told["data-count"]), _number(told["data-y"]), _number(told["data-height"]))
            self._beside = "fold", place
        elif tag == "path":
            band = int(told["data-track"]), int(told["data-lane"]), told["data-kind"]
            if band in picture.bands:
                raise ValueError(f"a band is there twice: {band}")
            picture.bands[band] = told["d"]
        elif tag == "g" and "end" in words:
            picture.ends[int(told["data-track"])] = _number(told["data-x"])

    def _written(self, data: str, what: str, place: Place) -> None:
        picture = self.articles[-1].pictures[-1]
        if what == "lane":
            picture.labels[place] = picture.labels.get(place, "") + data
        else:
            picture.folds[place].label += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "text":
            self._beside = None
        if tag == "svg":
            self._drawing = False
        elif tag == "script":
            self._told = False

    def handle_data(self, data: str) -> None:
        if self._beside and self._drawing:
            self._written(data, *self._beside)
        if self._told:
            self.articles[-1].replay = json.loads(data)
