"""Interval algebra on int64 nanoseconds: half-open `[start, end)`, exact, no loop over intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """A set of points in time in normal form: `start`, `end` of shape (n,), sorted, disjoint, not touching, none empty.

    Build one with `union`; the operations below return normal forms again.
    """

    start: Int64
    end: Int64

    def __len__(self) -> int:
        return len(self.start)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Intervals):
            return NotImplemented
        return np.array_equal(self.start, other.start) and np.array_equal(self.end, other.end)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    @property
    def length(self) -> int:
        """Total length in ns."""
        return int((self.end - self.start).sum())

    def __and__(self, other: Intervals) -> Intervals:
        """What lies in both."""
        return at_least(np.concatenate([self.start, other.start]), np.concatenate([self.end, other.end]), 2)

    def __or__(self, other: Intervals) -> Intervals:
        """What lies in either."""
        return union(np.concatenate([self.start, other.start]), np.concatenate([self.end, other.end]))

    def __sub__(self, other: Intervals) -> Intervals:
        """What lies in this one and not in the other."""
        if not len(self) or not len(other):
            return self
        low, high = min(self.start[0], other.start[0]), max(self.end[-1], other.end[-1])
        return self & _pieces(np.concatenate([[low], other.end]), np.concatenate([other.start, [high]]))

    @property
    def gaps(self) -> Intervals:
        """The maximal pieces between the first start and the last end that lie outside."""
        return Intervals(self.end[:-1].copy(), self.start[1:].copy())


def _pieces(start: ArrayLike, end: ArrayLike) -> Intervals:
    """Sorted disjoint bounds as a normal form: empty pieces are dropped."""
    s, e = np.asarray(start, np.int64), np.asarray(end, np.int64)
    keep = e > s
    return Intervals(s[keep], e[keep])


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Starts and ends of intervals of non-zero length, shape (n,), each sorted on its own: which end belongs to which
    start makes no difference to how many intervals are in flight.

    From `end[i - 1]` until `end[i]`, i intervals have ended; k or more intervals are then in flight
    from `start[i + k - 1]` on.
    """

    start: Int64
    end: Int64

    @classmethod
    def of(cls, start: ArrayLike, end: ArrayLike) -> Bounds:
        """From any intervals; empty ones add nothing. Traces are nearly sorted by time, which makes the stable sort
        (timsort) a merge of a few runs."""
        s, e = np.asarray(start, np.int64), np.asarray(end, np.int64)
        keep = e > s
        if not keep.all():
            s, e = s[keep], e[keep]
        return cls(np.sort(s, kind="stable"), np.sort(e, kind="stable"))

    def pieces(self, k: int) -> tuple[Int64, Int64]:
        """Bounds of the pieces of time with `k` or more in flight, in order; empty pieces and pieces that touch among
        them."""
        n = len(self.start) - k + 1
        if k < 1 or n < 1:
            return self.start[:0], self.end[:0]
        begin = self.start[k - 1 :].copy()
        np.maximum(begin[1:], self.end[: n - 1], out=begin[1:])
        return begin, self.end[:n]

    def length(self, k: int = 1) -> int:
        """For how long `k` or more are in flight."""
        begin, end = self.pieces(k)
        return int(np.maximum(end - begin, 0).sum())

    def most(self) -> int:
        """The largest number in flight at once."""
        low, step = 0, 1  # `low` are in flight at some time; found by doubling, then halving the step
        while low + step <= len(self.start) and self._reached(low + step):
            low, step = low + step, 2 * step
        while step > 1:
            step //= 2
            if low + step <= len(self.start) and self._reached(low + step):
                low += step
        return low

    def _reached(self, k: int) -> bool:
        return bool((self.start[k - 1 :] < self.end[: len(self.start) - k + 1]).any())


def union(start: ArrayLike, end: ArrayLike) -> Intervals:
    """The normal form of any bounds of shape (n,), in any order, overlapping or not; empty intervals add nothing."""
    bounds = Bounds.of(start, end)
    s, e = bounds.start, bounds.end
    if not len(s):
        return Intervals(s, e)
    first = np.empty(len(s), bool)
    # every earlier interval has ended once as many ends as starts have passed; one that merely touches is joined
    first[0], first[1:] = True, s[1:] > e[:-1]
    last = np.append(np.flatnonzero(first)[1:] - 1, len(s) - 1)
    return Intervals(s[first], e[last])


def at_least(start: ArrayLike, end: ArrayLike, k: int) -> Intervals:
    """When `k` or more of the given intervals, each counted, are in flight."""
    pieces = _pieces(*Bounds.of(start, end).pieces(k))
    first, last = np.ones(len(pieces), bool), np.ones(len(pieces), bool)
    first[1:] = last[:-1] = pieces.start[1:] > pieces.end[:-1]
    return Intervals(pieces.start[first], pieces.end[last])
