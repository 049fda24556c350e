"""Operations of two traces aligned by name and position: what became of each name, closing to the nanosecond.

The k-th execution of a kernel (or copy of a kind) in one set stands against the k-th in the other. The ledger explains the change of the span: sum of all times, less what ran at the same time, plus what was idle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np

from ..analysis.overlap import grouped
from ..arrays.blocks import both, gathered
from ..arrays.groups import any_of, distinct_values
from ..arrays.intervals import union
from ..arrays.segments import firsts
from ..arrays.types import Int64
from ..arrays.windows import by_group
from ..trace.model import COMM, COMPUTE, KINDS, Operations, Trace
from .spread import groups


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some operations of one trace, in pieces that are each compared as a whole: one per range instance, or the whole
    trace.

    operations  piece by piece, each by start
    of_piece    the number of each one's piece, ascending, shape (len(operations),)
    pieces      how many there are
    """

    trace: Trace
    operations: Operations
    of_piece: Int64
    pieces: int

    @classmethod
    def of(cls, trace: Trace, operation: Int64, of_piece: Int64, pieces: int) -> Self:
        """From row indices into `trace.operations`, pieces together or not."""
        order = _order(trace.operations.take(operation), of_piece)
        return cls(trace, trace.operations.take(operation[order]), of_piece[order], pieces)

    def on(self, gpu: int) -> Part:
        """What one device ran of it."""
        mine = np.flatnonzero(self.operations.gpu == gpu)
        return Part(self.trace, self.operations.take(mine), self.of_piece[mine], self.pieces)


def _order(operations: Operations, of_piece: Int64) -> Int64:
    """By piece, start, end, table and row; only what starts together is sorted by more than its start."""
    start = operations.start
    one = not len(of_piece) or bool((of_piece == of_piece[0]).all())
    order = np.argsort(start, kind="stable") if one else np.lexsort((start, of_piece))
    begun, piece = gathered(start, order), gathered(of_piece, order)
    tied = (begun[1:] == begun[:-1]) & (piece[1:] == piece[:-1])
    places = np.flatnonzero(np.concatenate([[False], tied]) | np.concatenate([tied, [False]])) if tied.any() else ()
    if len(places):
        mine = order[places]
        some = operations.take(mine)
        order[places] = mine[np.lexsort((some.row, some.table, some.end, some.start, of_piece[mine]))]
    return order


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One name, aligned; times are sums in ns over its operations, `change` = b - a of all of them.

    matched pairs are `faster`, `slower` or as fast; what has no partner is `new` (only in b) or `gone` (only in a).
    """

    name: str  # a kernel's, or "" for copies and memsets, which their kind tells apart
    kind: str
    status: str  # new, gone; more, fewer where the counts differ; else faster, slower or same by the sums
    count_a: int
    count_b: int
    sum_a: int
    sum_b: int
    change: int
    matched: int
    faster: int
    faster_ns: int
    slower: int
    slower_ns: int
    new: int
    new_ns: int
    gone: int
    gone_ns: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the pieces, in ns."""

    pieces: int
    ops: int
    sum: int
    busy: int
    idle: int
    span: int


@dataclass(frozen=True, slots=True)
class DeviceDiff:
    """One device against another. `change` is what the span gained (+) or lost (-) from a to b, and `ledger` of what: gained (+) or
    lost (-) by b; they sum to `b.span - a.span` exactly. `concurrent` is minus the growth of sum - busy."""

    gpu_a: str
    gpu_b: str
    a: Totals
    b: Totals
    change: int  # b.span - a.span
    ledger: dict[str, int]
    rows: tuple[DiffRow, ...]


def aligned(a: Part, b: Part) -> tuple[DeviceDiff, ...]:
    """Compare device by device: paired by uuid where both traces have it, else in order of first appearance."""
    return tuple(_device(a, b, x, y) for x, y in _devices(a, b))


def _devices(a: Part, b: Part) -> list[tuple[int, int]]:
    """Pairs of indices into each trace's gpus, -1 for a device without a partner."""
    left, right = ([int(g) for g in distinct_values(part.operations.gpu)] for part in (a, b))
    uuid_a, uuid_b = ({part.trace.gpus[g].uuid or None: g for g in own} for part, own in ((a, left), (b, right)))
    pairs = [(g, uuid_b[uuid]) for uuid, g in uuid_a.items() if uuid is not None and uuid in uuid_b]
    rest_a = [g for g in left if g not in {x for x, _ in pairs}]
    rest_b = [g for g in right if g not in {y for _, y in pairs}]
    longest = max(len(rest_a), len(rest_b))
    rest_a, rest_b = (rest + [-1] * (longest - len(rest)) for rest in (rest_a, rest_b))
    return sorted([*pairs, *zip(rest_a, rest_b, strict=True)])


