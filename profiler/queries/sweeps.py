"""The concurrency sweep for many sets of intervals at once: one sort for all of them, no loop over sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..trace.columns import Int64


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Pieces of time between two bounds of one set, by set and time; arrays of shape (m,).

    set      to which set the piece belongs
    start    and `end`, in ns; may be equal
    depth    how many of the set's intervals of non-zero length are in flight during the piece
    """

    set: Int64
    start: Int64
    end: Int64
    depth: Int64

    def length(self, sets: int, least: int = 1) -> Int64:
        """For each of the sets how long `least` or more of its intervals are in flight, shape (sets,)."""
        found = np.zeros(sets, np.int64)
        deep = self.depth >= least
        np.add.at(found, self.set[deep], (self.end - self.start)[deep])
        return found

    def deepest(self, sets: int) -> Int64:
        """The largest depth of each set, 0 for an empty one, shape (sets,)."""
        found = np.zeros(sets, np.int64)
        real = self.end > self.start
        np.maximum.at(found, self.set[real], self.depth[real])
        return found


def sweep(number: Int64, start: Int64, end: Int64) -> Sweep:
    """Sweep the intervals of all sets; `number` says to which set each belongs. All arrays of shape (n,)."""
    real = end > start
    owner = np.tile(number[real], 2)
    time = np.concatenate([start[real], end[real]])
    closes = np.repeat(np.array([0, 1], np.int8), int(real.sum()))
    order = np.lexsort((closes, time, owner))  # starts before ends: intervals that touch leave no gap between them
    owner, time = owner[order], time[order]
    depth = np.cumsum(1 - 2 * closes[order].astype(np.int64))  # back at 0 where a set ends
    return Sweep(owner[:-1], time[:-1], time[1:], depth[:-1])


def unions(number: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64, Int64]:
    """The union of each set as disjoint intervals: set, start and end of each, by set and time."""
    found = sweep(number, start, end)
    busy = found.depth > 0
    before = np.concatenate([[False], busy[:-1]])
    after = np.concatenate([busy[1:], [False]])
    opens, closes = busy & ~before, busy & ~after
    return found.set[opens], found.start[opens], found.end[closes]


def shared(
    a: tuple[Int64, Int64, Int64],
    b: tuple[Int64, Int64, Int64],
    sets: int,
) -> Int64:
    """For each set how long both unions last at once, shape (sets,); `a` and `b` as `unions` gives them."""
    joined = [np.concatenate([one, other]) for one, other in zip(a, b, strict=True)]
    return sweep(joined[0], joined[1], joined[2]).length(sets, 2)
