"""Which runs of two variants belong together: the shortest stretches of a session in which both took their turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays.types import Int64


@dataclass(frozen=True, slots=True)
class Rounds:
    """The round of every run of two variants, numbered from 0 to `count` - 1 in the order of time."""

    first: Int64
    second: Int64
    count: int


def rounds_of(first: Sequence[int], second: Sequence[int]) -> Rounds:
    """Cut the sequence of two variants' runs wherever both have run equally often since the last cut.

    A B B A is two rounds, A B and B A; all of A and then all of B is a single one. Where one runs a whole number of times as
    often, a cut comes when it has. Runs after the last cut belong to the last round.

    Args:
        first, second: when each run began, ascending; in any unit, but the same for both. Neither is empty.
    """
    begun = np.concatenate([np.asarray(first, np.int64), np.asarray(second, np.int64)])
    order = np.argsort(begun, kind="stable")
    is_second = order >= len(first)
    often, seldom = max(len(first), len(second)), min(len(first), len(second))
    weight = np.where(is_second == (len(second) < len(first)), round(often / seldom), 1)
    ahead = np.cumsum(np.where(is_second, -weight, weight))
    cuts = ahead == 0
    count = max(1, int(cuts.sum()))
    place = np.empty(len(begun), np.int64)
    place[order] = np.minimum(np.cumsum(cuts) - cuts, count - 1)
    return Rounds(place[: len(first)], place[len(first) :], count)
