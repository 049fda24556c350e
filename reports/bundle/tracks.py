"""What the timelines of a page must draw, from the evidence alone: the operations of each variant by lane, and the folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """The drawn iteration of each variant that has one, the steps of a staged pair among them.

    Above twelve lanes of all variants together, those alike lie side by side and are folded.
    """
    shown = [one for one in evidence.variants if one.median_index is not None and one.iterations and one.timeline]
    every = [_lanes(one) for one in shown]
    if sum(map(len, every)) <= _MOST_LANES:
        placed: list[tuple[tuple[Lane, ...], dict[int, int]]] = [(lanes, {}) for lanes in every]
    else:
        placed = [_folded(lanes, _in_order) for lanes in every]
        if sum(len(lanes) - sum(folds.values()) for lanes, folds in placed) > _MOST_LANES:
            placed = [_folded(lanes, _kinds) for lanes in every]
    return tuple(
        Track(one.name, one.iterations[middle].start, one.iterations[middle].end, lanes, folds)
        for one, (lanes, folds) in zip(shown, placed, strict=True)
        if (middle := one.median_index) is not None
    )


def _lanes(variant: VariantEvidence) -> tuple[Lane, ...]:
    """A lane a stream, in the order in which they begin."""
    streams: dict[tuple[int, int], list[Op]] = {}
    for op in sorted(variant.timeline, key=lambda op: (op.start, op.end, op.table, op.row)):
        streams.setdefault((op.device, op.stream), []).append(op)
    return tuple(map(tuple, streams.values()))


def _in_order(lane: Lane) -> str:
    return str([(op.kind, op.name) for op in lane])


def _kinds(lane: Lane) -> str:
    return str(sorted({op.kind for op in lane}))


def _folded(lanes: Sequence[Lane], pattern: Callable[[Lane], str]) -> tuple[tuple[Lane, ...], dict[int, int]]:
    """The lanes of a variant with those of one pattern side by side, and its folds; where five are nowhere alike, as they were."""
    patterns = [pattern(lane) for lane in lanes]
    seen = list(dict.fromkeys(patterns))
    alike = [[lane for lane, mine in zip(lanes, patterns, strict=True) if mine == one] for one in seen]
    folds, at = {}, 0
    for group in alike:
        if len(group) >= _LEAST_ALIKE:
            folds[at + 1] = len(group) - 2
        at += len(group)
    return (tuple(lane for group in alike for lane in group), folds) if folds else (tuple(lanes), {})
