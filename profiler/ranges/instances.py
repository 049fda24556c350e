"""The instances of a range: what each of them launched, in flat columns, on all devices or on one; a single one is a set of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ...errors import UsageError
from ..arrays.groups import ascending, distinct_values
from ..arrays.segments import firsts
from ..arrays.types import Int64
from ..evidence import Finding
from ..trace.model import GRAPH_LAUNCH, Calls, Operations, Trace
from ..trace.tables.columns import NONE
from .attribution import Attribution, calls_inside, pairs
from .faults import faults, lost_launches, pageable
from .work import Launches

MOST_PAIRS = 1 << 25
"""Operations that all instances may hold together, each counted in every range around it: 2 GiB while they are sorted."""


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The instances that launched something, in the order of time; or the whole trace as one, whose range is NONE.

    name       what claims call them: a variant, or the name that a question gives a glob
    range      row indices into `trace.ranges`, shape (n,)
    of_set     for each pair (instance, operation) the place of the instance in `range`, ascending, shape (p,)
    operation  for each pair the row index into `trace.operations`, shape (p,)
    findings   what makes all instances unfit to prove anything, or limits what may be said of them
    """

    name: str
    launches: Launches
    range: Int64
    of_set: Int64
    operation: Int64
    attribution: Attribution
    findings: tuple[Finding, ...]

    def __len__(self) -> int:
        return len(self.range)

    @property
    def trace(self) -> Trace:
        return self.launches.trace

    @property
    def whole(self) -> bool:
        """Whether this is the whole trace rather than ranges."""
        return len(self.range) == 1 and int(self.range[0]) == NONE

    def gpus(self) -> list[int]:
        """The physical devices that any of them used, as indices into `trace.gpus`."""
        return [int(gpu) for gpu in distinct_values(self.trace.operations.gpu[self.operation])]

    def on(self, gpu: int) -> Instances:
        """The instances as one device saw them; those that did not use it are left out. API calls are the range's, whichever
        device they serve."""
        keep = self.trace.operations.gpu[self.operation] == gpu
        return self if keep.all() else self._of(self.of_set[keep], self.operation[keep])

    def _of(self, of_set: Int64, operation: Int64) -> Instances:
        first = firsts(of_set)
        sizes = np.diff(np.append(first, len(of_set)))
        numbers = np.repeat(np.arange(len(first)), sizes)
        return replace(self, range=self.range[of_set[first]], of_set=numbers, operation=operation)

    def pageable(self) -> tuple[Finding, ...]:
        """Whether copies were staged through the host, which leaves claims about overlap with copies unproven."""
        return pageable(self.trace, self.operation)

    def times(self) -> tuple[Int64, Int64]:
        """The projected interval of each: first start and last end, shape (n,)."""
        first, operations = firsts(self.of_set), self.trace.operations
        if not len(first):
            return first, first
        start, end = operations.start[self.operation], operations.end[self.operation]
        return np.minimum.reduceat(start, first), np.maximum.reduceat(end, first)

    def operations(self, index: int) -> Operations:
        """The operations of one instance, by start."""
        low, high = np.searchsorted(self.of_set, [index, index + 1])
        mine = self.trace.operations.take(self.operation[low:high])
        return mine.take(np.lexsort((mine.row, mine.table, mine.end, mine.start)))

    def calls(self, index: int) -> Calls:
        """The API calls inside one instance's range, by start."""
        if self.whole:
            return self.trace.calls
        return self.trace.calls.take(calls_inside(self.trace, self.range[[index]], self.attribution)[1])

    def each_calls(self) -> list[Calls]:
        """As `calls`, of one instance after the other: all calls of the trace are put in order once, not once an instance."""
        if self.whole:
            return [self.trace.calls] * len(self)
        of_set, call = calls_inside(self.trace, self.range, self.attribution)
        bounds = np.searchsorted(of_set, np.arange(len(self) + 1)).tolist()
        return [self.trace.calls.take(call[low:high]) for low, high in pairwise(bounds)]


def whole_trace(launches: Launches, name: str) -> Instances:
    """All that the trace holds as one instance, also what has no launch."""
    trace = launches.trace
    operations = np.arange(len(trace.operations))
    graphs = int((trace.operations.kind == GRAPH_LAUNCH).sum())
    lost = lost_launches(trace, launches.dropped)
    found = faults(name, int(not len(operations)), False, graphs, lost)
    there = np.array([NONE] if len(operations) else [], np.int64)
    places = np.zeros(len(operations), np.int64)
    return Instances(name, launches, there, places, operations, Attribution.THREAD, tuple(found))


def instances_of(launches: Launches, chosen: Int64, name: str, called: str, attribution: Attribution) -> Instances:
    """The instances of the ranges `chosen` (row indices, in the order of time), `called` so in findings; they may nest.

    Raises:
        UsageError: they hold more operations than fit into memory.
    """
    trace, nothing = launches.trace, np.empty(0, np.int64)
    if not len(chosen):
        missing = (Finding("range_not_found", {"name": called}, "range"),)
        return Instances(name, launches, nothing, nothing, nothing, attribution, missing)

    def check(count: int) -> None:
        _check_size(called, len(chosen), count)

    of_set, operation = pairs(trace, chosen, attribution, launches.order, check)
    empty = len(chosen) - len(firsts(of_set))
    graphs = int((trace.operations.kind[operation] == GRAPH_LAUNCH).sum())
    opened = bool(trace.ranges.is_open[chosen].any())
    found = tuple(faults(called, empty, opened, graphs, _lost(launches, chosen, attribution)))
    everything = Instances(name, launches, chosen, of_set, operation, attribution, found)
    return everything._of(of_set, operation) if empty else everything


def _check_size(called: str, ranges: int, count: int) -> None:
    if count > MOST_PAIRS:
        raise UsageError(
            f"{called!r} matches {ranges:,} ranges that hold {count:,} operations in all, as each counts in every range "
            f"around it; the most is {MOST_PAIRS:,}",
            "name ranges that do not nest: aisp-prof trace ranges lists them",
        )


def _lost(launches: Launches, chosen: Int64, attribution: Attribution) -> tuple[Finding, ...]:
    """What launches inside these ranges whose work is not in the trace leave in doubt."""
    if not len(launches.dropped):
        return ()
    mask = np.zeros(len(launches.trace.calls), bool)
    mask[launches.dropped] = True
    return lost_launches(launches.trace, ascending(calls_inside(launches.trace, chosen, attribution, mask)[1]))
