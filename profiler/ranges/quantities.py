"""What many sets of operations come to: lengths, overlaps and counts, of all sets at once, as docs/metrics.md defines them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.overlap import ENGINES, grouped
from ..analysis.swept import sweep
from ..arrays.groups import any_of, combined_codes
from ..arrays.intervals import at_least, union
from ..arrays.segments import Segments
from ..arrays.types import Bools, Int64
from ..trace.model import COMM, COMPUTE, COPIES, GRAPH_LAUNCH, KINDS, MIGRATION
from .sets import Pairs, Sets

Selection = Sequence[int] | str
"""Classes, as indices into KINDS, or a word that `analysis.selection` reads."""


class Quantities:
    """Each is of shape (s,), a number a set, lengths in ns; each is computed when it is asked for.

    Migrations of unified memory are busy time, and in flight beside nothing: they lie on no stream.
    """

    def __init__(self, sets: Sets) -> None:
        self.work, self._pairs = sets.work, sets.pairs
        self._first = sets.pairs.first
        self.proj_start, self.proj_end = sets.low, sets.high
        self._lengths: dict[tuple[int, ...] | str, Int64] = {}

    def __len__(self) -> int:
        return len(self._first)

    @property
    def device(self) -> Int64:
        return self.work.operations.device[self._pairs.operation[self._first]]

    @property
    def ops(self) -> Int64:
        return np.diff(self._first, append=len(self._pairs.of_set))

    @property
    def kernels(self) -> Int64:
        return self._count(any_of(self._kind, (COMPUTE, COMM)))

    @property
    def launches(self) -> Int64:
        """How often another call's operations begin: those of one call lie together."""
        call = self.work.operations.launch[self._pairs.operation]
        changes = np.ones(len(call), bool)
        changes[1:] = call[1:] != call[:-1]
        changes[self._first] = True
        return self._count(changes)

    @property
    def graphs(self) -> Int64:
        return self._count(self._kind == GRAPH_LAUNCH)

    @property
    def sum(self) -> Int64:
        return np.add.reduceat(self._pairs.end - self._pairs.start, self._first)

    @cached_property
    def busy(self) -> Int64:
        return self._whole.lengths()

    @property
    def span(self) -> Int64:
        return self.proj_end - self.proj_start

    @property
    def idle(self) -> Int64:
        return self.span - self.busy

    @cached_property
    def busy_on_streams(self) -> Int64:
        return self.busy if self._streams is self._pairs else self._placed(self._streams, self._on_streams.lengths())

    @cached_property
    def overlap(self) -> Int64:
        """Length of the time at which operations of two or more different streams are in flight."""
        found = self._placed(self._streams, self._on_streams.lengths(2))
        if self._tangled.any():
            found[self._tangled] = self._between_streams()[self._tangled]
        return found

    @property
    def same_stream_overlap(self) -> Int64:
        found = np.zeros(len(self), np.int64)
        if not self._tangled.any():
            return found
        mine, lane, owner = self._lanes()
        if not len(lane):
            return found
        of_piece, start, end = grouped(lambda s, e: at_least(s, e, 2), lane, len(owner), mine.start, mine.end)
        if len(of_piece):
            self._add(found, *grouped(union, owner[of_piece], len(self), start, end))
        return found

    @property
    def max_in_flight(self) -> Int64:
        bounds = {"low": self._first, "high": np.append(self._first[1:], len(self._pairs.of_set))}
        times: dict[str, NDArray[Any]] = {"start": self._pairs.start, "end": self._pairs.end, "kind": self._kind}
        if len(self) and (swept := sweep(bounds, times, ("max_in_flight",))) is not None:
            found: Int64 = swept[2]["max_in_flight"]
            return found
        return self._placed(self._streams, self._on_streams.most_in_flight())

    @cached_property
    def busy_by_class(self) -> Int64:
        """Shape (s, len(KINDS)). In a set of one class it is the whole's; others are looked at class by class."""
        found = np.zeros((len(self), len(KINDS)), np.int64)
        single = self._classes & (self._classes - 1) == 0
        found[single, self._kind[self._first[single]]] = self.busy[single]
        if not single.all():
            among = ~single[self._pairs.of_set] if single.any() else np.ones(len(self._kind), bool)
            for kind in _kinds_in(self._classes[~single]):
                part = self._pairs.only(among & (self._kind == kind))
                found[part.sets, kind] = part.segments().lengths()
        return found

    @property
    def engine(self) -> Int64:
        """Which of `ENGINES` is busy longest, the first of several; -1 where none of them is."""
        times = self._busy_by_engine
        found: Int64 = np.where(times.any(axis=0), times.argmax(axis=0), -1)
        return found

    @property
    def engine_busy(self) -> Int64:
        """How long the busiest of `ENGINES` is busy."""
        found: Int64 = self._busy_by_engine.max(axis=0)
        return found

    @property
    def busy_by_engine(self) -> Int64:
        """Shape (s, len(ENGINES))."""
        return self._busy_by_engine.T

    @property
    def overlap_copy_compute(self) -> Int64:
        return self.shared(COPIES, (COMPUTE,))

    @property
    def overlap_comm_compute(self) -> Int64:
        return self.shared((COMM,), (COMPUTE,))

    def lengths(self, kinds: Selection) -> Int64:
        """How long any of these operations is in flight."""
        if isinstance(kinds, str):
            if kinds not in self._lengths:
                self._lengths[kinds] = self._length_of(self._mask(kinds))
            return self._lengths[kinds]
        present = tuple(kind for kind in kinds if kind in self._present)
        if len(present) == 1:
            return self.busy_by_class[:, present[0]]
        if present not in self._lengths:
            self._lengths[present] = self._length_of(any_of(self._kind, present))
        return self._lengths[present]

    def shared(self, a: Selection, b: Selection) -> Int64:
        """Length of union(a) ∩ union(b): |A| + |B| - |A ∪ B|, of the sets that have both."""
        lengths = self.lengths(a), self.lengths(b)
        found = np.zeros(len(self), np.int64)
        both = (lengths[0] > 0) & (lengths[1] > 0)
        if both.any():
            here = both[self._pairs.of_set] & (self._mask(a) | self._mask(b))
            found[both] = (lengths[0] + lengths[1] - self._length_of(here))[both]
        return found

    def summed(self, column: NDArray[np.generic], kinds: Selection) -> Int64:
        """The sum over these operations of a column of the work."""
        mine = np.where(self._mask(kinds), column[self._pairs.operation], 0)
        found: Int64 = np.add.reduceat(mine, self._first, dtype=np.int64)
        return found

    def durations(self, kinds: Selection) -> Int64:
        """Σ (end - start) of these operations."""
        mine = np.where(self._mask(kinds), self._pairs.end - self._pairs.start, 0)
        return np.add.reduceat(mine, self._first)

    @cached_property
    def gaps(self) -> tuple[Int64, Int64]:
        """The maximal pieces of idle time: the set of each, ascending, and its length; shape (g,)."""
        pairs = self._pairs
        of_piece, start, end = grouped(union, pairs.of_set, len(self), pairs.start, pairs.end)
        inner = of_piece[1:] == of_piece[:-1]
        return of_piece[1:][inner], (start[1:] - end[:-1])[inner]

    def kernels_called(self, names: Sequence[int]) -> tuple[Int64, Int64]:
        """Kernels with one of these names (indices into the trace's strings): the set of each, ascending, and its index into
        the work, in the order of their launches."""
        operations, pairs = self.work.operations, self._pairs
        some = np.flatnonzero(any_of(self._kind, (COMPUTE, COMM)) & np.isin(operations.name[pairs.operation], names))
        of_set, mine = pairs.of_set[some], pairs.operation[some]
        columns = (operations.row, operations.table, operations.end, operations.start, self.work.launched_at)
        order = np.lexsort((*(column[mine] for column in columns), of_set))
        return of_set[order], mine[order]

    def _mask(self, kinds: Selection) -> Bools:
        """Which pairs' operations are meant."""
        if isinstance(kinds, str):
            return self.work.selected(kinds)[self._pairs.operation]
        return any_of(self._kind, kinds)

    @cached_property
    def _whole(self) -> Segments:
        return self._pairs.segments()

    @cached_property
    def _kind(self) -> NDArray[np.int8]:
        return self.work.operations.kind[self._pairs.operation]

    @cached_property
    def _classes(self) -> NDArray[np.int16]:
        """The classes of each set as bits."""
        bits = np.left_shift(1, np.arange(len(KINDS)), dtype=np.int16)
        return np.bitwise_or.reduceat(bits[self._kind], self._first)

    @cached_property
    def _busy_by_engine(self) -> Int64:
        """Shape (len(ENGINES), s)."""
        return np.stack([self.lengths(kinds) for kinds in ENGINES.values()])

    @cached_property
    def _present(self) -> frozenset[int]:
        return frozenset(_kinds_in(self._classes))

    @cached_property
    def _streams(self) -> Pairs:
        """The pairs whose operations lie on streams."""
        return self._pairs.only(self._kind != MIGRATION) if self.work.migrates else self._pairs

    @cached_property
    def _on_streams(self) -> Segments:
        return self._whole if self._streams is self._pairs else self._streams.segments()

    @cached_property
    def _tangled(self) -> Bools:
        """Sets in which a stream overlaps itself, or may."""
        return np.logical_or.reduceat(self.work.tangled[self._pairs.operation], self._first)

    def _count(self, mask: Bools) -> Int64:
        return np.add.reduceat(mask, self._first, dtype=np.int64)

    def _length_of(self, keep: Bools) -> Int64:
        part = self._pairs.only(keep)
        return self._placed(part, part.segments().lengths()) if len(part.first) else np.zeros(len(self), np.int64)

    def _placed(self, part: Pairs, values: Int64) -> Int64:
        """Numbers of the sets that have pairs in a part, 0 for the others."""
        if len(part.first) == len(self):
            return values
        found = np.zeros(len(self), np.int64)
        found[part.sets] = values
        return found

    def _lanes(self) -> tuple[Pairs, Int64, Int64]:
        """The pairs of tangled sets on streams, a number for the (set, stream) of each, and the set of each such number."""
        mine = self._streams.only(self._tangled[self._streams.of_set])
        lane = combined_codes((mine.of_set, self.work.lane[mine.operation]))
        owner = np.empty(int(lane.max(initial=-1)) + 1, np.int64)
        owner[lane] = mine.of_set
        return mine, lane, owner

    def _between_streams(self) -> Int64:
        """Overlap of sets whose streams overlap themselves: each stream counts once at any time."""
        found = np.zeros(len(self), np.int64)
        mine, lane, owner = self._lanes()
        if len(lane):
            of_piece, start, end = grouped(union, lane, len(owner), mine.start, mine.end)
            self._add(found, *grouped(lambda s, e: at_least(s, e, 2), owner[of_piece], len(self), start, end))
        return found

    @staticmethod
    def _add(found: Int64, of_piece: Int64, start: Int64, end: Int64) -> None:
        np.add.at(found, of_piece, end - start)


def _kinds_in(classes: NDArray[np.int16]) -> list[int]:
    """The classes that any of these sets of bits holds."""
    every = int(np.bitwise_or.reduce(classes))
    return [kind for kind in range(len(KINDS)) if every >> kind & 1]
