"""A rank whose collectives differ from the others': which of them are missing, decided by what they are and by causality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..arrays.types import Bools, Int64

MOST_MISSING = 64
"""A rank that lacks more at the beginning is not aligned: it did something else."""


class Ran(Protocol):
    """Collectives in order; arrays of shape (k,)."""

    start: Int64
    end: Int64
    signature: Int64


def aligned(one: Ran, reference: Ran, waits: Bools) -> Int64:
    """The place in `reference` of each collective of `one`, shape (k,); -1 of those that have none.

    Where as many are there, each stands where it stands. Where some are missing, any two that are matched must leave room for an
    offset between the two clocks with which nobody left before the other came; of all beginnings the one counts with which most
    are matched, and of several such only what they agree on.

    Args:
        waits: by signature, whether nobody leaves before everybody has come.
    """
    if len(one.start) == len(reference.start):
        return np.where(one.signature == reference.signature, np.arange(len(one.start)), -1)
    lack = len(reference.start) - len(one.start)
    tried = [_greedy(one, reference, waits, skip) for skip in range(min(abs(lack), MOST_MISSING) + 1)]
    most = max(int((place >= 0).sum()) for place in tried)
    best = [place for place in tried if int((place >= 0).sum()) == most]
    agreed = np.all([place == best[0] for place in best], axis=0)
    return np.where(agreed, best[0], -1)


def _greedy(one: Ran, reference: Ran, waits: Bools, skip: int) -> Int64:
    """Matched in order, after the first `skip` of the longer one were left out."""
    place = np.full(len(one.start), -1, np.int64)
    shorter = len(one.start) < len(reference.start)
    i, j = (0, skip) if shorter else (skip, 0)
    low, high = -(1 << 62), 1 << 62
    starts, ends, kinds = (column.tolist() for column in (one.start, one.end, one.signature))
    of_starts, of_ends, of_kinds = (column.tolist() for column in (reference.start, reference.end, reference.signature))
    while i < len(kinds) and j < len(of_kinds):
        narrowed = (max(low, of_starts[j] - ends[i]), min(high, of_ends[j] - starts[i]))
        same = kinds[i] == of_kinds[j]
        if same and not waits[kinds[i]]:
            narrowed = low, high
        if same and narrowed[0] <= narrowed[1]:
            place[i], (low, high) = j, narrowed
            i, j = i + 1, j + 1
        else:
            i, j = _left_out(i, j, kinds, of_kinds, shorter)
    return place


def _left_out(i: int, j: int, kinds: Sequence[int], of_kinds: Sequence[int], shorter: bool) -> tuple[int, int]:
    """The next pair: one of the longer side is left out while it still has more left, else one of both."""
    left, of_left = len(kinds) - i, len(of_kinds) - j
    if shorter and of_left > left:
        return i, j + 1
    if not shorter and left > of_left:
        return i + 1, j
    return i + 1, j + 1
