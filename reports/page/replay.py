"""The data with which the page's script zooms into the timeline and names what is under the pointer."""

from __future__ import annotations

from ..catalog import Catalog
from ..hostile import shorten, visible
from .timeline import Timeline, Track

MOST_OPERATIONS = 20_000
"""Above this many the page keeps just the picture: the data would outweigh it."""


def replay(drawn: Timeline, say: Catalog) -> dict[str, object] | None:
    """The operations as plain rows: per track and lane [start, end, kind, name, bytes, table, row], times from zero in ns.

    Names, tables and kinds are in lists of their own, referred to by index.
    """
    if drawn.marks > MOST_OPERATIONS:
        return None
    names, tables, kinds = _Index(), _Index(), _Index()
    tracks = [_track(track, names, tables, kinds) for track in drawn.tracks]
    return {
        "limit": drawn.axis.limit,
        "tracks": tracks,
        "names": names.texts,
        "tables": tables.texts,
        "kinds": kinds.texts,
        "kindWords": [say.get(f"kind.{kind}", kind) for kind in kinds.texts],
        "words": {"row": say("why.row")},
    }


class _Index:
    """Texts in order of first appearance."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    @property
    def texts(self) -> list[str]:
        return list(self._places)

    def of(self, text: str) -> int:
        return self._places.setdefault(shorten(visible(text), 160), len(self._places))


def _track(track: Track, names: _Index, tables: _Index, kinds: _Index) -> dict[str, object]:
    lanes = [
        [
            [
                op.start - track.origin,
                op.end - track.origin,
                kinds.of(op.kind),
                names.of(op.name),
                op.bytes,
                tables.of(op.table),
                op.row,
            ]
            for op in lane.ops
        ]
        for lane in track.lanes
    ]
    return {"lanes": lanes, "end": track.end - track.origin}
