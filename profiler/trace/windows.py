"""Many groups on one line of time: each gets a window of its own, so that one sweep serves all of them."""

from __future__ import annotations

import numpy as np

from .source.scan import Int64

_ROOM = 1 << 62


def windowed(group: Int64, groups: int, start: Int64, end: Int64) -> tuple[Int64, Int64] | None:
    """Times moved so that the intervals of a group lie after all those of the group before it, never touching.

    Args:
        group: shape (n,), numbers below `groups`.
        start, end: shape (n,), start <= end.

    Returns:
        the moved starts and ends; None where the windows do not fit into 64 bits. Lengths within a group are kept.
    """
    if not len(group):
        return start, end
    if groups == 1:
        return start - start.min(), end - start.min()
    low, high = np.full(groups, np.iinfo(np.int64).max), np.full(groups, np.iinfo(np.int64).min)
    np.minimum.at(low, group, start)
    np.maximum.at(high, group, end)
    empty = high < low
    low[empty], high[empty] = 0, 0
    widths = (high - low).astype(np.float64) + 2
    if widths.sum() > _ROOM:
        return None
    width = high - low + 2
    shift = np.cumsum(width) - width - low
    return start + shift[group], end + shift[group]


def ranked(start: Int64, end: Int64) -> tuple[Int64, Int64]:
    """Times as their ranks among all bounds: order and ties are kept, lengths are not."""
    ranks = np.unique(np.concatenate([start, end]), return_inverse=True)[1].reshape(-1)
    return ranks[: len(start)], ranks[len(start) :]
