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

from ..trace.blocks import in_order
from ..trace.model import KINDS, Trace
from ..trace.rows import Rows
from ..trace.source.scan import Int64
from .attribution import LaunchOrder, crosses_threads
from .pairs import Slices, placed
from .range_numbers import RangeNumbers
from .work import Work

ATTRIBUTIONS = ("thread", "process")
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


@dataclass(frozen=True, slots=True)
class _Held:
    """Which ranges hold operations of which device: from `low` to `high` in `order`."""

    order: LaunchOrder
    range: Int64
    gpu: Int64
    low: Int64
    high: Int64


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
    if attribution not in ATTRIBUTIONS:
        raise ValueError(attribution)
    wanted = np.arange(len(trace.ranges)) if chosen is None else np.asarray(chosen, np.int64)
    held = list(_held(trace, wanted, attribution))
    rows = _rows(trace, wanted, held)
    columns = _blank(len(rows), numbers)
    for one, mine in zip(held, _split(rows, [len(h.range) for h in held]), strict=True):
        columns["range"][mine], columns["gpu"][mine] = one.range, one.gpu
    _fill(columns, trace, held, rows)
    table = RangeTable.supplied(_Columns(columns))
    some = columns["ops"] > 0
    return table if some.all() else table.take(some)


def _held(trace: Trace, wanted: Int64, attribution: str) -> Iterator[_Held]:
    whole = crosses_threads(trace, wanted) | (attribution == "process")
    for ranges, process in ((wanted[~whole], False), (wanted[whole], True)):
        if not len(ranges):
            continue
        of_range, of_call = (
            (trace.ranges.process, trace.calls.process) if process else (trace.ranges.thread, trace.calls.thread)
        )
        order = LaunchOrder.of(trace, of_call)
        bounds = trace.ranges.start[ranges], trace.ranges.end[ranges]
        for some, gpu, low, high in order.slices(of_range[ranges], *bounds):
            yield _Held(order, ranges[some], gpu, low, high)


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


def _blank(n: int, numbers: Collection[str]) -> dict[str, NDArray[Any]]:
    columns = {name: np.zeros(n, np.int64) for name in ("range", "gpu", "ops", *numbers) if name != "busy_by_class"}
    if "busy_by_class" in numbers:
        columns["busy_by_class"] = np.zeros((n, len(KINDS)), np.int64)
    return columns


def _fill(columns: dict[str, NDArray[Any]], trace: Trace, held: list[_Held], rows: Int64) -> None:
    """Compute all columns but `range` and `gpu`. Rows whose slices hold nothing in the end stay zero."""
    names = [name for name in columns if name not in ("range", "gpu")]
    work: Work | None = None
    for number, (one, mine) in enumerate(zip(held, _split(rows, [len(h.range) for h in held]), strict=True)):
        if work is None or one.order is not held[number - 1].order:
            work = _work(trace, one.order, names)
        slices = Slices(mine, one.low, one.high, trace.ranges.end[one.range])
        for _ in in_order(partial(_compute, columns, names, work), _chunks(slices)):
            pass


def _work(trace: Trace, order: LaunchOrder, names: list[str]) -> Work:
    """The work with the columns that these numbers look at made, before several threads ask for them at the same time."""
    work = Work.of(trace, order, "overlap" in names)
    for column, numbers in _LOOKED_AT.items():
        if not numbers or numbers & set(names):
            getattr(work.operations, column)
    return work


_LOOKED_AT: Mapping[str, set[str]] = {
    "start": set(),
    "end": set(),
    "device": {"device"},
    "launch": {"launches"},
    "kind": {"kernels", "graphs", "busy_by_class", "overlap_copy_compute", "overlap_comm_compute"},
}
"""Columns of the operations and the numbers that need them; none: all."""


def _chunks(slices: Slices) -> Iterator[Slices]:
    """All slices, about `PAIRS` pairs at a time."""
    if not len(slices):
        return
    pairs = np.cumsum(slices.high - slices.low)
    bounds = np.searchsorted(pairs, np.arange(PAIRS, int(pairs[-1]), PAIRS), "left") + 1
    yield from (slices.part(slice(a, b)) for a, b in pairwise(sorted({0, *bounds.tolist(), len(slices)})))


def _compute(columns: dict[str, NDArray[Any]], names: list[str], work: Work, slices: Slices) -> None:
    """All numbers of a chunk of ranges, written to their rows."""
    found = placed(work, slices)
    if found is None:
        middle = len(slices) // 2  # times so far apart that not all windows fit into 64 bits
        _compute(columns, names, work, slices.part(slice(0, middle)))
        _compute(columns, names, work, slices.part(slice(middle, None)))
    elif len(found.row):
        numbers = RangeNumbers(work, found)
        for name in names:
            columns[name][found.row] = getattr(numbers, name)
