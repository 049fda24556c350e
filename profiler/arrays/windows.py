"""Many groups on one time line: each gets a window of its own, so that one sweep serves all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import types
from .types import Int64


def by_group(group: NDArray[Any], groups: int) -> Int64:
    """An order that puts equal groups together, ascending, and keeps the order within each. Sorting 16-bit numbers is
    linear (radix)."""
    return np.argsort(group.astype(np.uint16, copy=False) if groups <= 1 << 16 else group, kind="stable")


def windowed(group: Int64, groups: int, start: Int64, end: Int64) -> tuple[Int64, Int64] | None:
    """Times shifted so that each group's intervals lie after all those of the previous group, never touching.

    Args:
        group: shape (n,), numbers below `groups`.
        start, end: shape (n,), start <= end.

    Returns:
        the shifted starts and ends; None where the windows do not fit into 64 bits. Lengths within a group are kept.
    """
    if not len(group):
        return start, end
    windows = Windows.of(group, groups, start, end)
    return None if windows is None else (start + windows.shift[group], end + windows.shift[group])


@dataclass(frozen=True, slots=True)
class Windows:
    """Where each group's window lies, arrays of shape (groups,): times from `low` to `high`, moved by `shift`. Between
    the windows of two groups there is room for one instant after the first and one before the second."""

    low: Int64
    high: Int64
    shift: Int64

    @classmethod
    def of(cls, group: NDArray[Any], groups: int, start: Int64, end: Int64) -> Self | None:
        """The windows of these intervals; None where they do not fit into 64 bits."""
        low, high = np.full(groups, np.iinfo(np.int64).max), np.full(groups, np.iinfo(np.int64).min)
        np.minimum.at(low, group, start)
        np.maximum.at(high, group, end)
        empty = high < low
        low[empty], high[empty] = 0, 0
        return cls._laid(low, high)

    @classmethod
    def of_sorted(cls, group: NDArray[Any], start: Int64, end: Int64) -> Self | None:
        """As `of`, for intervals that lie together by group, every number below the largest being used."""
        if not len(group):
            return cls._laid(np.zeros(1, np.int64), np.zeros(1, np.int64))
        return cls.of_parts(np.concatenate([[0], np.flatnonzero(group[1:] != group[:-1]) + 1]), start, end)

    @classmethod
    def of_parts(cls, first: Int64, start: Int64, end: Int64) -> Self | None:
        """Likewise, of groups that begin at `first`, none of which is empty."""
        return cls._laid(np.minimum.reduceat(start, first), np.maximum.reduceat(end, first))

    @classmethod
    def _laid(cls, low: Int64, high: Int64) -> Self | None:
        if (high.astype(np.float64) - low + 3).sum() > types.ROOM:
            return None
        width = high - low + 3
        return cls(low, high, np.cumsum(width) - width - low)

    def back(self, moved: Int64) -> tuple[Int64, Int64]:
        """Shifted times, back as the groups they belong to and the times they were."""
        group = np.searchsorted(self.low + self.shift, moved, "right") - 1
        return group, moved - self.shift[group]


def ranked(start: Int64, end: Int64) -> tuple[Int64, Int64]:
    """Times as their ranks among all bounds: order and ties are kept, lengths are not."""
    ranks = np.unique(np.concatenate([start, end]), return_inverse=True)[1].reshape(-1)
    return ranks[: len(start)], ranks[len(start) :]
