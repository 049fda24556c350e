"""Whether the timelines of a page draw the rows of the trace: each mark held against the operations, without the code that draws.

That the page is what this program writes shows only that both were written by the same program: a fault in how it draws is in
both. So here the marks are read from the document, and where each must lie is computed once more from the operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...profiler.evidence import Evidence, Op
from ..hostile import shorten, visible
from ..page.view import without_times
from .charted import chart_differences
from .charts import charts_of
from .pictures import Article, Band, Mark, Picture, articles_of, marks_of
from .plots import plots_of
from .plotted import overview_differences, plot_differences
from .tracks import Track, tracks_of
from .verification import Check, Problem, check

_NEAR = 0.02
"""Places are written to a hundredth of a pixel."""
_THIN = 0.25
_APART = 0.5
_TOGETHER = 1 / 3
_MOST_MARKS = 2_000
_MOST_OPERATIONS = 20_000


def check_drawing(name: str, page: str, evidences: Sequence[Evidence]) -> Check | str:
    """Hold the pictures of a page, as it stands, against the operations and what was made of them; the evidence is in the order of
    the page.

    Returns why it could not be done where the page is not built as ours are.
    """
    shown = [without_times(one) for one in evidences]
    drawn = [tracks_of(one) for one in shown]
    try:
        articles, charts, (plots, overview) = articles_of(page), charts_of(page), plots_of(page)
    except (LookupError, ValueError) as error:
        return f"a timeline cannot be read: {type(error).__name__}: {error}"
    if len(articles) != len(drawn) or (any(drawn) and not any(article.pictures for article in articles)):
        return f"{len(articles)} pairs with {sum(len(one.pictures) for one in articles)} timelines are drawn, there are {len(drawn)}"
    problems = [
        Problem(name, f"{one.manifest.declaration.name}: {where}", what)
        for one, article, tracks, small, plotted in zip(shown, articles, drawn, charts, plots, strict=True)
        for where, what in (
            *drawn_differences(article, tracks),
            *chart_differences(small, one),
            *plot_differences(plotted, one),
        )
    ]
    problems += [Problem(name, where, what) for where, what in overview_differences(overview, shown)]
    count = sum(len(_every(track)) for tracks in drawn for track in tracks)
    return check(
        "drawing", f"{name}: its timelines draw {count} rows of the traces, held against them one by one", problems
    )


def drawn_differences(article: Article, tracks: Sequence[Track]) -> Iterator[tuple[str, str]]:
    """Where the pictures of a pair are not the rows': in which picture and band, and what."""
    pictures = ["wide", "narrow"] if tracks else []
    if [one.name for one in article.pictures] != pictures:
        yield "timeline", f"{len(article.pictures)} pictures, there should be {len(pictures)}"
        return
    for picture in article.pictures:
        for where, what in _in_picture(picture, tracks):
            yield f"timeline, {picture.name}, {where}", what
    if tracks:
        yield from _in_replay(article.replay, tracks)


def _limit(tracks: Sequence[Track]) -> int:
    """The end of the time axis."""
    return max(1, *(max(track.end, *(op.end for op in _every(track))) - track.start for track in tracks))


def _every(track: Track) -> list[Op]:
    return [op for lane in track.lanes for op in lane]


def _in_picture(picture: Picture, tracks: Sequence[Track]) -> Iterator[tuple[str, str]]:
    scale = picture.width / _limit(tracks)
    for place, track in enumerate(tracks):
        due = picture.left + scale * (track.end - track.start)
        if abs(picture.ends.get(place, -1.0) - due) > _NEAR:
            yield f"{track.name}, its end", f"is at {picture.ends.get(place)}, by the trace at {due:.2f}"
    yield from _lanes_in(picture, tracks)
    bands = _bands(tracks)
    for place, lane, kind in sorted(picture.bands.keys() ^ bands.keys()):
        drawn = "is drawn, and no row gives it" if (place, lane, kind) in picture.bands else "is not drawn"
        yield _named(tracks, place, lane, kind), drawn
    merged = sum(len(_every(track)) for track in tracks) > _MOST_MARKS
    for band in sorted(picture.bands.keys() & bands.keys()):
        for what in _in_band(picture, band, bands[band], tracks, merged):
            yield _named(tracks, *band), what


