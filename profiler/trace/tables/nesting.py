"""Which range encloses which: push/pop ranges nest per thread and domain."""

from __future__ import annotations

from ctypes import byref

import numpy as np

from ...arrays.types import Int64
from ...arrays.windows import ranked, windowed
from ...core.library import Column, Nest, core


def nesting(group: Int64, start: Int64, end: Int64, row: Int64) -> tuple[Int64, Int64]:
    """Level and parent of each range; all arrays of shape (n,), `group` counted from 0.

    Ranges of one `group` (thread and domain) are ordered by start, then the longer first, then by `row`, the table's
    order, which makes equal bounds deterministic. `level` is how many earlier ranges of the group are still open,
    `parent` the index of the nearest of them, -1 at level 0. Where ranges cross, which push/pop ranges never do, a
    parent may end before its child.
    """
    n = len(start)
    if not n:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    groups = int(group.max()) + 1
    nested = _nested(group, groups, start, end, row)
    if nested is not None:
        return nested
    moved = windowed(group, groups, start, end) or windowed(group, groups, *ranked(start, end))
    if moved is None:  # as many groups as ranges, times as many ranks: more than memory holds
        raise OverflowError("too many ranges")
    order = _order(*moved, row)
    s, e = moved[0][order], moved[1][order]
    levels = _levels(s, e)
    level, parent = np.empty(n, np.int64), np.empty(n, np.int64)
    level[order] = levels
    parent[order] = _parents(order, levels)
    return level, parent


def _nested(group: Int64, groups: int, start: Int64, end: Int64, row: Int64) -> tuple[Int64, Int64] | None:
    """The same by the compiled core, where it is and no two ranges of a group cross."""
    library = core()
    if library is None:
        return None
    level, parent = np.empty((2, len(start)), np.int64)
    times = [np.ascontiguousarray(column, np.int64) for column in (start, end, row)]
    job = Nest(len(start), groups, Column.of(group))
    job.start, job.end, job.row, job.level, job.parent = (a.ctypes.data for a in (*times, level, parent))
    return None if library.aisp_nest(byref(job)) else (level, parent)


def _order(start: Int64, end: Int64, row: Int64) -> Int64:
    """By start, then the longer first, then by row; only what starts together is sorted by more than its start."""
    order = np.argsort(start, kind="stable")
    s = start[order]
    tied = np.zeros(len(s), bool)
    tied[1:] = s[1:] == s[:-1]
    tied[:-1] |= tied[1:]
    places = np.flatnonzero(tied)
    mine = order[places]
    order[places] = mine[np.lexsort((row[mine], -end[mine], start[mine]))]
    return order


def _levels(start: Int64, end: Int64) -> Int64:
    """Position minus the number of earlier ranges that have ended. A range of length zero ends where it starts, so those
    at the same instant that come later in the order are taken back out of the count."""
    position = np.arange(len(start))
    ended = np.searchsorted(np.sort(end, kind="stable"), start, "right")
    empty = end == start
    if not empty.any():
        return np.asarray(position - ended, np.int64)
    empty_at = start[empty]
    later = np.searchsorted(empty_at, start, "right") - np.searchsorted(empty_at, start, "left")
    rank = np.cumsum(empty) - np.searchsorted(empty_at, start, "left")  # how many empty ones have been passed here
    later = np.where(empty, later - rank + 1, later)
    return np.asarray(position - (ended - later), np.int64)


def _parents(order: Int64, level: Int64) -> Int64:
    """The last range before each one that lies one level higher; a range at level 0 starts anew, in every group."""
    n = len(level)
    key = level * n + np.arange(n)
    by_level = np.argsort(level, kind="stable")
    keys = key[by_level]
    parent = np.full(n, -1, np.int64)
    inner = by_level[level[by_level] > 0]
    before = by_level[np.searchsorted(keys, key[inner] - n) - 1]
    parent[inner] = order[before]
    return parent
