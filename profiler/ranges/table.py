"""The numbers of many ranges at once, a row for each (range, device).

Time grows with the pairs (range, operation): 30 million take some seconds; ranges that hold much of a trace are put together
from pieces (`pieces`). Ranges are worked on in chunks, so that memory does not grow with the pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays.rows import Rows
from ..arrays.types import Int64
from ..trace.model import KINDS, Trace
from .attribution import Attribution, CallOrder
from .pieces import fill
from .slices import Held, Slices
from .swept import prepare
from .work import Work


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
            slices = Slices(mine, one.low, one.high, self._trace.ranges.end[one.range])
            fill(columns, self._numbers, one, slices)
        table = RangeTable.supplied(_Columns(columns))
        some = columns["ops"] > 0
        return table if some.all() else table.take(some)

    def _held(self, wanted: Int64) -> Iterator[Held]:
        ranges = self._trace.ranges
        for key, places in self._attribution.by_key(self._trace, wanted):
            mine, (order, work) = wanted[places], self._order(key)
            for some, gpu, low, high in order.slices(getattr(ranges, key)[mine], ranges.start[mine], ranges.end[mine]):
                yield Held(order, work, mine[some], gpu, low, high)

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
            prepare(work, self._numbers)
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


def _rows(trace: Trace, wanted: Int64, held: list[Held]) -> Int64:
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
