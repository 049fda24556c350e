"""Ranges that hold much of a trace, put together from pieces that many of them share.

Where all that was launched before has ended when anything launched after begins, the work may be cut: lengths on both sides
add up, and the most in flight is the larger of two. So the numbers of the blocks between such cuts are computed once, and
10,000 ranges that were never closed cost their first and last pieces instead of a pair for every operation after each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...errors import UsageError
from ..analysis.overlap import ENGINES
from ..arrays.blocks import in_order
from ..arrays.groups import ascending
from ..arrays.types import Bools, Int64
from ..arrays.windows import Windows
from ..trace.model import KINDS
from .slices import MADE_OF, Columns, Held, Slices, chunks, compute, made

LONG = 1 << 12
"""Operations from which on a range is put together from pieces, where the ranges hold each operation `OFTEN` times or more."""
OFTEN = 4
BLOCK = 1 << 6
"""Operations of a block, at least."""
MOST_PAIRS = 1 << 30
"""Pairs (range, operation) that are worked on one by one, a few minutes of work. What pieces replace does not count."""

_SUMS = (
    "ops",
    "kernels",
    "launches",
    "graphs",
    "sum",
    "busy",
    "overlap",
    "overlap_copy_compute",
    "overlap_comm_compute",
)
_WIDE = {"busy_by_class": len(KINDS), "busy_by_engine": len(ENGINES)}


def fill(columns: Columns, names: Collection[str], held: Held, slices: Slices) -> None:
    """Write the numbers of these ranges to their rows, which are zero before.

    Raises:
        UsageError: they hold more operations than can be worked on, each counted in every range around it.
    """
    length = slices.high - slices.low
    long = length >= LONG
    if held.order.tidy and int(length[long].sum()) >= OFTEN * len(held.order.item):
        cuts = _cuts(held)
        first, last = np.searchsorted(cuts, slices.low, "left"), np.searchsorted(cuts, slices.high, "right") - 1
        long &= last > first
        some = np.flatnonzero(long)
        _put_together(columns, names, held, slices.some(some), _Cut(cuts, first[some], last[some]))
        slices = slices.some(np.flatnonzero(~long))
    _one_by_one(columns, names, held, slices)


def _one_by_one(columns: Columns, names: Collection[str], held: Held, slices: Slices) -> None:
    count = int((slices.high - slices.low).sum())
    if count > MOST_PAIRS:
        raise UsageError(
            f"{len(slices):,} ranges hold {count:,} operations in all, as each counts in every range around it, and work runs "
            f"on across all of them; the most is {MOST_PAIRS:,}",
            "name fewer ranges: aisp-prof trace ranges TRACE --name GLOB",
        )
    for _ in in_order(partial(compute, columns, names, held), chunks(slices)):
        pass


def _cuts(held: Held) -> Int64:
    """Positions in the work at which it may be cut, ascending, its beginning and end among them; most of them `BLOCK` or
    more apart."""
    order, operations = held.order, held.work.operations
    n = len(order.item)
    clean = _clean(order.bounds, operations.start, operations.end)
    launch = operations.launch
    clean &= launch[1:] != launch[:-1]  # else what one call launched would count as two launches
    places = np.flatnonzero(clean) + 1
    wanted = np.searchsorted(places, np.arange(BLOCK, n, BLOCK), "left")
    inner = places[ascending(wanted[wanted < len(places)])]
    return ascending(np.concatenate(([0, n], inner)))


def _clean(bounds: Int64, start: Int64, end: Int64) -> Bools:
    """Between which two neighbours of a group all that was before has ended when anything after begins; none where the
    windows of all groups do not fit into 64 bits."""
    group = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    windows = Windows.of_sorted(group, start, end)
    if windows is None:
        return np.zeros(max(len(start) - 1, 0), bool)
    shift = windows.shift[group]
    ended = np.maximum.accumulate(end + shift)
    begins = np.minimum.accumulate((start + shift)[::-1])[::-1]
    clean: Bools = ended[:-1] <= begins[1:]
    return clean


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where slices are cut: at `cuts[first]` and at `cuts[last]`, which are blocks `first` to `last`, and what lies around."""

    cuts: Int64
    first: Int64
    last: Int64


def _put_together(columns: Columns, names: Collection[str], held: Held, slices: Slices, cut: _Cut) -> None:
    """The numbers of slices from those of their heads, their blocks and their tails."""
    parts = list(dict.fromkeys(part for name in names for part in MADE_OF.get(name, (name,))))
    if not len(slices):
        return
    n, blocks = len(slices), len(cut.cuts) - 1
    ends = Slices(
        np.arange(2 * n),
        np.concatenate((slices.low, cut.cuts[cut.last])),
        np.concatenate((cut.cuts[cut.first], slices.high)),
        np.tile(slices.until, 2),
    )
    latest = np.full(blocks, np.iinfo(np.int64).max)
    whole = _empty(parts, blocks)
    _one_by_one(whole, parts, held, Slices(np.arange(blocks), cut.cuts[:-1], cut.cuts[1:], latest))
    around = _empty(parts, 2 * n)
    _one_by_one(around, parts, held, ends.some(np.flatnonzero(ends.high > ends.low)))
    has_head, has_tail = ends.high[:n] > ends.low[:n], ends.high[n:] > ends.low[n:]
    found: Columns = {}
    for name in parts:
        head, tail = around[name][:n], around[name][n:]
        if name in _SUMS or name in _WIDE:
            before = np.concatenate((np.zeros_like(whole[name][:1]), np.cumsum(whole[name], axis=0)))
            found[name] = head + tail + before[cut.last] - before[cut.first]
        elif name == "max_in_flight":
            found[name] = np.maximum(np.maximum(head, tail), _largest(whole[name], cut.first, cut.last))
        elif name == "proj_end":
            found[name] = np.where(has_tail, tail, whole[name][cut.last - 1])
        else:  # of the first piece: its beginning, and its device's number, which is that of all
            found[name] = np.where(has_head, head, whole[name][cut.first])
    for name, values in made(names, found):
        columns[name][slices.row] = values


def _empty(names: Collection[str], rows: int) -> Columns:
    return {name: np.zeros((rows, _WIDE[name]) if name in _WIDE else rows, np.int64) for name in names}


def _largest(values: Int64, first: Int64, last: Int64) -> Int64:
    """The largest of `values[first:last]`, none of which is empty: of two overlapping stretches whose length is a power
    of two, known for every beginning."""
    found = np.zeros(len(first), np.int64)
    size = 1
    while len(values):
        fits = (last - first >= size) & (last - first < 2 * size)
        found[fits] = np.maximum(values[first[fits]], values[last[fits] - size])
        values, size = np.maximum(values[:-size], values[size:]), 2 * size
    return found