def _device(a: Part, b: Part, gpu_a: int, gpu_b: int) -> DeviceDiff:
    def counted(side: Part, gpu: int) -> tuple[Totals, Keyed]:
        part = side.on(gpu)
        return _totals(part), _keyed(part)

    (first, left), (second, right) = both(partial(counted, a, gpu_a), partial(counted, b, gpu_b))
    rows = _rows(left, right)
    ledger = {
        "faster": sum(row.faster_ns for row in rows),
        "slower": sum(row.slower_ns for row in rows),
        "new": sum(row.new_ns for row in rows),
        "gone": sum(row.gone_ns for row in rows),
        "concurrent": (first.sum - first.busy) - (second.sum - second.busy),
        "idle": second.idle - first.idle,
    }
    uuid_a, uuid_b = (part.trace.gpus[gpu].uuid if gpu >= 0 else "" for part, gpu in ((a, gpu_a), (b, gpu_b)))
    return DeviceDiff(uuid_a, uuid_b, first, second, second.span - first.span, ledger, rows)


def _totals(part: Part) -> Totals:
    start, end, first = part.operations.start, part.operations.end, firsts(part.of_piece)
    if not len(first):
        return Totals(0, 0, 0, 0, 0, 0)
    _, busy_from, busy_to = grouped(union, part.of_piece, int(part.of_piece[-1]) + 1, start, end)
    busy = int((busy_to - busy_from).sum())
    span = int((np.maximum.reduceat(end, first) - np.minimum.reduceat(start, first)).sum())
    return Totals(len(first), len(start), int((end - start).sum()), busy, span - busy, span)


Keyed = dict[tuple[str, str], Int64]
"""(kind, name) -> the lengths of its operations in their order, in ns."""


def _keyed(part: Part) -> Keyed:
    mine = part.operations
    kernel = any_of(mine.kind, (COMPUTE, COMM))
    group, first = groups(mine.kind, np.where(kernel, mine.name, -1))
    length = mine.end - mine.start
    order = by_group(group, len(first))
    members = np.split(order, np.flatnonzero(np.diff(gathered(group, order))) + 1) if len(first) else []
    keys = [(KINDS[mine.kind[at]], part.trace.text(int(mine.name[at])) if kernel[at] else "") for at in first]
    same: dict[tuple[str, str], list[Int64]] = {}
    for key, rows in zip(keys, members, strict=True):
        same.setdefault(key, []).append(gathered(length, rows))
    return {key: np.concatenate(lengths) for key, lengths in same.items()}


def _rows(a: Keyed, b: Keyed) -> tuple[DiffRow, ...]:
    nothing = np.empty(0, np.int64)
    rows = [_row(*key, a.get(key, nothing), b.get(key, nothing)) for key in a.keys() | b.keys()]
    return tuple(sorted(rows, key=lambda row: (-abs(row.change), row.kind, row.name)))


def _row(kind: str, name: str, a: Int64, b: Int64) -> DiffRow:
    matched = min(len(a), len(b))
    change = b[:matched] - a[:matched]
    new, gone = b[matched:], a[matched:]
    faster, slower = change[change < 0], change[change > 0]
    whole = int(b.sum()) - int(a.sum())
    return DiffRow(
        name=name,
        kind=kind,
        status=_status(len(a), len(b), whole),
        count_a=len(a),
        count_b=len(b),
        sum_a=int(a.sum()),
        sum_b=int(b.sum()),
        change=whole,
        matched=matched,
        faster=len(faster),
        faster_ns=int(faster.sum()),
        slower=len(slower),
        slower_ns=int(slower.sum()),
        new=len(new),
        new_ns=int(new.sum()),
        gone=len(gone),
        gone_ns=-int(gone.sum()),
    )


def _status(count_a: int, count_b: int, change: int) -> str:
    if not count_a or not count_b:
        return "gone" if count_a else "new"
    if count_a != count_b:
        return "more" if count_a < count_b else "fewer"
    return "faster" if change < 0 else "slower" if change > 0 else "same"