def _lanes_in(picture: Picture, tracks: Sequence[Track]) -> Iterator[tuple[str, str]]:
    """Whether each lane is there, under the one before it, with its stream's name; and which of them are folded."""
    due = [(place, number) for place, track in enumerate(tracks) for number in range(len(track.lanes))]
    if list(picture.lanes) != due:
        yield "its lanes", f"are {len(picture.lanes)}, by the trace {len(due)}, in order of first activity"
        return
    below = float("-inf")
    for place, (top, height) in picture.lanes.items():
        if top < below - _NEAR or height <= 0:
            yield f"track {place[0]}, lane {place[1]}", f"is drawn at {top:.2f}, over the one above it"
            return
        below = top + height
    folded = {(place, first): count for place, track in enumerate(tracks) for first, count in track.folds.items()}
    said = {place: fold.count for place, fold in picture.folds.items()}
    if said != folded:
        yield "its folds", f"are {said}, by the trace {folded}"
        return
    yield from _written_beside(picture, tracks)


def _written_beside(picture: Picture, tracks: Sequence[Track]) -> Iterator[tuple[str, str]]:
    """Every lane says its stream, and every fold how many lanes it holds, beside them."""
    inside = {(place, first + by) for (place, first), fold in picture.folds.items() for by in range(fold.count)}
    if picture.labels != {place: name for place, name in picture.names.items() if place not in inside}:
        yield "its labels", "are not the names of the lanes that are not folded"
    for (place, number), name in picture.names.items():
        op = tracks[place].lanes[number][0]
        if (numbers := re.findall(r"\d+", name)) not in ([str(op.stream)], [str(op.device), str(op.stream)]):
            yield f"track {place}, lane {number}", f"is named by {numbers}, the trace gives stream {op.stream}"
            return
    for (place, first), fold in picture.folds.items():
        lanes = [picture.lanes[place, first + by] for by in range(fold.count)]
        around = fold.y - _NEAR <= lanes[0][0] and lanes[-1][0] + lanes[-1][1] <= fold.y + fold.height + _NEAR
        if re.findall(r"\d+", fold.label) != [str(fold.count)] or not around:
            yield (
                f"track {place}, lane {first}",
                f"is one of {fold.count} folded lanes, beside them is {fold.label[:40]!r}",
            )


def _bands(tracks: Sequence[Track]) -> dict[Band, list[Op]]:
    found: dict[Band, list[Op]] = {}
    for place, track in enumerate(tracks):
        for number, lane in enumerate(track.lanes):
            for op in lane:
                found.setdefault((place, number, op.kind), []).append(op)
    return found


def _named(tracks: Sequence[Track], place: int, lane: int, kind: str) -> str:
    if place < len(tracks) and lane < len(tracks[place].lanes):
        return f"{tracks[place].name}, stream {tracks[place].lanes[lane][0].stream}, {kind}"
    return f"track {place}, lane {lane}, {kind}"


def _in_band(picture: Picture, band: Band, ops: Sequence[Op], tracks: Sequence[Track], merged: bool) -> Iterator[str]:
    marks = marks_of(picture.bands[band])
    if marks is None:
        yield f"is no row of rectangles: {picture.bands[band][:40]!r}…"
        return
    track, scale = tracks[band[0]], picture.width / _limit(tracks)
    lane = picture.lanes.get(band[:2])
    if lane is None or not all(_in_lane(mark, *lane) for mark in marks):
        yield "is not drawn in its lane"
    spans = [
        (op, picture.left + scale * (op.start - track.start), picture.left + scale * (op.end - track.start))
        for op in ops
    ]
    yield from _merged(marks, spans) if merged else _each(marks, spans)


def _in_lane(mark: Mark, top: float, height: float) -> bool:
    """And high enough to be seen: a copy's mark takes half of its lane, the flattest a quarter."""
    return top - _NEAR <= mark.y <= mark.y + mark.height <= top + height + _NEAR and mark.height > height / 4


_Span = tuple[Op, float, float]


def _row(op: Op) -> str:
    return f"{op.table} row {op.row}"


