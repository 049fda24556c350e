"""The numbers of many ranges at once, a row for each (range, device), as docs/metrics.md defines them.

Time grows with the pairs (range, operation): 30 million take some seconds. Ranges are worked on in chunks, so that memory
does not grow with the pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..trace.blocks import in_order
from ..trace.groups import any_of, combined_codes
from ..trace.model import COMM, COMPUTE, COPIES, GRAPH_LAUNCH, KINDS, Trace
from ..trace.rows import Rows
from ..trace.source.growing import constant
from ..trace.source.scan import Int64
from ..trace.windows import Windows, by_group
from .attribution import LaunchOrder, crosses_threads
from .intervals import at_least, union
from .overlap import grouped
from .segments import Segments, firsts

ATTRIBUTIONS = ("thread", "process")
PAIRS = 1 << 19
"""Pairs a chunk: 4 MiB a column."""
_WIDEST = float(1 << 62)


@dataclass(frozen=True, slots=True, eq=False)
class RangeTable(Rows):
    """Columns of shape (n,), `busy_by_class` of shape (n, len(KINDS)); times and lengths in ns.

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


@dataclass(frozen=True, slots=True)
class _Launched:
    """Columns of one device's operations in launch order, and `tangled`: shares time with another of its own stream."""

    device: Int64
    start: Int64
    end: Int64
    kind: NDArray[np.int8]
    lane: Int64
    launch: Int64
    returned: Int64
    tangled: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Slices:
    """Ranges and the slices of `launched` that they hold, in rows `row` of the table to fill; `until` is the range's end,
    to be checked unless `tidy`."""

    launched: _Launched
    row: Int64
    low: Int64
    high: Int64
    until: Int64
    tidy: bool

    def part(self, some: slice) -> _Slices:
        return _Slices(self.launched, self.row[some], self.low[some], self.high[some], self.until[some], self.tidy)


@dataclass(frozen=True, slots=True)
class _Held:
    """Which ranges hold operations of which device: `low` to `high` of the device's operations in `order`."""

    order: LaunchOrder
    range: Int64
    gpu: Int64
    low: Int64
    high: Int64


def range_table(trace: Trace, chosen: ArrayLike | None = None, attribution: str = "thread") -> RangeTable:
    """A row for each (range, device) with operations, ordered by range as given, then by device.

    Args:
        chosen: row indices into `trace.ranges`, shape (r,); all of them by default.
        attribution: "thread" as docs/metrics.md defines projection, or "process": launches of every thread of the
            range's process inside it.

    Raises:
        ValueError: another attribution.
    """
    if attribution not in ATTRIBUTIONS:
        raise ValueError(attribution)
    wanted = np.arange(len(trace.ranges)) if chosen is None else np.asarray(chosen, np.int64)
    held = list(_held(trace, wanted, attribution))
    ranges, gpus = (np.concatenate([np.empty(0, np.int64), *(getattr(h, c) for h in held)]) for c in ("range", "gpu"))
    rows = _rows(trace, wanted, ranges, gpus)
    table = _blank(len(rows))
    table.range[rows], table.gpu[rows] = ranges, gpus
    del ranges, gpus
    for _ in in_order(lambda slices: _fill(table, slices), _chunks(trace, held, rows)):
        pass
    return table if (table.ops > 0).all() else table.take(table.ops > 0)


def _rows(trace: Trace, wanted: Int64, ranges: Int64, gpus: Int64) -> Int64:
    """The row of each (range, device): by the place of the range in `wanted`, then by device."""
    position = np.empty(len(trace.ranges), np.int64)
    position[wanted] = np.arange(len(wanted))
    key = position[ranges] * max(len(trace.gpus), 1) + gpus
    rows = np.empty(len(key), np.int64)
    rows[np.argsort(key, kind="stable")] = np.arange(len(key))
    return rows


def _blank(n: int) -> RangeTable:
    columns = {f.name: np.zeros(n, np.int64) for f in fields(RangeTable) if f.name != "busy_by_class"}
    return RangeTable(**columns, busy_by_class=np.zeros((n, len(KINDS)), np.int64))


def _held(trace: Trace, wanted: Int64, attribution: str) -> Iterator[_Held]:
    whole = crosses_threads(trace, wanted) | (attribution == "process")
    for ranges, of_range, of_call in (
        (wanted[~whole], trace.ranges.thread, trace.calls.thread),
        (wanted[whole], trace.ranges.process, trace.calls.process),
    ):
        if not len(ranges):
            continue
        order = LaunchOrder.of(trace, of_call)
        first, stop = order.slices(of_range[ranges], trace.ranges.start[ranges], trace.ranges.end[ranges])
        gpu = trace.operations.gpu[order.operation]
        for index in range(len(trace.gpus)):
            before = np.concatenate([[0], np.cumsum(gpu == index)]) if len(trace.gpus) > 1 else None
            low, high = (first, stop) if before is None else (before[first], before[stop])
            some = np.flatnonzero(high > low)
            yield _Held(order, ranges[some], constant(index, len(some), np.int64), low[some], high[some])


