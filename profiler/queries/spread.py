"""How a group's values spread: the statistics that every list of kernels, copies and calls shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.groups import combined_codes
from ..arrays.types import Int64
from ..arrays.windows import by_group


@dataclass(frozen=True, slots=True)
class Spread:
    """n values: their sum, mean, median, bounds, and the sample's standard deviation (None for one value)."""

    n: int
    sum: int
    mean: float
    median: float
    min: int
    max: int
    stddev: float | None


def groups(*keys: NDArray[Any]) -> tuple[Int64, list[int]]:
    """Group rows by equal keys, each of shape (n,).

    Returns:
        the group of each row, numbered from 0 in key order, and the first row of every group.
    """
    group = combined_codes(keys)
    return group, firsts_of(group, int(group.max(initial=-1)) + 1).tolist()


def firsts_of(group: NDArray[Any], groups: int) -> Int64:
    """The first row of every group."""
    first = np.zeros(groups, np.int64)
    first[group[::-1]] = np.arange(len(group) - 1, -1, -1)  # assigned in reverse, so the first row is written last
    return first


def spreads(group: NDArray[Any], values: Int64) -> list[Spread]:
    """The spread of each group; groups are numbered 0 to m - 1, none of them empty. Both arrays of shape (n,)."""
    if not len(values):
        return []
    n = np.bincount(group)
    first = np.cumsum(n) - n
    ordered = values[by_group(group, len(n))]
    for low, high in zip(first.tolist(), (first + n).tolist(), strict=True):
        ordered[low:high].sort()  # group by group: many times faster than sorting pairs
    total = np.add.reduceat(ordered, first)
    mean = total / n
    median = (ordered[first + (n - 1) // 2] + ordered[first + n // 2]) / 2
    squares = np.add.reduceat((ordered - np.repeat(mean, n)) ** 2, first)
    deviation = np.sqrt(squares / np.maximum(n - 1, 1))
    columns = (n, total, mean, median, ordered[first], ordered[first + n - 1], deviation)
    return [_spread(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _spread(n: int, total: int, mean: float, median: float, low: int, high: int, deviation: float) -> Spread:
    return Spread(n, total, mean, median, low, high, deviation if n > 1 else None)


def spread(values: Int64) -> Spread | None:
    """The spread of one group; None when it is empty."""
    one = spreads(np.zeros(len(values), np.int64), values)
    return one[0] if one else None
