"""Ranks joined by their collectives: what each waited and transferred, who came last, and how far apart their clocks may be.

Every number is exact or a bound: docs/ranks.md says what holds whatever the clocks say, and what needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays.types import Bools, Int64
from ..evidence import Finding
from .clocks import WINDOW_NS, Part, Window, bounds, coarse, references, suspects
from .matching import NEVER, Block, Matching, matched
from .record import COMPLETE, Rank, Signature, unpacked


@dataclass(frozen=True, slots=True, eq=False)
class Collectives:
    """The matched collectives in the order of time, arrays of shape (k,); -1 stands for what is not known.

    at             its end on the clock of the reference of its ranks, about
    signature      index into `Joined.signatures`
    block          index into `Joined.blocks`, and `column` its place there
    ranks          how many ran it
    shortest       the shortest duration: no transfer took longer
    transfer_low   for so long all of them were inside at the same time
    skew_low, skew_high  from the first to come to the last
    last           the rank that came last by the middle of the clocks' intervals; `proven` where no other can have
    late           by how much at least it came after all others; 0 where it is not proven, or nobody waited for it
    """

    at: Int64
    signature: Int64
    block: Int64
    column: Int64
    ranks: Int64
    shortest: Int64
    transfer_low: Int64
    skew_low: Int64
    skew_high: Int64
    last: Int64
    proven: Bools
    late: Int64

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """All ranks of a run; arrays of shape (n,).

    comm         the durations of all communication kernels of a rank, summed
    wait_low, wait_high   how much of it the rank waited for others
    matched, left, between_two   kernels that belong to a collective of several ranks, to none, and sends and receives
    came_last    collectives in which a rank was the last, by `Collectives.last`; `proven_last` those where it is proven
    late_low, late_high  by how much less the others had waited in all, had a rank come with the last of them
    excluded     ranks whose traces are of another run: compared with nothing
    """

    ranks: tuple[Rank, ...]
    names: tuple[str, ...]
    base: Int64
    blocks: tuple[Block, ...]
    signatures: tuple[Signature, ...]
    collectives: Collectives
    comm: Int64
    wait_low: Int64
    wait_high: Int64
    matched: Int64
    left: Int64
    between_two: Int64
    came_last: Int64
    proven_last: Int64
    late_low: Int64
    late_high: Int64
    windows: tuple[Window, ...]
    excluded: tuple[int, ...]
    findings: tuple[Finding, ...]

    @property
    def clocks_agree(self) -> bool:
        """Whether no window contradicts itself."""
        return all(bool(window.consistent.all()) for window in self.windows)


def join(ranks: Sequence[Rank], names: Sequence[str], whole: bool) -> Joined:
    """Everything that ranks say together.

    Args:
        names: what findings and tables call each rank.
        whole: whether no rank of the run is known to be missing; else what needs all of them is not said.
    """
    matching = matched(ranks, names)
    excluded = _exclude(matching, ranks, names)
    blocks = [_as_far(block, whole) for block in matching.blocks]
    comm = np.array([_total(rank) for rank in ranks], np.int64)
    windows, columns = _windows(blocks, len(ranks))
    for window in windows:
        matching.findings += _of_clocks(window, names)
    sums = _Sums.zero(len(ranks))
    parts = [_numbers(blocks, window, some, sums, matching.base) for window, some in columns]
    collectives = _in_order(parts)
    if any(rank.completeness != COMPLETE for rank in ranks):  # one that was lost would match others with one another
        collectives = replace(collectives, proven=np.zeros_like(collectives.proven))
    ran = _counted(blocks, len(ranks))
    last = np.bincount(collectives.last[collectives.last >= 0], minlength=len(ranks)).astype(np.int64)
    proven = np.bincount(collectives.last[collectives.proven], minlength=len(ranks)).astype(np.int64)
    return Joined(
        ranks=tuple(ranks),
        names=tuple(names),
        base=matching.base,
        blocks=tuple(blocks),
        signatures=matching.signatures,
        collectives=collectives,
        comm=comm,
        wait_low=sums.wait_low,
        wait_high=comm - sums.transferred,
        matched=ran,
        left=matching.left,
        between_two=matching.between_two,
        came_last=last,
        proven_last=proven,
        late_low=sums.late_low,
        late_high=sums.late_high,
        windows=tuple(_absolute(window, matching.base) for window in windows),
        excluded=tuple(excluded),
        findings=tuple(matching.findings),
    )


def _total(rank: Rank) -> int:
    said = rank.communication
    return int((unpacked(said.end) - unpacked(said.start)).sum())


def _as_far(block: Block, whole: bool) -> Block:
    parts = (block.key, block.members, block.start, block.end, block.there, block.signature, block.waits)
    return block if whole or not block.complete or block.key else Block(*parts, complete=False)


def _exclude(matching: Matching, ranks: Sequence[Rank], names: Sequence[str]) -> list[int]:
    """Take ranks of another run out of all blocks; what they ran is left."""
    known = zip(ranks, matching.base.tolist(), strict=True)
    utc = [None if rank.start_utc_ns is None else rank.start_utc_ns + base for rank, base in known]
    odd = np.unique(np.concatenate([np.empty(0, np.int64), *(suspects(block, utc) for block in matching.blocks)]))
    kept = []
    for block in matching.blocks:
        rows = ~np.isin(block.members, odd)
        gone = block.members[~rows]
        there = block.end[~rows] < NEVER
        matching.left[gone] += there.sum(axis=1)
        if int(rows.sum()) > 1:
            kept.append(block if rows.all() else block.only(rows))
        else:
            matching.left[block.members[rows]] += (block.end[rows] < NEVER).sum(axis=1)
    matching.blocks[:] = kept
    for rank in odd.tolist():
        matching.findings.append(Finding("ranks_of_another_run", {"rank": names[rank]}, "range"))
    return [int(rank) for rank in odd]


Some = tuple[int, slice | Int64]
"""A block and the columns of it that end in a window."""


def _windows(blocks: Sequence[Block], n: int) -> tuple[list[Window], list[tuple[Window, list[Some]]]]:
    """The windows of time, and which collectives lie in each."""
    reference = references(blocks, n)
    o = coarse(blocks, reference)
    at = [_times(block, o) for block in blocks]
    first = min((int(times.min()) for times in at if len(times)), default=0)
    number = [(times - first) // WINDOW_NS for times in at]
    found = []
    for which in sorted({int(w) for some in number for w in np.unique(some)}):
        columns: list[Some] = [
            (i, slice(None) if (some == which).all() else np.flatnonzero(some == which))
            for i, some in enumerate(number)
            if (some == which).any()
        ]
        parts = [part for i, some in columns if (part := _waiting(blocks[i], some)) is not None]
        low, high, consistent = bounds(parts, reference)
        estimate = Window(first + (which + 1) * WINDOW_NS, reference, low, high, consistent)
        found.append((estimate, columns))
    return [window for window, _ in found], found


def _times(block: Block, o: Int64) -> Int64:
    """When each collective ended for the first rank that is there, on the clock of its reference, about."""
    ends = np.minimum(block.end + o[block.members][:, None], NEVER) if block.there is not None else None
    times: Int64 = block.end[0] + o[block.members[0]] if ends is None else ends.min(axis=0)
    return times


def _waiting(block: Block, some: slice | Int64) -> Part | None:
    """The members, starts and ends of those columns in which nobody leaves early."""
    waits = block.waits[some]
    if not waits.any():
        return None
    start, end = block.start[:, some], block.end[:, some]
    return (block.members, start, end) if waits.all() else (block.members, start[:, waits], end[:, waits])


def _of_clocks(window: Window, names: Sequence[str]) -> Iterator[Finding]:
    """What contradicts itself, and between whom."""
    if window.consistent.all():
        return
    bad = np.flatnonzero(~window.consistent & (window.low > window.high))
    who = [names[rank] for rank in bad.tolist()[:5]] + ["…"] * (len(bad) > 5)
    by = int((window.low - window.high)[bad].max(initial=0))
    yield Finding("ranks_clocks_disagree", {"ranks": ", ".join(who), "count": len(bad), "ns": by}, "range")


@dataclass(slots=True)
class _Sums:
    """What adds up over all collectives of a rank; shape (n,)."""

    wait_low: Int64
    transferred: Int64
    late_low: Int64
    late_high: Int64

    @classmethod
    def zero(cls, n: int) -> _Sums:
        return cls(*np.zeros((4, n), np.int64))


def _absolute(window: Window, base: Int64) -> Window:
    """With what is to be added to the times as the traces have them."""
    reference = np.maximum(window.reference, 0)
    apart = base[reference] - base
    low, high = (np.where(np.abs(o) < NEVER, o + apart, o) for o in (window.low, window.high))
    first = int(base[reference[0]]) if len(base) else 0
    return Window(window.until + first, window.reference, low, high, window.consistent)


def _numbers(blocks: Sequence[Block], window: Window, some: Sequence[Some], sums: _Sums, base: Int64) -> Collectives:
    """The collectives of one window, block by block; their parts of the sums are added."""
    return _joined([_of_block(blocks[i], i, columns, window, sums, base) for i, columns in some])


def _of_block(
    block: Block, index: int, columns: slice | Int64, window: Window, sums: _Sums, base: Int64
) -> Collectives:
    start, end = block.start[:, columns], block.end[:, columns]
    there = None if block.there is None else block.there[:, columns]
    shortest = (end - start).min(axis=0)
    count, of_rank = start.shape[1], block.members
    sums.wait_low[of_rank] += _summed(end - start - shortest, there)
    by = Arrivals.of(start, end, there, window.low[of_rank], window.high[of_rank]) if _known(window, of_rank) else None
    transfer = by.together(end) if by and block.complete else np.zeros(count, np.int64)
    sums.transferred[of_rank] += _summed(np.broadcast_to(transfer, start.shape), there)
    waits = block.waits[columns]
    late_low, late_high = by.late(waits) if by else (np.zeros(len(of_rank), np.int64), _late_at_most(start, end, waits))
    sums.late_low[of_rank] += late_low if block.complete else 0
    sums.late_high[of_rank] += late_high
    unknown = np.full(count, -1, np.int64)
    o = window.low + (window.high - window.low) // 2 if by else np.zeros(len(window.low), np.int64)
    return Collectives(
        at=_times(block, o)[columns] + base[max(int(window.reference[of_rank[0]]), 0) if by else of_rank[0]],
        signature=block.signature[columns],
        block=np.full(count, index),
        column=np.arange(block.count)[columns],
        ranks=(np.full(count, len(of_rank)) if there is None else there.sum(axis=0)).astype(np.int64),
        shortest=shortest,
        transfer_low=transfer,
        skew_low=by.skew_low() if by else np.zeros(count, np.int64),
        skew_high=by.skew_high() if by and block.complete else unknown,
        last=of_rank[by.last] if by else unknown,
        proven=by.proven() & block.complete if by else unknown >= 0,
        late=by.margin() * waits if by and block.complete else np.zeros(count, np.int64),
    )


def _summed(values: Int64, there: Bools | None) -> Int64:
    """Of each rank, over the collectives that it ran."""
    total: Int64 = values.sum(axis=1) if there is None else np.where(there, values, 0).sum(axis=1)
    return total


def _known(window: Window, members: Int64) -> bool:
    """Whether the clocks of all these ranks have bounds."""
    low, high = window.low[members], window.high[members]
    return bool(window.usable[members].all() and (high < NEVER).all() and (low > -NEVER).all())


def _late_at_most(start: Int64, end: Int64, waits: Bools) -> Int64:
    """Without clocks: a rank for which all others waited came while the shortest of them still lasted. Shape (m,)."""
    lasted = (end - start)[:, waits]
    if lasted.shape[0] < 2:
        return np.zeros(lasted.shape[0], np.int64)
    two = np.partition(lasted, 1, axis=0)[:2]
    own = lasted == two[0]
    others = np.where(own, two[1], two[0])
    total: Int64 = np.where(lasted < NEVER, np.minimum(others, NEVER), 0).sum(axis=1)
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """When each rank of a block can have come to each of its collectives, on one clock: from `earliest` to `latest`, shape (m, k);
    -NEVER where it did not. `low` is the lower bound of what is added to its times, shape (m, 1), and `last` the row that came last
    by the middle of the intervals, shape (k,)."""

    earliest: Int64
    latest: Int64
    low: Int64
    last: Int64

    @classmethod
    def of(cls, start: Int64, end: Int64, there: Bools | None, low: Int64, high: Int64) -> Arrivals:
        earliest, latest = start + low[:, None], start + high[:, None]
        if there is not None:
            earliest[~there] = latest[~there] = -NEVER
        return cls(earliest, latest, low[:, None], ((earliest >> 1) + (latest >> 1)).argmax(axis=0))

    def together(self, end: Int64) -> Int64:
        """For so long all were inside."""
        found: Int64 = np.maximum(0, (end + self.low).min(axis=0) - self.latest.max(axis=0))
        return found

    def skew_low(self) -> Int64:
        found: Int64 = np.maximum(0, self.earliest.max(axis=0) - self._there(self.latest).min(axis=0))
        return found

    def skew_high(self) -> Int64:
        found: Int64 = self.latest.max(axis=0) - self._there(self.earliest).min(axis=0)
        return found

    def _there(self, values: Int64) -> Int64:
        found: Int64 = np.where(values > -NEVER // 2, values, NEVER)
        return found

    def margin(self) -> Int64:
        """By how much the last one came after all others, whatever the clocks are; 0 where that is not sure."""
        at = np.arange(len(self.last))
        found: Int64 = np.maximum(0, self.earliest[self.last, at] - self._others(self.latest)[self.last, at])
        return found

    def proven(self) -> Bools:
        """Whether the last one came after all others, whatever the clocks are."""
        return self.margin() > 0

    def late(self, waits: Bools) -> tuple[Int64, Int64]:
        """By how much less the others had waited, had the rank come with the last of them: bounds, summed, shape (m,)."""
        earliest, latest = self.earliest[:, waits], self.latest[:, waits]
        low = np.maximum(0, earliest - self._others(latest)).sum(axis=1)
        high = np.maximum(0, latest - self._others(earliest)).sum(axis=1)
        return low, high

    @staticmethod
    def _others(values: Int64) -> Int64:
        """Of each row and column the greatest value in the other rows, shape (m, k)."""
        if len(values) < 2:
            return values
        two = np.partition(values, len(values) - 2, axis=0)[-2:]
        found: Int64 = np.where(values == two[1], two[0], two[1])
        return found


def _counted(blocks: Sequence[Block], n: int) -> Int64:
    ran = np.zeros(n, np.int64)
    for block in blocks:
        ran[block.members] += block.count if block.there is None else block.there.sum(axis=1)
    return ran


_FIELDS = tuple(Collectives.__dataclass_fields__)


def _joined(parts: Sequence[Collectives]) -> Collectives:
    nothing = {name: np.empty(0, bool if name == "proven" else np.int64) for name in _FIELDS}
    return Collectives(
        **{name: np.concatenate([nothing[name], *(getattr(p, name) for p in parts)]) for name in _FIELDS}
    )


def _in_order(parts: Sequence[Collectives]) -> Collectives:
    every = _joined(parts)
    order = np.lexsort((every.column, every.block, every.at))
    return Collectives(**{name: getattr(every, name)[order] for name in _FIELDS})