def _chunks(trace: Trace, held: list[_Held], rows: Int64) -> Iterator[_Slices]:
    """All slices, about `PAIRS` pairs at a time."""
    at = 0
    while held:
        one = held.pop(0)
        n = len(one.range)
        if n:
            here = trace.operations.gpu[one.order.operation] == one.gpu[0]
            launched = _launched(trace, one.order, np.flatnonzero(here))
            until = trace.ranges.end[one.range]
            slices = _Slices(launched, rows[at : at + n], one.low, one.high, until, one.order.tidy)
            at += n
            pairs = np.cumsum(one.high - one.low)
            bounds = np.searchsorted(pairs, np.arange(PAIRS, int(pairs[-1]), PAIRS), "left") + 1
            yield from (slices.part(slice(a, b)) for a, b in pairwise(sorted({0, *bounds.tolist(), n})))


def _launched(trace: Trace, order: LaunchOrder, here: Int64) -> _Launched:
    operations, mine = trace.operations, order.operation[here]
    start, end = operations.start[mine], operations.end[mine]
    columns = (operations.process, operations.device, operations.context, operations.stream)
    lane = combined_codes([column[mine] for column in columns])
    launch = operations.launch[mine]
    returned = start[:0] if order.tidy else trace.calls.end[launch]
    return _Launched(
        operations.device[mine], start, end, operations.kind[mine], lane, launch, returned, _tangled(lane, start, end)
    )


def _tangled(lane: Int64, start: Int64, end: Int64) -> NDArray[np.bool_]:
    """Operations that share time with another one of their own stream."""
    lanes = int(lane.max(initial=-1)) + 1
    order = by_group(lane, lanes)
    found = np.zeros(len(lane), bool)
    windows = Windows.of(lane, max(lanes, 1), start, end)
    if windows is None:
        return np.ones(len(lane), bool)
    s, e = (times[order] + windows.shift[lane[order]] for times in (start, end))
    if (s[1:] < s[:-1]).any():
        again = np.argsort(s, kind="stable")
        order, s, e = order[again], s[again], e[again]
    reach = np.maximum.accumulate(e)
    late = s[1:] < reach[:-1]
    if late.any():
        found[order[1:]] |= late
        found[order[:-1]] |= e[:-1] > s[1:]
    return found


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The pairs (set, operation) of a chunk, grouped by set: one set a range. `shift[set]` moves times into its window."""

    of_set: Int64
    first: Int64
    shift: Int64
    start: Int64
    end: Int64
    kind: NDArray[np.int8]

    def only(self, keep: NDArray[np.bool_]) -> _Pairs:
        of_set = self.of_set[keep]
        return _Pairs(of_set, firsts(of_set), self.shift, self.start[keep], self.end[keep], self.kind[keep])

    def segments(self) -> Segments:
        return Segments.of(self.of_set, self.first, self.shift, self.start, self.end)


def _fill(table: RangeTable, slices: _Slices) -> None:
    """All columns of a chunk of ranges on one device, written to their rows. Rows without operations stay zero."""
    of_set, index = _expanded(slices)
    if not slices.tidy:
        keep = slices.launched.returned[index] <= slices.until[of_set]
        of_set, index = of_set[keep], index[keep]
    if not len(of_set):
        return
    first = firsts(of_set)
    rows = slices.row[of_set[first]]
    sizes = np.diff(np.append(first, len(of_set)))
    data = slices.launched
    start, end, kind = data.start[index], data.end[index], data.kind[index]
    low, high = np.minimum.reduceat(start, first), np.maximum.reduceat(end, first)
    width = high - low + 2
    if width.astype(np.float64).sum() > _WIDEST and len(slices.row) > 1:
        middle = len(slices.row) // 2  # times so far apart that not all windows fit into 64 bits
        _fill(table, slices.part(slice(0, middle)))
        _fill(table, slices.part(slice(middle, None)))
        return
    shift = np.cumsum(width) - width - low
    pairs = _Pairs(np.repeat(np.arange(len(first)), sizes), first, shift, start, end, kind)
    for name, column in _counts(data, index, first).items():
        getattr(table, name)[rows] = column
    table.ops[rows] = sizes
    table.proj_start[rows], table.proj_end[rows], table.span[rows] = low, high, high - low
    for name, column in _lengths(pairs, data, index).items():
        getattr(table, name)[rows] = column
    table.idle[rows] = table.span[rows] - table.busy[rows]


def _counts(data: _Launched, index: Int64, first: Int64) -> dict[str, Int64]:
    kind, calls = data.kind[index], data.launch[index]
    return {
        "device": data.device[index[first]],
        "kernels": np.add.reduceat(any_of(kind, (COMPUTE, COMM)), first, dtype=np.int64),
        "launches": np.add.reduceat(_changes(calls, first), first, dtype=np.int64),
        "graphs": np.add.reduceat(kind == GRAPH_LAUNCH, first, dtype=np.int64),
    }


def _lengths(pairs: _Pairs, data: _Launched, index: Int64) -> dict[str, Int64]:
    whole = pairs.segments()
    busy, overlap = whole.lengths(), whole.lengths(2)
    by_class = _by_class(pairs, busy)
    tangled = np.logical_or.reduceat(data.tangled[index], pairs.first)
    if tangled.any():
        overlap[tangled] = _between_streams(pairs, data.lane[index], tangled)
    return {
        "sum": np.add.reduceat(pairs.end - pairs.start, pairs.first),
        "busy": busy,
        "overlap": overlap,
        "max_in_flight": whole.most_in_flight(),
        "overlap_copy_compute": _shared(pairs, COPIES, by_class),
        "overlap_comm_compute": _shared(pairs, (COMM,), by_class),
        "busy_by_class": by_class,
    }


def _expanded(slices: _Slices) -> tuple[Int64, Int64]:
    """Pairs (position of the range, index of the operation in launch order)."""
    counts = slices.high - slices.low
    of_set = np.repeat(np.arange(len(counts)), counts)
    return of_set, np.arange(len(of_set)) + (slices.low - np.cumsum(counts) + counts)[of_set]


def _changes(calls: Int64, first: Int64) -> NDArray[np.bool_]:
    """Where another call's operations begin; those of one call lie together."""
    changes = np.ones(len(calls), bool)
    changes[1:] = calls[1:] != calls[:-1]
    changes[first] = True
    return changes


