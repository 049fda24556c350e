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
from .swept import swept
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


Columns = dict[str, NDArray[Any]]
"""Numbers of ranges by name, a row for each range."""

MADE_OF = {
    "span": ("proj_start", "proj_end"),
    "idle": ("proj_start", "proj_end", "busy"),
    "engine": ("busy_by_engine",),
    "engine_busy": ("busy_by_engine",),
}
"""Numbers that do not add up, and those of which they are made."""


def compute(columns: Columns, names: Collection[str], held: Held, slices: Slices) -> None:
    """The numbers of a chunk of ranges, written to their rows, which are zero before. Rows whose slices hold nothing in
    the end stay zero."""
    parts = list(dict.fromkeys(part for name in names for part in MADE_OF.get(name, (name,))))
    found = swept(held.order, held.work, slices.low, slices.high, slices.until, parts)
    if found is None:
        _by_quantities(columns, names, held, slices)
        return
    there, left, numbers = found
    for name, values in made(names, numbers):
        _write(columns[name], slices.row[there], values)
    if left.any():
        _by_quantities(columns, names, held, slices.some(np.flatnonzero(left)))


def _write(column: NDArray[Any], row: Int64, values: NDArray[Any]) -> None:
    """Column by column, where there are several: those that nothing has stay untouched."""
    if values.ndim == 1:
        column[row] = values
        return
    for kind in np.flatnonzero(values.any(axis=0)).tolist():
        column[row, kind] = values[:, kind]


def made(names: Collection[str], found: Columns) -> Iterator[tuple[str, NDArray[Any]]]:
    """These numbers, of those that were found."""
    for name in names:
        if name == "span":
            yield name, found["proj_end"] - found["proj_start"]
        elif name == "idle":
            yield name, found["proj_end"] - found["proj_start"] - found["busy"]
        elif name in ("engine", "engine_busy"):
            times = found["busy_by_engine"]
            yield name, np.where(times.any(axis=1), times.argmax(axis=1), -1) if name == "engine" else times.max(axis=1)
        else:
            yield name, found[name]


def _by_quantities(columns: Columns, names: Collection[str], held: Held, slices: Slices) -> None:
    """The numbers of a chunk of ranges, written to their rows, which are zero before. Rows whose slices hold nothing in
    the end stay zero."""
    of_slice, operation = held.order.inside(*expanded(slices.low, slices.high), slices.until)
    found = Sets.of(held.work, of_slice, operation)
    if found is None:
        middle = len(slices) // 2  # times so far apart that not all windows fit into 64 bits
        _by_quantities(columns, names, held, slices.some(slice(0, middle)))
        _by_quantities(columns, names, held, slices.some(slice(middle, None)))
    elif len(found.named):
        quantities, row = Quantities(found), slices.row[found.named]
        for name in names:
            _write(columns[name], row, getattr(quantities, name))