def _each(marks: Sequence[Mark], spans: Sequence[_Span]) -> Iterator[str]:
    """A mark an operation; where the next follows at once it may end half a pixel earlier."""
    if len(marks) != len(spans):
        yield f"has {len(marks)} marks, the trace gives {len(spans)}"
    for place, (mark, (op, left, right)) in enumerate(zip(marks, spans, strict=False)):
        touched = place + 1 < len(spans) and right - left > 2 and spans[place + 1][1] - right < _APART + _NEAR
        least = right - (_APART if touched else 0) - _NEAR
        if abs(mark.x - left) > _NEAR or not least <= mark.right <= max(right, left + _THIN) + _NEAR:
            yield f"{_row(op)} is drawn from {mark.x:.2f} to {mark.right:.2f}, it is from {left:.2f} to {right:.2f}"
            return


def _merged(marks: Sequence[Mark], spans: Sequence[_Span]) -> Iterator[str]:
    """Operations closer than a third of a pixel as one mark: each lies in one, and none covers a wider gap."""
    drawn: list[list[_Span]] = [[] for _ in marks]
    at = 0
    for op, left, right in spans:
        while at + 1 < len(marks) and marks[at + 1].x <= left + _NEAR:
            at += 1
        if not marks[at].x - _NEAR <= left <= right <= marks[at].right + _NEAR:
            yield f"{_row(op)}, from {left:.2f} to {right:.2f}, is not drawn"
            return
        drawn[at].append((op, left, right))
    reached = float("-inf")
    for mark, every in zip(marks, drawn, strict=True):
        if not every or every[0][1] - reached < _TOGETHER - _NEAR:
            yield f"the mark from {mark.x:.2f} to {mark.right:.2f} is none that the trace gives"
            return
        reached = max(right for _, _, right in every)
        if what := _one(mark, every, reached):
            yield what
            return


def _one(mark: Mark, spans: Sequence[_Span], reached: float) -> str:
    """What is wrong with a mark of these operations, the last of which ends at `reached`."""
    if abs(mark.x - spans[0][1]) > _NEAR or abs(mark.right - max(reached, mark.x + _THIN)) > _NEAR:
        return f"a mark is from {mark.x:.2f} to {mark.right:.2f}, the trace gives {spans[0][1]:.2f} to {reached:.2f}"
    end = spans[0][2]
    for op, left, right in spans[1:]:
        if left - end > _TOGETHER + _NEAR:
            return f"a mark covers the gap before {_row(op)}, from {end:.2f} to {left:.2f}"
        end = max(end, right)
    return ""


def _in_replay(data: Any, tracks: Sequence[Track]) -> Iterator[tuple[str, str]]:
    """What the script draws when a reader zooms: the operations themselves."""
    where = "timeline, the script's data"
    if sum(len(_every(track)) for track in tracks) > _MOST_OPERATIONS:
        if data is not None:
            yield where, "is there, and there are too many operations for it"
        return
    try:
        shown = [[[_told(data, op) for op in lane] for lane in track["lanes"]] for track in data["tracks"]]
        ends = [track["end"] for track in data["tracks"]]
        limit = data["limit"]
    except (LookupError, TypeError) as error:
        yield where, f"cannot be read: {type(error).__name__}: {error}"
        return
    if limit != _limit(tracks) or ends != [track.end - track.start for track in tracks]:
        yield where, "ends elsewhere than the trace"
    due = [[[_due(track, op) for op in lane] for lane in track.lanes] for track in tracks]
    if shown != due:
        yield where, f"is not what the trace gives{_first(shown, due)}"


def _told(data: Any, op: Sequence[Any]) -> tuple[Any, ...]:
    start, end, kind, name, size, table, row = op
    return start, end, data["kinds"][kind], data["names"][name], size, data["tables"][table], row


def _due(track: Track, op: Op) -> tuple[Any, ...]:
    name = shorten(visible(op.name), 160)
    return op.start - track.start, op.end - track.start, op.kind, name, op.bytes, op.table, op.row


def _first(shown: Any, due: list[list[list[tuple[Any, ...]]]]) -> str:
    flat = [op for track in shown for lane in track for op in lane]
    every = [op for track in due for lane in track for op in lane]
    return next((f", first of {b[-2]} row {b[-1]}" for a, b in zip(flat, every, strict=False) if a != b), "")