def _by_class(pairs: _Pairs, busy: Int64) -> Int64:
    """Busy time of each class. In a set of one class it is the whole's; others are looked at class by class."""
    table = np.zeros((len(busy), len(KINDS)), np.int64)
    present = np.bitwise_or.reduceat(np.left_shift(np.int16(1), pairs.kind, dtype=np.int16), pairs.first)
    single = present & (present - 1) == 0
    table[single, pairs.kind[pairs.first[single]]] = busy[single]
    if single.all():
        return table
    mixed = pairs.only(~single[pairs.of_set]) if single.any() else pairs
    for kind in range(len(KINDS)):
        part = mixed.only(mixed.kind == kind)
        if len(part.first):
            table[part.of_set[part.first], kind] = part.segments().lengths()
    return table


def _shared(pairs: _Pairs, kinds: tuple[int, ...], by_class: Int64) -> Int64:
    """Length of union(kinds) ∩ union(compute) for each set: |A| + |B| - |A ∪ B|."""
    shared = np.zeros(len(by_class), np.int64)
    both = (by_class[:, kinds].sum(axis=1) > 0) & (by_class[:, COMPUTE] > 0)
    if not both.any():
        return shared
    here = both[pairs.of_set]
    either = pairs.only(here & any_of(pairs.kind, (*kinds, COMPUTE)))
    alone = pairs.only(here & any_of(pairs.kind, kinds))
    lengths = alone.segments().lengths() if len(kinds) > 1 else by_class[both, kinds[0]]
    shared[both] = lengths + by_class[both, COMPUTE] - either.segments().lengths()
    return shared


def _between_streams(pairs: _Pairs, lane: Int64, tangled: NDArray[np.bool_]) -> Int64:
    """Overlap of sets whose streams overlap themselves: each stream counts once at any time."""
    here = tangled[pairs.of_set]
    mine = pairs.only(here)
    group = combined_codes((mine.of_set, lane[here]))
    owner = np.empty(int(group.max()) + 1, np.int64)
    owner[group] = mine.of_set
    of_piece, start, end = grouped(union, group, len(owner), mine.start, mine.end)
    of_set, begin, finish = grouped(lambda s, e: at_least(s, e, 2), owner[of_piece], len(pairs.first), start, end)
    lengths = np.zeros(len(pairs.first), np.int64)
    np.add.at(lengths, of_set, finish - begin)
    return lengths[tangled]
