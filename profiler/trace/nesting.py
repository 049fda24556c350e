"""Which range encloses which: push/pop ranges nest per thread and domain."""

from __future__ import annotations

import numpy as np

from .columns import Int64


def nesting(group: Int64, start: Int64, end: Int64, row: Int64) -> tuple[Int64, Int64]:
    """Level and parent of each range; all arrays of shape (n,).

    Ranges of one `group` (thread and domain) are ordered by start, then the longer first, then by `row`, the table's
    order, which makes equal bounds deterministic. `level` is how many earlier ranges of the group are still open,
    `parent` the index of the nearest of them, -1 at level 0.
    """
    n = len(start)
    level, parent = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    order = np.lexsort((row, -end, start, group))
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    for part in np.split(order, bounds) if n else []:
        level[part] = _levels(start[part], end[part])
        parent[part] = _parents(part, level[part])
    return level, parent


def _levels(start: Int64, end: Int64) -> Int64:
    """Position minus the number of earlier ranges that have ended. A range of length zero ends where it starts, so those
    at the same instant that come later in the order are taken back out of the count."""
    position = np.arange(len(start))
    ended = np.searchsorted(np.sort(end), start, "right")
    empty_at = np.sort(start[end == start])
    later = np.searchsorted(empty_at, start, "right") - np.searchsorted(empty_at, start, "left")
    empty = end == start
    rank = np.cumsum(empty) - np.searchsorted(empty_at, start, "left")  # how many empty ones here have been passed
    later = np.where(empty, later - rank + 1, later)
    return np.asarray(position - (ended - later), np.int64)


def _parents(part: Int64, level: Int64) -> Int64:
    parent = np.full(len(part), -1, np.int64)
    for depth in range(1, int(level.max()) + 1):
        inner, outer = np.flatnonzero(level == depth), np.flatnonzero(level == depth - 1)
        before = np.searchsorted(outer, inner) - 1
        parent[inner] = np.where(before >= 0, part[outer[before]], -1)
    return parent
