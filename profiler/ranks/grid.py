"""Ranks by steps: how long each rank waited, and held the others up, in each step, in as many cells as a picture can show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays.types import Bools, Int64
from .join import Joined
from .matching import NEVER

STEPS, COLLECTIVES = "steps", "collectives"


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Lower bounds in ns, both of shape (rows, columns).

    of       what the columns are: STEPS, or COLLECTIVES in the order of time where no range was named
    columns  how many of these there are; `rank` is the index of the rank that stands for each row, shape (rows,)
    waited   in the steps of a column together
    late     likewise by how much it held the others up
    """

    of: str
    columns: int
    rank: Int64
    waited: Int64
    late: Int64


def grid(joined: Joined, rows: int, columns: int) -> Grid:
    """The cells of a picture with at most so many rows and columns; one of several ranks stands for a row."""
    n = len(joined.ranks)
    steps = [rank.step_table()[:, 0] for rank in joined.ranks]
    in_steps = n > 0 and min(map(len, steps)) > 0
    count = max(map(len, steps)) if in_steps else len(joined.collectives)
    width = max(1, min(columns, count))
    waited, late = np.zeros((2, n, width), np.int64)
    for members, times, wait, own, positions in _blocks(joined):
        for row, member in enumerate(members.tolist()):
            place = np.searchsorted(steps[member], times[row], "right") - 1 if in_steps else positions
            inside = place >= 0
            cell = place[inside] * width // max(count, 1)
            np.add.at(waited[member], cell, wait[row, inside])
            np.add.at(late[member], cell, own[row, inside])
    groups = np.unique(np.arange(min(rows, n)) * n // max(min(rows, n), 1))
    shown = _farthest(joined, groups)
    return Grid(STEPS if in_steps else COLLECTIVES, count, shown, waited[shown], late[shown])


def _farthest(joined: Joined, groups: Int64) -> Int64:
    """Of each group of ranks (its first index) the one that stands for it: what it waited is farthest from the median of all, or
    what it held the others up by from nothing."""
    n = len(joined.ranks)
    if not n:
        return groups
    away = np.abs(joined.wait_low - int(np.median(joined.wait_low))) + joined.late_low
    ends = np.append(groups[1:], n).tolist()
    pairs = zip(groups.tolist(), ends, strict=True)
    return np.array([low + int(away[low:high].argmax()) for low, high in pairs], np.int64)


def _blocks(joined: Joined) -> Iterator[tuple[Int64, Int64, Int64, Int64, Int64]]:
    """Of each block its members, their starts, what they waited and were late by, (m, k), and where in time its collectives are."""
    found = joined.collectives
    for number, block in enumerate(joined.blocks):
        mine = np.flatnonzero(found.block == number)
        columns = found.column[mine]
        there: Bools = block.end[:, columns] < NEVER
        start = block.start[:, columns]
        absolute = start + joined.base[block.members][:, None]
        wait = np.where(there, block.end[:, columns] - start - found.shortest[mine], 0)
        late = np.zeros_like(wait)
        last = np.searchsorted(block.members, np.maximum(found.last[mine], 0))
        known = found.proven[mine]
        late[last[known], np.flatnonzero(known)] = found.late[mine][known]
        yield block.members, np.where(there, absolute, -NEVER), wait, late, mine
