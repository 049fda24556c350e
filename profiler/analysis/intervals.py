"""Interval algebra on int64 nanoseconds: half-open `[start, end)`, exact, no loop over intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """Sorted disjoint bounds as a normal form: the empty pieces go."""
    s, e = np.asarray(start, np.int64), np.asarray(end, np.int64)
    keep = e > s
    return Intervals(s[keep], e[keep])


def _sorted_bounds(start: ArrayLike, end: ArrayLike) -> tuple[Int64, Int64]:
    """Starts and ends of the non-empty intervals, each sorted on its own. Traces are nearly in order of time, which the
    stable sort (timsort) turns into a merge of few runs."""
    found = _pieces(start, end)
    return np.sort(found.start, kind="stable"), np.sort(found.end, kind="stable")


def union(start: ArrayLike, end: ArrayLike) -> Intervals:
    """The normal form of any bounds of shape (n,), in any order, overlapping or not; empty intervals add nothing."""
    s, e = _sorted_bounds(start, end)
    if not len(s):
        return Intervals(s, e)
    first = np.empty(len(s), bool)
    # all intervals that started earlier have ended when as many ends lie before; one that only touches joins
    first[0], first[1:] = True, s[1:] > e[:-1]
    last = np.append(np.flatnonzero(first)[1:] - 1, len(s) - 1)
    return Intervals(s[first], e[last])


def depth(start: ArrayLike, end: ArrayLike) -> tuple[Int64, NDArray[Any]]:
    """The concurrency sweep.

    Returns:
        `times` of shape (m,), the distinct bounds in order, and `counts` of shape (m,): how many intervals of non-zero
        length are in flight from `times[i]` to `times[i + 1]`; the last count is 0.
    """
    s, e = np.asarray(start, np.int64), np.asarray(end, np.int64)
    keep = e > s
    bounds = np.concatenate([s[keep], e[keep]])
    steps = np.repeat(np.array([1, -1], np.int64), int(keep.sum()))
    times, where = np.unique(bounds, return_inverse=True)
    change = np.zeros(len(times), np.int64)
    np.add.at(change, where, steps)  # at one instant ends and starts cancel: touching is not overlapping
    return times, np.cumsum(change)


def at_least(start: ArrayLike, end: ArrayLike, k: int) -> Intervals:
    """When `k` or more of the given intervals, each counted, are in flight.

    With starts s and ends e sorted on their own, i ends lie behind from e[i - 1] until e[i]; k or more are then in flight
    from s[i + k - 1] on.
    """
    s, e = _sorted_bounds(start, end)
    if k < 1 or len(s) < k:
        return Intervals(s[:0], e[:0])
    begin = s[k - 1 :].copy()
    np.maximum(begin[1:], e[: len(begin) - 1], out=begin[1:])
    found = _pieces(begin, e[: len(begin)])
    first, last = np.ones(len(found), bool), np.ones(len(found), bool)
    first[1:] = last[:-1] = found.start[1:] > found.end[:-1]
    return Intervals(found.start[first], found.end[last])


def max_in_flight(start: ArrayLike, end: ArrayLike) -> int:
    """The largest number of intervals of non-zero length in flight at once."""
    s, e = _sorted_bounds(start, end)
    low, step = 0, 1  # `low` are in flight at some time; found by doubling, then halving the step
    while low + step <= len(s) and _reached(s, e, low + step):
        low, step = low + step, 2 * step
    while step > 1:
        step //= 2
        if low + step <= len(s) and _reached(s, e, low + step):
            low += step
    return low


def _reached(s: Int64, e: Int64, k: int) -> bool:
    return bool((s[k - 1 :] < e[: len(s) - k + 1]).any())
