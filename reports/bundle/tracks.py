"""What the timelines of a page must draw, from the evidence alone: the operations of each variant by lane, and the folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...profiler.evidence import Evidence, Op, VariantEvidence

_MOST_LANES = 12
_LEAST_ALIKE = 5

Lane = tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """What must be drawn of one variant: its operations by lane, from the beginning of its iteration; times in ns.

    folds: the first lane of each fold, and how many lanes it holds
    """

    name: str
    start: int
    end: int
    lanes: tuple[Lane, ...]
    folds: dict[int, int]


def tracks_of(evidence: Evidence) -> tuple[Track, ...]:
    """The drawn iteration of each variant that has one, the steps of a staged pair among them."""
    return tuple(
        Track(one.name, one.iterations[one.median_index].start, one.iterations[one.median_index].end, *_lanes(one))
        for one in evidence.variants
        if one.median_index is not None and one.iterations and one.timeline
    )


def _lanes(variant: VariantEvidence) -> tuple[tuple[Lane, ...], dict[int, int]]:
    """A lane a stream, in the order in which they begin; above twelve, those alike together, and which of them are folded.

    Alike are lanes whose operations have the same kinds and names in the same order; where that leaves more than twelve lanes in
    full, those with operations of the same kinds.
    """
    streams: dict[tuple[int, int], list[Op]] = {}
    for op in sorted(variant.timeline, key=lambda op: (op.start, op.end, op.table, op.row)):
        streams.setdefault((op.device, op.stream), []).append(op)
    lanes = list(map(tuple, streams.values()))
    if len(lanes) <= _MOST_LANES:
        return tuple(lanes), {}
    alike = _alike(lanes, [str([(op.kind, op.name) for op in lane]) for lane in lanes])
    if sum(len(one) if len(one) < _LEAST_ALIKE else 2 for one in alike) > _MOST_LANES:
        alike = _alike(lanes, [str(sorted({op.kind for op in lane})) for lane in lanes])
    folds, at = {}, 0
    for group in alike:
        if len(group) >= _LEAST_ALIKE:
            folds[at + 1] = len(group) - 2
        at += len(group)
    return tuple(lane for group in alike for lane in group), folds


def _alike(lanes: Sequence[Lane], patterns: Sequence[str]) -> list[list[Lane]]:
    seen = list(dict.fromkeys(patterns))
    return [[lane for lane, mine in zip(lanes, patterns, strict=True) if mine == one] for one in seen]
