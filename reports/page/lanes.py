"""The lanes of a timeline, one a stream; where they are many, those of one pattern are folded together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from ...profiler.evidence import Op

MOST_LANES: Final = 12
"""A picture of more lanes than this, of all variants together, is drawn with lanes folded."""

LEAST_ALIKE: Final = 5
"""So many lanes of one pattern make a fold: its first, its last, and three between them at least."""

Stream = tuple[int, int]
"""Device and stream."""

Ops = tuple[Op, ...]

_ALIKE: Final[Mapping[str, Callable[[Ops], Hashable]]] = {
    "order": lambda ops: tuple((op.kind, op.name) for op in ops),
    "kinds": lambda ops: frozenset(op.kind for op in ops),
}
"""When two lanes are of one pattern, the stricter rule first: the same operations, by kind and name, in the same order of start;
or operations of the same kinds."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Lanes that are alike, in order of first activity; one alone where nothing is folded."""

    streams: tuple[tuple[Stream, Ops], ...]

    @property
    def folded(self) -> int:
        """How many lanes lie between the first and the last, which are drawn in full."""
        return len(self.streams) - 2 if len(self.streams) >= LEAST_ALIKE else 0


def patterns(variants: Sequence[Sequence[Op]]) -> tuple[str, tuple[tuple[Pattern, ...], ...]]:
    """The lanes of each variant in the order in which they are drawn, and the rule that they are folded by; "" where none is.

    By the strictest rule that leaves at most `MOST_LANES` of all variants in full, else by the last. A variant that no fold is in has
    its lanes in order of first activity, as have patterns, and the lanes of each.
    """
    every = [by_stream(ops) for ops in variants]
    plain = tuple(tuple(Pattern((one,)) for one in streams) for streams in every)
    if sum(map(len, every)) <= MOST_LANES:
        return "", plain
    told = [(rule, tuple(map(partial(_folded, key=key), every))) for rule, key in _ALIKE.items()]
    rule, found = next((one for one in told if sum(map(_in_full, one[1])) <= MOST_LANES), told[-1])
    return ("" if found == plain else rule), found


def _folded(streams: Sequence[tuple[Stream, Ops]], key: Callable[[Ops], Hashable]) -> tuple[Pattern, ...]:
    found = _grouped(streams, key)
    return found if any(one.folded for one in found) else tuple(Pattern((one,)) for one in streams)


def by_stream(ops: Sequence[Op]) -> list[tuple[Stream, Ops]]:
    """Operations by (device, stream), in order of first activity."""
    streams: dict[Stream, list[Op]] = {}
    for op in sorted(ops, key=lambda op: (op.start, op.end, op.table, op.row)):
        streams.setdefault((op.device, op.stream), []).append(op)
    return [(stream, tuple(operations)) for stream, operations in streams.items()]


def _grouped(streams: Sequence[tuple[Stream, Ops]], key: Callable[[Ops], Hashable]) -> tuple[Pattern, ...]:
    groups: dict[Hashable, list[tuple[Stream, Ops]]] = {}
    for one in streams:
        groups.setdefault(key(one[1]), []).append(one)
    return tuple(Pattern(tuple(group)) for group in groups.values())


def _in_full(patterns: Sequence[Pattern]) -> int:
    return sum(len(one.streams) - one.folded for one in patterns)
