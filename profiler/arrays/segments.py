"""Numbers of many sets of intervals at once: the sets lie one after another in flat arrays, with no loop over them.

A set's times are moved into a window of its own, so that one sort of all starts and one of all ends serve every set
(`intervals.Bounds` says why starts and ends may be sorted apart). Traces are nearly sorted, which the stable sort exploits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .types import Int64

_STEPS = 12
"""Depths that are tried in turn before every start is looked up among the ends."""


@dataclass(frozen=True, slots=True)
class Segments:
    """`sets` sets, none empty: `start` and `end` of all their intervals in windows, each sorted on its own, shape (n,);
    the intervals of set i lie from `first[i]` on."""

    first: Int64
    start: Int64
    end: Int64

    @classmethod
    def of(cls, first: Int64, start: Int64, end: Int64) -> Segments:
        """Sort intervals that lie in their sets' windows, those of one set together."""
        return cls(first, np.sort(start, kind="stable"), np.sort(end, kind="stable"))

    def lengths(self, least: int = 1) -> Int64:
        """For each set, how long `least` or more of its intervals are in flight."""
        n = len(self.start) - least + 1
        if n <= 0:
            return np.zeros(len(self.first), np.int64)
        begin = self.start[least - 1 :].copy()
        np.maximum(begin[1:], self.end[: n - 1], out=begin[1:])
        piece = np.zeros(len(self.start), np.int64)
        np.maximum(self.end[:n] - begin, 0, out=piece[:n])
        return np.add.reduceat(piece, self.first)

    def most_in_flight(self) -> Int64:
        """For each set, the largest number of its intervals of non-zero length in flight at once."""
        most = np.zeros(len(self.first), np.int64)
        for k in range(1, _STEPS + 1):
            n = len(self.start) - k + 1
            reached = np.zeros(len(self.start), bool)
            if n > 0:
                np.less(self.start[k - 1 :], self.end[:n], out=reached[:n])
            there = np.logical_or.reduceat(reached, self.first)
            if not there.any():
                return most
            most[there] = k
        depth = np.arange(1, len(self.start) + 1) - np.searchsorted(self.end, self.start, "right")
        return np.maximum(np.maximum.reduceat(depth, self.first), 0)


def firsts(of_set: Int64) -> Int64:
    """Where each set begins in an ascending column of set numbers."""
    return np.flatnonzero(np.diff(of_set, prepend=-1))
