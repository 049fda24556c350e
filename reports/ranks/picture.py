"""Ranks by steps as one picture: a cell for each rank and step, of which few rows stand for thousands of ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...profiler.ranks.grid import COLLECTIVES, grid
from ...profiler.ranks.run import Run
from ..catalog import Catalog
from ..page.svg import boxes
from ..units import duration

ROWS, COLUMNS = 128, 168
WIDTH, LEFT, TOP = 672.0, 62.0, 4.0
_LEAST, _MOST, _TALLEST = 2.5, 18.0, 320.0
_SHARES = (0.5, 0.2, 0.08, 0.03)
"""A shade from each of these shares of the longest wait on."""
OPACITY = (1.0, 0.62, 0.34, 0.16)
_FEWEST_LABELS = 12


@dataclass(frozen=True, slots=True)
class Shade:
    """All cells of one colour and darkness, as path data."""

    colour: str
    opacity: float
    cells: Markup


@dataclass(frozen=True, slots=True)
class Label:
    """A rank's name beside its row."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Key:
    """A shade in the legend: from how much on."""

    colour: str
    opacity: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """`sentence` says in words what it shows, `about` how it is read."""

    width: float
    height: float
    left: float
    top: float
    bottom: float
    shades: tuple[Shade, ...]
    labels: tuple[Label, ...]
    under: tuple[str, str]
    keys: tuple[Key, ...]
    about: str
    sentence: str


def picture(run: Run, say: Catalog) -> Picture | None:
    """The picture of a run; None where no rank waited for another."""
    cells = grid(run.joined, ROWS, COLUMNS)
    rows, columns = cells.waited.shape
    longest = int(max(cells.waited.max(initial=0), cells.late.max(initial=0)))
    if not longest:
        return None
    tall = min(_MOST, max(_LEAST, _TALLEST / rows))
    wide = (WIDTH - LEFT) / columns
    shades, keys = [], []
    above = np.inf
    for share, opacity in zip(_SHARES, OPACITY, strict=True):
        for colour, values, other in (("kernel", cells.waited, cells.late), ("fails", cells.late, cells.waited - 1)):
            marked = (values >= share * longest) & (values < above) & (values > other)
            if marked.any():
                shades.append(Shade(colour, opacity, Markup("").join(_drawn(marked, wide, tall))))
        keys.append(Key("kernel", opacity, duration(share * longest)))
        above = share * longest
    bottom = TOP + rows * tall
    count = len(run.ranks)
    what = say("ranks.collectives" if cells.of == COLLECTIVES else "ranks.steps", n=f"{cells.columns:,}")
    about = say("ranks.picture.about", what=what)
    if rows < count:
        about += " " + say("ranks.picture.binned", n=-(-count // rows))
    return Picture(
        width=WIDTH,
        height=bottom + 18,
        left=LEFT,
        top=TOP,
        bottom=bottom,
        shades=tuple(shades),
        labels=tuple(_labels(run, cells.rank.tolist(), tall)),
        under=("1", f"{cells.columns:,}"),
        keys=tuple(keys),
        about=about,
        sentence=say("ranks.picture.sentence", n=f"{count:,}", what=what, longest=duration(longest)),
    )


def _drawn(marked: np.ndarray, wide: float, tall: float) -> list[Markup]:
    """Neighbouring cells of a row are one rectangle."""
    found = []
    gap = 0.5 if tall > 5 else 0.0
    for row in np.flatnonzero(marked.any(axis=1)).tolist():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], marked[row].astype(np.int8), [0]])))
        spans = [
            (round(LEFT + low * wide, 2), round((high - low) * wide, 2))
            for low, high in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        ]
        found.append(boxes(spans, round(TOP + row * tall, 2), round(tall - gap, 2)))
    return found


def _labels(run: Run, ranks: list[int], tall: float) -> list[Label]:
    """As many as there is room for."""
    every = max(1, -(-len(ranks) // max(_FEWEST_LABELS, int(len(ranks) * tall / 22))))
    return [
        Label(round(TOP + row * tall + min(tall, 12) / 2 + 4, 2), run.names[rank])
        for row, rank in enumerate(ranks)
        if row % every == 0
    ]
