"""Whether every letter of a page can be seen: on the page, upright, large and dark enough, not cut off and not painted over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .shapes import Clip, Glyph, Ink, Outline, Paint

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_PALE = 0.75
"""The lightest text that is read on white: as the luminance of its colour. Pages are printed in far darker ones."""
_CONTRAST = 0.2
_SMALLEST = 3.0
"""Points of an em."""
_CLEAR = 0.3
"""What is painted thinner than this, as a share, hides nothing."""
_APART = 0.05
_ROWS = 1 << 20
"""More than a page has points; what stands beside it is refused before."""
_MOST_IN_A_POINT = 100
"""Letters of `_SMALLEST` that are `_APART` go into a square point 68 times at most; nor are all pairs of a million compared."""


def hidden_text(ink: Ink, box: Sequence[float]) -> Iterator[str]:
    """What keeps letters of a page from being seen; `box` is the page: left, bottom, right, top."""
    if not ink.glyphs:
        return
    for glyph in ink.glyphs:
        yield from _badly_drawn(glyph, box)
    at = np.array([glyph.at for glyph in ink.glyphs])
    yield from _cut_off(ink.glyphs, at)
    yield from _painted_over(ink, at)
    yield from _written_over(ink.glyphs, at)


def _badly_drawn(glyph: Glyph, box: Sequence[float]) -> Iterator[str]:
    (a, b), (c, d) = glyph.em
    wide, high = (a * a + b * b) ** 0.5, (c * c + d * d) ** 0.5
    if not (box[0] <= glyph.at[0] <= box[2] and box[1] <= glyph.at[1] <= box[3]):
        yield "text beside the page"
    if min(wide, high) < _SMALLEST:
        yield "text too small to be read"
    elif max(wide, high) > 1.2 * min(wide, high) or a * d - b * c < 0.9 * wide * high or a <= 0.05 * wide:
        yield "text that is squeezed, slanted, mirrored or turned over"
    if glyph.alpha < 0.5 or glyph.luminance > _PALE:
        yield "text too pale to be read"


def _cut_off(glyphs: Sequence[Glyph], at: Floats) -> Iterator[str]:
    seen: dict[int, tuple[Clip, list[int]]] = {}
    for place, glyph in enumerate(glyphs):
        for clip in glyph.clips:
            seen.setdefault(id(clip), (clip, []))[1].append(place)
    for clip, places in seen.values():
        if not np.all(_inside(at[places], clip.outlines)):
            yield "text that is cut off"


def _painted_over(ink: Ink, at: Floats) -> Iterator[str]:
    """What is painted later hides what is below; what was painted before is the ground that a letter must stand out from."""
    order = np.array([glyph.place for glyph in ink.glyphs])
    shade = np.array([glyph.luminance for glyph in ink.glyphs])
    ground = np.ones(len(order))
    for paint in ink.paints:
        over = _covered(paint, at)
        if not over.any():
            continue
        if paint.alpha > _CLEAR and np.any(over & (order < paint.place)):
            yield "text that is painted over"
        below = over & (order > paint.place)
        ground[below] = paint.alpha * paint.luminance + (1 - paint.alpha) * ground[below]
    if np.any(np.abs(ground - shade) < _CONTRAST):
        yield "text in the colour of its ground"


def _written_over(glyphs: Sequence[Glyph], at: Floats) -> Iterator[str]:
    """Two letters in one place: of each, those before it from left to right that lie in its square point or in one beside it."""
    turn = np.empty(len(at), dtype=np.int64)
    turn[np.lexsort((at[:, 1], np.round(at[:, 0], 1)))] = np.arange(len(at))
    near = _APART * np.array([abs(glyph.em[1][1]) + abs(glyph.em[1][0]) for glyph in glyphs])
    cells = np.rint(at).astype(np.int64) @ (_ROWS, 1)
    order = np.argsort(cells)
    held = cells[order]
    if np.max(np.unique(cells, return_counts=True)[1]) > _MOST_IN_A_POINT:
        yield "text written over text"
        return
    for beside in (dx * _ROWS + dy for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
        first, end = (np.searchsorted(held, cells + beside, side) for side in ("left", "right"))
        mine = np.repeat(np.arange(len(at)), end - first)
        theirs = order[np.arange(len(mine)) - np.repeat(np.cumsum(end - first) - end, end - first)]
        apart = np.hypot(*(at[mine] - at[theirs]).T)
        if np.any((turn[theirs] < turn[mine]) & (apart < near[mine])):
            yield "text written over text"
            return


def _covered(paint: Paint, at: Floats) -> Bools:
    """Which points an area covers, or a line in its width."""
    found = np.zeros(len(at), dtype=bool)
    corners = [corner for outline in paint.outlines for corner in outline]
    if not corners:
        return found
    reach = paint.width / 2
    low, high = np.min(corners, axis=0) - reach, np.max(corners, axis=0) + reach
    near = np.flatnonzero(np.all((at >= low) & (at <= high), axis=1))
    if len(near):
        found[near] = _along(at[near], paint.outlines, reach) if reach else _inside(at[near], paint.outlines)
    return found


def _inside(points: Floats, outlines: Sequence[Outline]) -> Bools:
    """By how often a ray from a point crosses the sides; a path is closed, whether it says so or not."""
    crossed = np.zeros(len(points), dtype=np.int64)
    x, y = points[:, 0], points[:, 1]
    for outline in outlines:
        for (ax, ay), (bx, by) in pairwise((*outline, outline[0])):
            if ay != by:
                across = (bx - ax) * (y - ay) / (by - ay) + ax
                crossed += ((ay > y) != (by > y)) & (x < across)
    odd: Bools = crossed % 2 == 1
    return odd


def _along(points: Floats, outlines: Sequence[Outline], reach: float) -> Bools:
    """Which points are no farther than `reach` from a line; where it ends it may reach as far beyond."""
    found = np.zeros(len(points), dtype=bool)
    for outline in outlines:
        for (ax, ay), (bx, by) in pairwise(outline if len(outline) > 1 else outline * 2):
            dx, dy = bx - ax, by - ay
            length = dx * dx + dy * dy
            share = np.clip(((points[:, 0] - ax) * dx + (points[:, 1] - ay) * dy) / length, 0, 1) if length else 0.0
            found |= np.hypot(points[:, 0] - ax - share * dx, points[:, 1] - ay - share * dy) <= reach
    return found
