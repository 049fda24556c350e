"""The numbers of ranges that are slices of a work in the order of its launches, about a quarter of a million pairs at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.types import Int64
from .attribution import CallOrder, expanded
from .quantities import Quantities
from .sets import Sets
from .work import Work

PAIRS = 1 << 18
"""Pairs a chunk: 2 MiB a column."""


@dataclass(frozen=True, slots=True)
class Held:
    """Which ranges hold work of which device: from `low` to `high` in it."""

    order: CallOrder
    work: Work
    range: Int64
    gpu: Int64
    low: Int64
    high: Int64


@dataclass(frozen=True, slots=True)
class Slices:
    """Ranges and the slices of the work that they hold, arrays of shape (n,).

    row        where in the table the numbers of each belong
    low, high  from where to where in the work
    until      when the range ends: of a slice of untidy work only what was called by then belongs to it
    """

    row: Int64
    low: Int64
    high: Int64
    until: Int64

    def __len__(self) -> int:
        return len(self.row)

    def some(self, some: slice | Int64) -> Slices:
        """A slice of them, or those of an index array."""
        return Slices(self.row[some], self.low[some], self.high[some], self.until[some])


def chunks(slices: Slices) -> Iterator[Slices]:
    """All slices, about `PAIRS` pairs at a time."""
    if not len(slices):
        return
    pairs = np.cumsum(slices.high - slices.low)
    bounds = np.searchsorted(pairs, np.arange(PAIRS, int(pairs[-1]), PAIRS), "left") + 1
    yield from (slices.some(slice(a, b)) for a, b in pairwise(sorted({0, *bounds.tolist(), len(slices)})))


def compute(columns: dict[str, NDArray[Any]], names: Collection[str], held: Held, slices: Slices) -> None:
    """The numbers of a chunk of ranges, written to their rows, which are zero before. Rows whose slices hold nothing in
    the end stay zero."""
    of_slice, operation = held.order.inside(*expanded(slices.low, slices.high), slices.until)
    found = Sets.of(held.work, of_slice, operation)
    if found is None:
        middle = len(slices) // 2  # times so far apart that not all windows fit into 64 bits
        compute(columns, names, held, slices.some(slice(0, middle)))
        compute(columns, names, held, slices.some(slice(middle, None)))
    elif len(found.named):
        quantities, row = Quantities(found), slices.row[found.named]
        for name in names:
            values = getattr(quantities, name)
            if values.ndim == 1:
                columns[name][row] = values
                continue
            for kind in np.flatnonzero(values.any(axis=0)).tolist():
                columns[name][row, kind] = values[:, kind]
