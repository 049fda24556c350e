"""The longest overlaps of operations on different streams, found without comparing every pair.

Two operations share `least` ns or more when their intervals, each cut by `least` at its end, still meet. How many partners
each operation has is then counted by bisection, for any `least`; the largest `least` that enough pairs reach is bisected in turn.
O(n log n) for each of at most 62 steps, of which every one looks at fewer operations than the one before.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..arrays.groups import combined_codes
from ..arrays.types import Bools, Int64
from ..arrays.windows import Windows
from ..trace.model import Operations

_FIRST_LOOK = 64
"""Operations that are compared with all others at once: what they share is where the bisection begins."""


def witnesses(a: Operations, b: Operations, count: int = 3) -> list[tuple[int, int]]:
    """The longest overlaps between an operation of `a` and one of another stream in `b`.

    Returns:
        pairs (index into a, index into b), the longest shared time first, then the first in `a`, then in `b`; at most `count`.
    """
    if not (count and len(a) and len(b)):
        return []
    search = _Search(a, b, count)
    by_length = np.argsort(a.start - a.end, kind="stable")
    first = by_length[:_FIRST_LOOK]
    found = search.pairs(first)
    if not search.settled(found, by_length):
        chosen = search.candidates(found)
        found = search.pairs(by_length[np.isin(by_length, chosen)])
    return [(-i, -j) for _, i, j in sorted(found, reverse=True)]


class _Search:
    """Operations of `a` compared with all of `b`."""

    def __init__(self, a: Operations, b: Operations, count: int) -> None:
        self.a, self.b, self.count = a, b, count
        self._lane_a, self._lane_b = _lanes(a, b)
        self._order = np.argsort(b.start, kind="stable")
        self._starts, self._reach = b.start[self._order], np.maximum.accumulate(b.end[self._order])

    def pairs(self, order: Int64) -> list[tuple[int, int, int]]:
        """The longest overlaps of these operations of `a`, tried in this order, the longest first, since none can share more
        time than it has: a heap of (shared, -index into a, -index into b)."""
        best: list[tuple[int, int, int]] = []
        for i in order.tolist():
            if len(best) == self.count and best[0][0] >= self.a.end[i] - self.a.start[i]:
                break
            low = np.searchsorted(self._reach, self.a.start[i], "right")
            high = np.searchsorted(self._starts, self.a.end[i], "left")
            near = self._order[low:high]
            shared = self._shared(i, near)
            for k in np.argsort(-shared, kind="stable")[: self.count]:
                if shared[k] > 0:
                    heapq.heappush(best, (int(shared[k]), -i, -int(near[k])))
            while len(best) > self.count:
                heapq.heappop(best)
        return best

    def settled(self, found: list[tuple[int, int, int]], by_length: Int64) -> bool:
        """Whether no operation beyond the first look can share more."""
        if len(by_length) <= _FIRST_LOOK:
            return True
        next_ = by_length[_FIRST_LOOK]
        return len(found) == self.count and found[0][0] >= self.a.end[next_] - self.a.start[next_]

    def candidates(self, found: list[tuple[int, int, int]]) -> Int64:
        """The operations of `a` that the answer can be made of. Of those that merely reach the least shared time of the
        answer only as many as it holds are kept: those that are longer than that, which are tried before, and those of
        that very length."""
        sides = _Sides.of(self.a, self.b, self._lane_a, self._lane_b)
        least = self._least(sides, found[0][0] if len(found) == self.count else 1)
        length = self.a.end - self.a.start
        beyond, reach = sides.partners(least + 1) > 0, sides.partners(least) > 0
        just = np.flatnonzero(reach & ~beyond)
        longer = length[just] > least
        few = (just[longer][: self.count], just[~longer][: self.count])
        return np.concatenate((np.flatnonzero(beyond), *few))

    def _least(self, sides: _Sides, low: int) -> int:
        """The longest time that `count` pairs share, or 1 where there are not so many; `low` is known to be shared by so
        many, and is often the answer, so that steps from there grow until too few are left."""
        high = 1 + int(min((self.a.end - self.a.start).max(), (self.b.end - self.b.start).max()))
        step = 1
        while low + 1 < high:
            middle = min(low + step, (low + high) // 2)
            partners = sides.partners(middle)
            if int(np.minimum(partners, self.count).sum()) >= self.count:
                low, sides, step = middle, sides.only(partners > 0), 2 * step
            else:
                high, step = middle, high
        return low

    def _shared(self, i: int, near: Int64) -> Int64:
        """Time that each of `near` shares with operation i, 0 for operations of its own stream."""
        length = np.minimum(self.b.end[near], self.a.end[i]) - np.maximum(self.b.start[near], self.a.start[i])
        return np.where(self._lane_b[near] == self._lane_a[i], 0, length)


def _lanes(a: Operations, b: Operations) -> tuple[Int64, Int64]:
    """A number for each (process, device, context, stream), equal for operations of one stream."""
    columns = ("process", "device", "context", "stream")
    lanes = combined_codes([np.concatenate((getattr(a, name), getattr(b, name))) for name in columns])
    return lanes[: len(a)], lanes[len(a) :]


@dataclass(frozen=True, slots=True)
class _Ends:
    """Starts and ends of some operations, each ascending, with the length of what each belongs to."""

    start: Int64
    length_by_start: Int64
    end: Int64
    length_by_end: Int64

    @classmethod
    def of(cls, start: Int64, end: Int64) -> Self:
        by_start, by_end = np.argsort(start, kind="stable"), np.argsort(end, kind="stable")
        length = end - start
        return cls(start[by_start], length[by_start], end[by_end], length[by_end])

    def meeting(self, start: Int64, end: Int64, least: int) -> Int64:
        """How many of them share `least` or more with each of these intervals, which are at least so long."""
        begun = np.searchsorted(self.start[self.length_by_start >= least], end - least, "right")
        ended = np.searchsorted(self.end[self.length_by_end >= least], start + least, "left")
        return begun - ended


@dataclass(frozen=True, slots=True)
class _Sides:
    """Intervals of `a`, of which those still in question are `asked`, and how those of `b` end; `parts` are, for each
    group of streams that fits on one line of time, the intervals of `a` and of `b` there."""

    start: Int64
    end: Int64
    asked: Int64
    others: _Ends
    parts: Sequence[tuple[Int64, Int64, Bools, _Ends]]

    @classmethod
    def of(cls, a: Operations, b: Operations, lane_a: Int64, lane_b: Int64) -> Self:
        everything = np.flatnonzero(a.end > a.start)
        both = np.intersect1d(lane_a, lane_b)
        parts = _own_streams(a, b, lane_a, lane_b, both)
        return cls(a.start, a.end, everything, _Ends.of(b.start, b.end), parts)

    def only(self, keep: Bools) -> _Sides:
        """The same with fewer intervals in question, a mask of all of `a`."""
        return _Sides(self.start, self.end, self.asked[keep[self.asked]], self.others, self.parts)

    def partners(self, least: int) -> Int64:
        """How many operations of `b` on other streams share `least` or more with each of `a`; 0 for those not in question."""
        found = np.zeros(len(self.start), np.int64)
        some = self.asked[self.end[self.asked] - self.start[self.asked] >= least]
        found[some] = self.others.meeting(self.start[some], self.end[some], least)
        for start, end, there, own in self.parts:
            mine = some[there[some]]
            found[mine] -= own.meeting(start[mine], end[mine], least)
        return found


def _own_streams(
    a: Operations, b: Operations, lane_a: Int64, lane_b: Int64, lanes: Int64
) -> list[tuple[Int64, Int64, Bools, _Ends]]:
    """Of the streams that both have, the intervals of each in a window of its own; in several parts where not all windows
    fit into 64 bits."""
    if not len(lanes):
        return []
    in_a, in_b = np.isin(lane_a, lanes), np.isin(lane_b, lanes)
    of_a, of_b = (np.searchsorted(lanes, lane[mine]) for lane, mine in ((lane_a, in_a), (lane_b, in_b)))
    start, end = (np.concatenate((x[in_a], y[in_b])) for x, y in ((a.start, b.start), (a.end, b.end)))
    windows = Windows.of(np.concatenate((of_a, of_b)), len(lanes), start, end)
    if windows is None and len(lanes) > 1:
        middle = len(lanes) // 2
        return [part for half in (lanes[:middle], lanes[middle:]) for part in _own_streams(a, b, lane_a, lane_b, half)]
    shift = np.zeros(1, np.int64) if windows is None else windows.shift  # a single stream needs no window
    moved = np.zeros(len(lane_a), np.int64)
    moved[in_a] = shift[of_a]
    own = _Ends.of(b.start[in_b] + shift[of_b], b.end[in_b] + shift[of_b])
    return [(a.start + moved, a.end + moved, in_a, own)]
