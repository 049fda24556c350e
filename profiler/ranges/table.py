"""The numbers of many ranges at once, a row for each (range, device).

Time grows with the pairs (range, operation): 30 million take some seconds. Ranges are worked on in chunks, so that memory
does not grow with the pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays.blocks import in_order
from ..arrays.rows import Rows
from ..arrays.types import Int64
from ..trace.model import KINDS, Trace
from .attribution import Attribution, CallOrder, expanded
from .quantities import Quantities
from .sets import Sets
from .work import Work

PAIRS = 1 << 18
"""Pairs a chunk: 2 MiB a column."""


@dataclass(frozen=True, slots=True, eq=False)
class RangeTable(Rows):
    """Columns of shape (n,), `busy_by_class` of shape (n, len(KINDS)); times and lengths in ns. A table that was asked for
    some of the numbers has no others.

    range     row index into `trace.ranges`
    gpu       index into `trace.gpus`; `device` is its CUDA ordinal in the range's process
    launches  distinct calls that executed something there
    graphs    operations that are graphs traced as a whole: what ran inside them is unknown
    engine    index into `ENGINES` of the busiest one, -1 where none was busy; `engine_busy` is how long it was
    """

    range: Int64
    gpu: Int64
    device: Int64
    ops: Int64
    kernels: Int64
    launches: Int64
    graphs: Int64
    proj_start: Int64
    proj_end: Int64
    sum: Int64
    busy: Int64
    span: Int64
    idle: Int64
    overlap: Int64
    max_in_flight: Int64
    overlap_copy_compute: Int64
    overlap_comm_compute: Int64
    engine: Int64
    engine_busy: Int64
    busy_by_class: Int64


NUMBERS = tuple(field.name for field in fields(RangeTable)[2:])
"""Columns that may be asked for; `range` and `gpu` are always there."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a table, filled chunk by chunk (a `Supply`)."""

    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["range"])

    def column(self, name: str, rows: Rows) -> NDArray[Any]:
        if name not in self.columns:
            raise AttributeError(f"{name} was not asked for")
        return self.columns[name]

    def codes(self, name: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Held:
    """Which ranges hold work of which device: from `low` to `high` in it."""

    order: CallOrder
    work: Work
    range: Int64
    gpu: Int64
    low: Int64
    high: Int64


@dataclass(frozen=True, slots=True)
class _Slices:
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

    def part(self, some: slice) -> _Slices:
        return _Slices(self.row[some], self.low[some], self.high[some], self.until[some])


def range_table(
    trace: Trace, chosen: ArrayLike | None = None, attribution: str = "thread", numbers: Collection[str] = NUMBERS
) -> RangeTable:
    """A row for each (range, device) with operations, ordered by range as given, then by device.

    Args:
        chosen: row indices into `trace.ranges`, shape (r,); all of them by default.
        attribution: "thread" as docs/metrics.md defines projection, or "process": launches of every thread of the
            range's process inside it.
        numbers: which of NUMBERS to compute.

    Raises:
        ValueError: another attribution.
    """
    return RangeTables(trace, attribution, numbers).table(np.arange(len(trace.ranges)) if chosen is None else chosen)


class RangeTables:
    """Tables of ranges of one trace: what all of them need is made once, so that many ranges can be had in parts."""

    def __init__(self, trace: Trace, attribution: str = "thread", numbers: Collection[str] = NUMBERS) -> None:
        """As `range_table`."""
        self._trace = trace
        self._attribution = Attribution(attribution)
        self._numbers = [name for name in NUMBERS if name in (*numbers, "ops")]
        self._known: dict[str, tuple[CallOrder, Work]] = {}

    def table(self, chosen: ArrayLike) -> RangeTable:
        """The rows of some ranges, row indices into `trace.ranges`, in their order."""
        wanted = np.asarray(chosen, np.int64)
        held = list(self._held(wanted))
        rows = _rows(self._trace, wanted, held)
        columns = {name: np.zeros(len(rows), np.int64) for name in ("range", "gpu", *self._numbers)}
        if "busy_by_class" in columns:  # column by column: classes that do not occur take no memory
            columns["busy_by_class"] = np.zeros((len(rows), len(KINDS)), np.int64, order="F")
        for one, mine in zip(held, _split(rows, [len(h.range) for h in held]), strict=True):
            columns["range"][mine], columns["gpu"][mine] = one.range, one.gpu
            slices = _Slices(mine, one.low, one.high, self._trace.ranges.end[one.range])
            for _ in in_order(partial(_compute, columns, self._numbers, one), _chunks(slices)):
                pass
        table = RangeTable.supplied(_Columns(columns))
        some = columns["ops"] > 0
        return table if some.all() else table.take(some)

    def _held(self, wanted: Int64) -> Iterator[_Held]:
        ranges = self._trace.ranges
        for key, places in self._attribution.by_key(self._trace, wanted):
            mine, (order, work) = wanted[places], self._order(key)
            for some, gpu, low, high in order.slices(getattr(ranges, key)[mine], ranges.start[mine], ranges.end[mine]):
                yield _Held(order, work, mine[some], gpu, low, high)

    def _order(self, key: str) -> tuple[CallOrder, Work]:
        """The launches by process or by thread, with the columns that the numbers look at made, before several threads
        ask for them at the same time."""
        if key not in self._known:
            order = CallOrder.of_operations(self._trace, key)
            work = Work.launched(self._trace, order)
            if "overlap" in self._numbers:
                work.lane, work.tangled  # noqa: B018
            if {"overlap", "max_in_flight"} & set(self._numbers):
                work.migrates  # noqa: B018
            for column, numbers in _LOOKED_AT.items():
                if not numbers or numbers & set(self._numbers):
                    getattr(work.operations, column)
            self._trace.calls.forget("start", "end")  # copied in another order: they need not be there twice
            self._trace.operations.forget("start", "end", "launch")
            self._known[key] = order, work
        return self._known[key]


_LOOKED_AT: Mapping[str, set[str]] = {
    "start": set(),
    "end": set(),
    "device": {"device"},
    "launch": {"launches"},
    "kind": {
        "kernels",
        "graphs",
        "overlap",
        "max_in_flight",
        "busy_by_class",
        "overlap_copy_compute",
        "overlap_comm_compute",
        "engine",
        "engine_busy",
    },
}
"""Columns of the operations and the numbers that need them; none: all."""


def _rows(trace: Trace, wanted: Int64, held: list[_Held]) -> Int64:
    """The row of each (range, device): by the place of the range in `wanted`, then by device."""
    if len(held) == 1:  # every range has one device, in the order of `wanted`
        return np.arange(len(held[0].range))
    position = np.empty(len(trace.ranges), np.int64)
    position[wanted] = np.arange(len(wanted))
    keys = [position[one.range] * max(len(trace.gpus), 1) + one.gpu for one in held]
    key = np.concatenate([np.empty(0, np.int64), *keys])
    rows = np.empty(len(key), np.int64)
    rows[np.argsort(key, kind="stable")] = np.arange(len(key))
    return rows


def _split(rows: Int64, sizes: list[int]) -> list[Int64]:
    return np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []


def _chunks(slices: _Slices) -> Iterator[_Slices]:
    """All slices, about `PAIRS` pairs at a time."""
    if not len(slices):
        return
    pairs = np.cumsum(slices.high - slices.low)
    bounds = np.searchsorted(pairs, np.arange(PAIRS, int(pairs[-1]), PAIRS), "left") + 1
    yield from (slices.part(slice(a, b)) for a, b in pairwise(sorted({0, *bounds.tolist(), len(slices)})))


def _compute(columns: dict[str, NDArray[Any]], names: list[str], held: _Held, slices: _Slices) -> None:
    """The numbers of a chunk of ranges, written to their rows, which are zero before. Rows whose slices hold nothing in
    the end stay zero."""
    of_slice, operation = held.order.inside(*expanded(slices.low, slices.high), slices.until)
    found = Sets.of(held.work, of_slice, operation)
    if found is None:
        middle = len(slices) // 2  # times so far apart that not all windows fit into 64 bits
        _compute(columns, names, held, slices.part(slice(0, middle)))
        _compute(columns, names, held, slices.part(slice(middle, None)))
    elif len(found.named):
        quantities, row = Quantities(found), slices.row[found.named]
        for name in names:
            values = getattr(quantities, name)
            if values.ndim == 1:
                columns[name][row] = values
                continue
            for kind in np.flatnonzero(values.any(axis=0)).tolist():
                columns[name][row, kind] = values[:, kind]
