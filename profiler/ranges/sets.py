"""Pairs (range, operation) written out: each range is a set of operations, and each set has a window of its own on one
line of time, so that one sweep serves all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays.segments import Segments, firsts
from ..arrays.types import Int64
from .work import Work

_WIDEST = float(1 << 62)


@dataclass(frozen=True, slots=True)
class Slices:
    """Ranges and the slices of the work that they hold, arrays of shape (n,).

    row        where in a table of ranges the numbers of each belong
    low, high  from where to where in the work
    until      when the range ends: of a slice of untidy work only what was called by then belongs to it
    """

    row: Int64
    low: Int64
    high: Int64
    until: Int64

    def __len__(self) -> int:
        return len(self.row)

    def part(self, some: slice) -> Slices:
        return Slices(self.row[some], self.low[some], self.high[some], self.until[some])


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of some sets, all of one set together, every set with at least one.

    operation   index into the work, shape (p,)
    of_set      number of the set, shape (p,), ascending
    first       where each set begins, shape (s,)
    start, end  of the operation, moved into the window of its set
    """

    operation: Int64
    of_set: Int64
    first: Int64
    start: Int64
    end: Int64

    def only(self, keep: NDArray[np.bool_]) -> Pairs:
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
class Placed:
    """Pairs, and for each set its row in the table and the bounds of its operations before they were moved."""

    pairs: Pairs
    row: Int64
    low: Int64
    high: Int64


def placed(work: Work, slices: Slices) -> Placed | None:
    """The pairs of some slices; None where the windows of their sets do not fit into 64 bits. Sets without operations are
    left out."""
    of_slice, operation = _expanded(slices)
    if not work.tidy:
        keep = work.returned[operation] <= slices.until[of_slice]
        of_slice, operation = of_slice[keep], operation[keep]
    first = firsts(of_slice)
    if not len(first):
        return Placed(Pairs(operation, of_slice, first, operation, operation), first, first, first)
    start, end = work.operations.start[operation], work.operations.end[operation]
    low, high = np.minimum.reduceat(start, first), np.maximum.reduceat(end, first)
    width = high - low + 2
    if width.astype(np.float64).sum() > _WIDEST and len(slices) > 1:
        return None
    of_set = np.repeat(np.arange(len(first)), np.diff(first, append=len(operation)))
    shift = (np.cumsum(width) - width - low)[of_set]
    start += shift
    end += shift
    return Placed(Pairs(operation, of_set, first, start, end), slices.row[of_slice[first]], low, high)


def _expanded(slices: Slices) -> tuple[Int64, Int64]:
    """Pairs (position of the slice, index into the work)."""
    counts = slices.high - slices.low
    of_slice = np.repeat(np.arange(len(counts)), counts)
    return of_slice, np.arange(len(of_slice)) + (slices.low - np.cumsum(counts) + counts)[of_slice]
