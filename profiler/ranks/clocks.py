"""How far apart the clocks of ranks may be: what causality allows, since nobody leaves a collective before everybody has come.

With o[r] what is to be added to the times of rank r, start[s] + o[s] <= end[r] + o[r] holds for all ranks r and s of such a
collective. Of all these inequalities together the tightest bounds follow by relaxation (Bellman and Ford): those of o[r] against one
rank of reference. Clocks drift, by some 10 ns a second and more, so that bounds hold in a window of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays.types import Bools, Int64
from .matching import NEVER, Block

WINDOW_NS = 60_000_000_000
GROSS_NS = 1_000_000
"""A rank of which the ends of common collectives contradict each other by more than this is of another run: no clock that is kept
in step is set by so much at once."""
FAR_NS = 60_000_000_000
"""Nor are two ranks of a run that, by their own wall clocks, ran a minute apart."""

_MOST_ROUNDS = 200
_UNKNOWN = np.int64(1) << 61


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Bounds of what is to be added to each rank's times to have those of its reference, shape (n,).

    until      the last instant of the window, on the clock of the reference
    reference  of each rank the one that it is compared with, -1 of a rank that no collective ties to another
    low, high  meaningless where `reference` is -1 or where `consistent` is not set
    consistent whether any clocks at all agree with what happened, of each rank's reference; shape (n,)
    """

    until: int
    reference: Int64
    low: Int64
    high: Int64
    consistent: Bools

    @property
    def usable(self) -> Bools:
        return (self.reference >= 0) & self.consistent

    @property
    def width(self) -> Int64:
        """Of each rank's interval; 0 of a reference."""
        return self.high - self.low


Part = tuple[Int64, Int64, Int64]
"""Members, starts and ends of some collectives in which nobody leaves early: (m,), (m, k), (m, k)."""


def bounds(parts: Sequence[Part], reference: Int64) -> tuple[Int64, Int64, Bools]:
    """The tightest bounds of every rank's o against its reference's, and whether they leave anything.

    Args:
        reference: of each rank, shape (n,); -1 for those that are not there.
    """
    n = len(reference)
    own = reference == np.arange(n)
    high, low = np.where(own, np.int64(0), _UNKNOWN), np.where(own, np.int64(0), -_UNKNOWN)
    for _ in range(_MOST_ROUNDS):
        before = high.copy(), low.copy()
        for members, start, end in parts:
            _relax(members, start, end, high, low)
        if (high[own] < 0).any() or (low[own] > 0).any() or (low > high).any():
            break
        if np.array_equal(before[0], high) and np.array_equal(before[1], low):
            return low, high, np.ones(n, bool)
    return low, high, _without_conflict(low, high, reference)


def _relax(members: Int64, start: Int64, end: Int64, high: Int64, low: Int64) -> None:
    mine = high[members]
    if (mine < _UNKNOWN).any():
        left_by = (end + np.minimum(mine, NEVER)[:, None]).min(axis=0)
        high[members] = np.minimum(mine, (left_by - start).min(axis=1))
    mine = low[members]
    if (mine > -_UNKNOWN).any():
        came_by = (start + np.maximum(mine, -NEVER)[:, None]).max(axis=0)
        low[members] = np.maximum(mine, (came_by - end).max(axis=1))


def _without_conflict(low: Int64, high: Int64, reference: Int64) -> Bools:
    """Which references' ranks agree; where one disagrees, nothing is known of all that are compared with the same one."""
    own = reference == np.arange(len(reference))
    bad = (low > high) | (own & ((high < 0) | (low > 0)))
    if not bad.any():
        bad = reference >= 0  # it did not come to rest: there is a cycle, wherever it is
    return ~np.isin(reference, reference[bad])


def references(blocks: Sequence[Block], n: int) -> Int64:
    """Of each rank the first one that collectives tie it to, directly or through others; -1 for what is tied to none."""
    root = np.arange(n)
    for _ in range(n):
        before = root.copy()
        for block in blocks:
            if block.waits.any():
                root[block.members] = root[block.members].min()
        if np.array_equal(before, root):
            break
    tied = np.zeros(n, bool)
    for block in blocks:
        tied[block.members] |= bool(block.waits.any())
    return np.where(tied, root, -1)


def coarse(blocks: Sequence[Block], reference: Int64) -> Int64:
    """What is to be added to each rank's times, as the ends of common collectives have it: near the truth, no bound. Shape (n,)."""
    o, known = np.zeros(len(reference), np.int64), reference == np.arange(len(reference))
    for _ in range(len(reference)):
        before = int(known.sum())
        for block in blocks:
            _spread(block, o, known)
        if int(known.sum()) == before:
            break
    return o


def _spread(block: Block, o: Int64, known: Bools) -> None:
    """From a member that is known to those that are not."""
    places = np.flatnonzero(known[block.members])
    new = np.flatnonzero(~known[block.members])
    if not len(places) or not len(new) or not block.waits.any():
        return
    base = places[0]
    ends = block.end if block.waits.all() else block.end[:, block.waits]
    for row in new.tolist():
        both = (ends[base] < NEVER) & (ends[row] < NEVER)
        if both.any():
            member = block.members[row]
            o[member] = o[block.members[base]] + _middle(ends[base][both] - ends[row][both])
            known[member] = True


def _middle(values: Int64) -> int:
    """The lower median: an integer, whatever the values are."""
    return int(np.partition(values, (len(values) - 1) // 2)[(len(values) - 1) // 2])


def suspects(block: Block, utc: Sequence[int | None]) -> Int64:
    """The members that belong to another run: with the others of their communicator no clock agrees, by far; or by their own wall
    clocks they ran at another time. Indices of ranks.

    Args:
        utc: of each rank when its session began, ns; None where it is not said.
    """
    if not block.waits.any():
        return np.empty(0, np.int64)
    rows = np.arange(len(block.members))
    for base in rows.tolist():
        odd = _odd(block, base, utc)
        if int(odd.sum()) * 2 <= len(rows) - 1 or len(rows) == 2:
            return block.members[odd]
    return np.empty(0, np.int64)  # as many disagree as agree, whoever is asked: nobody knows which


def _odd(block: Block, base: int, utc: Sequence[int | None]) -> Bools:
    """Which members contradict one of them."""
    start, end = (c if block.waits.all() else c[:, block.waits] for c in (block.start, block.end))
    at = end[base]
    cuts = np.flatnonzero(np.diff(np.append(-1, (at - at[0]) // WINDOW_NS)) > 0) if len(at) else np.zeros(0, int)
    cuts = np.unique(np.append(0, cuts))
    high = np.minimum.reduceat(np.minimum(at - start, NEVER), cuts, axis=1)
    low = np.maximum.reduceat(np.maximum(start[base] - end, -NEVER), cuts, axis=1)
    odd: Bools = np.asarray((low - high > GROSS_NS).any(axis=1))
    of_base = utc[int(block.members[base])]
    for row, member in enumerate(block.members.tolist()):
        own = utc[member]
        if own is not None and of_base is not None and abs(int(low[row, 0]) - (own - of_base)) > FAR_NS:
            odd[row] |= bool(abs(int(low[row, 0])) < NEVER)
    odd[base] = False
    return odd
