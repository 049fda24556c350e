"""Sets of operations in flat arrays: each has a window of its own on one line of time, so that one sweep serves all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import types
from ..arrays.segments import Segments, firsts
from ..arrays.types import Bools, Int64
from .work import Work


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs (set, operation), all of one set together.

    operation   index into the work, shape (p,)
    of_set      number of the set, shape (p,), ascending
    first       where each set begins that has any, shape (s,)
    start, end  of the operation, moved into the window of its set
    """

    operation: Int64
    of_set: Int64
    first: Int64
    start: Int64
    end: Int64

    def only(self, keep: Bools) -> Pairs:
        """Some of the pairs. Sets keep their numbers; those without a pair left are not in `first`."""
        some = np.flatnonzero(keep)
        of_set = self.of_set[some]
        return Pairs(self.operation[some], of_set, firsts(of_set), self.start[some], self.end[some])

    @property
    def sets(self) -> Int64:
        """The numbers of the sets that `first` lists."""
        return self.of_set[self.first]

    def segments(self) -> Segments:
        return Segments.of(self.first, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of a work's operations, none empty, numbered from 0.

    named      what the caller calls each set, shape (s,)
    low, high  first start and last end of each set, before they were moved, shape (s,)
    """

    work: Work
    pairs: Pairs
    named: Int64
    low: Int64
    high: Int64

    @classmethod
    def of(cls, work: Work, of_set: Int64, operation: Int64) -> Sets | None:
        """The sets of these pairs, an ascending column of what sets are called and one of indices into the work.

        Returns:
            None where the windows of several sets do not fit into 64 bits: take fewer.
        """
        first = firsts(of_set)
        if not len(first):
            return cls(work, Pairs(operation, of_set, first, operation, operation), first, first, first)
        start, end = work.operations.start[operation], work.operations.end[operation]
        low, high = np.minimum.reduceat(start, first), np.maximum.reduceat(end, first)
        width = high - low + 2
        if width.astype(np.float64).sum() > types.ROOM and len(first) > 1:
            return None
        number = np.repeat(np.arange(len(first)), np.diff(first, append=len(operation)))
        shift = (np.cumsum(width) - width - low)[number]
        return cls(work, Pairs(operation, number, first, start + shift, end + shift), of_set[first], low, high)
