"""The numbers of some ranges on one device, as docs/metrics.md defines them; each is computed when it is asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..analysis.overlap import grouped
from ..arrays.groups import any_of, combined_codes
from ..arrays.intervals import at_least, union
from ..arrays.segments import Segments
from ..arrays.types import Int64
from ..trace.model import COMM, COMPUTE, COPIES, GRAPH_LAUNCH, KINDS
from .sets import Placed
from .work import Work


class RangeNumbers:
    """A property for each column of `RangeTable` that is a number of the range's operations: shape (s,), one a set."""

    def __init__(self, work: Work, found: Placed) -> None:
        self._work, self._pairs = work, found.pairs
        self._first = found.pairs.first
        self.proj_start, self.proj_end = found.low, found.high

    @property
    def device(self) -> Int64:
        return self._work.operations.device[self._pairs.operation[self._first]]

    @property
    def ops(self) -> Int64:
        return np.diff(self._first, append=len(self._pairs.of_set))

    @property
    def kernels(self) -> Int64:
        return self._count(any_of(self._kind, (COMPUTE, COMM)))

    @property
    def launches(self) -> Int64:
        """How often another call's operations begin: those of one call lie together."""
        call = self._work.operations.launch[self._pairs.operation]
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

    @property
    def overlap(self) -> Int64:
        found = self._whole.lengths(2)
        tangled = np.logical_or.reduceat(self._work.tangled[self._pairs.operation], self._first)
        if tangled.any():
            found[tangled] = self._between_streams(tangled)
        return found

    @property
    def max_in_flight(self) -> Int64:
        return self._whole.most_in_flight()

    @cached_property
    def busy_by_class(self) -> Int64:
        """Shape (s, len(KINDS)). In a set of one class it is the whole's; others are looked at class by class."""
        found = np.zeros((len(self._first), len(KINDS)), np.int64)
        single = self._classes & (self._classes - 1) == 0
        found[single, self._kind[self._first[single]]] = self.busy[single]
        if not single.all():
            among = ~single[self._pairs.of_set] if single.any() else np.ones(len(self._kind), bool)
            for kind in _kinds_in(self._classes[~single]):
                part = self._pairs.only(among & (self._kind == kind))
                found[part.sets, kind] = part.segments().lengths()
        return found

    @property
    def overlap_copy_compute(self) -> Int64:
        return self._shared_with_compute(COPIES)

    @property
    def overlap_comm_compute(self) -> Int64:
        return self._shared_with_compute((COMM,))

    @cached_property
    def _whole(self) -> Segments:
        return self._pairs.segments()

    @cached_property
    def _kind(self) -> NDArray[np.int8]:
        return self._work.operations.kind[self._pairs.operation]

    @cached_property
    def _classes(self) -> NDArray[np.int16]:
        """The classes of each set as bits."""
        bits = np.left_shift(1, np.arange(len(KINDS)), dtype=np.int16)
        return np.bitwise_or.reduceat(bits[self._kind], self._first)

    def _count(self, mask: NDArray[np.bool_]) -> Int64:
        return np.add.reduceat(mask, self._first, dtype=np.int64)

    def _shared_with_compute(self, kinds: tuple[int, ...]) -> Int64:
        """Length of union(kinds) ∩ union(compute) for each set: |A| + |B| - |A ∪ B|."""
        busy = self.busy_by_class
        shared = np.zeros(len(busy), np.int64)
        present = [kind for kind in kinds if busy[:, kind].any()]
        both = (busy[:, present].sum(axis=1) > 0) & (busy[:, COMPUTE] > 0)
        if not both.any():
            return shared
        here = both[self._pairs.of_set]
        either = self._pairs.only(here & any_of(self._kind, (*present, COMPUTE)))
        alone = busy[both, present[0]] if len(present) == 1 else self._lengths(here & any_of(self._kind, present))
        shared[both] = alone + busy[both, COMPUTE] - either.segments().lengths()
        return shared

    def _lengths(self, keep: NDArray[np.bool_]) -> Int64:
        return self._pairs.only(keep).segments().lengths()

    def _between_streams(self, tangled: NDArray[np.bool_]) -> Int64:
        """Overlap of sets whose streams overlap themselves: each stream counts once at any time."""
        mine = self._pairs.only(tangled[self._pairs.of_set])
        group = combined_codes((mine.of_set, self._work.lane[mine.operation]))
        owner = np.empty(int(group.max()) + 1, np.int64)
        owner[group] = mine.of_set
        of_piece, start, end = grouped(union, group, len(owner), mine.start, mine.end)
        of_set, begin, finish = grouped(lambda s, e: at_least(s, e, 2), owner[of_piece], len(tangled), start, end)
        lengths = np.zeros(len(tangled), np.int64)
        np.add.at(lengths, of_set, finish - begin)
        return lengths[tangled]


def _kinds_in(classes: NDArray[np.int16]) -> list[int]:
    """The classes that any of these sets of bits holds."""
    every = int(np.bitwise_or.reduce(classes))
    return [kind for kind in range(len(KINDS)) if every >> kind & 1]
