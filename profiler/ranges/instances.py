"""Every instance of a range at once: what each of them launched, in flat columns, on all devices or on one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...errors import UsageError
from ..analysis.ledger import match_launches
from ..analysis.metrics import Scope
from ..analysis.projection import calls_inside
from ..arrays.groups import distinct_values
from ..arrays.segments import firsts
from ..arrays.types import Int64
from ..arrays.windows import by_group
from ..evidence import Finding
from ..proof.measured import faults, lost_launches
from ..trace.columns import NONE
from ..trace.model import GRAPH_LAUNCH, Calls, Trace
from .attribution import LaunchOrder, crosses_threads

MOST_PAIRS = 1 << 25
"""Operations that all instances may hold together, each counted in every range around it: 2 GiB while they are sorted."""


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The instances that launched something, in the order of time; or the whole trace as one, whose range is NONE.

    range      row indices into `trace.ranges`, shape (n,)
    of_set     for each pair (instance, operation) the place of the instance in `range`, ascending, shape (p,)
    operation  for each pair the row index into `trace.operations`, shape (p,)
    findings   what makes all instances unfit to prove anything, or limits what may be said of them
    """

    name: str
    trace: Trace
    range: Int64
    of_set: Int64
    operation: Int64
    whole_process: bool
    findings: tuple[Finding, ...]

    def __len__(self) -> int:
        return len(self.range)

    @property
    def whole(self) -> bool:
        """Whether this is the whole trace rather than ranges."""
        return len(self.range) == 1 and int(self.range[0]) == NONE

    def gpus(self) -> list[int]:
        """The physical devices that any of them used, as indices into `trace.gpus`."""
        return [int(gpu) for gpu in distinct_values(self.trace.operations.gpu[self.operation])]

    def on(self, gpu: int) -> Instances:
        """The instances as one device saw them; those that did not use it are left out."""
        keep = self.trace.operations.gpu[self.operation] == gpu
        return self if keep.all() else self._of(self.of_set[keep], self.operation[keep])

    def _of(self, of_set: Int64, operation: Int64) -> Instances:
        first = firsts(of_set)
        sizes = np.diff(np.append(first, len(of_set)))
        numbers = np.repeat(np.arange(len(first)), sizes)
        return replace(self, range=self.range[of_set[first]], of_set=numbers, operation=operation)

    def scope(self, index: int) -> Scope:
        """What a metric looks at in one instance: its operations by start, and the calls inside its range."""
        low, high = np.searchsorted(self.of_set, [index, index + 1])
        mine = self.trace.operations.take(self.operation[low:high])
        mine = mine.take(np.lexsort((mine.row, mine.table, mine.end, mine.start)))
        launched, known = mine.start.copy(), mine.launch >= 0
        launched[known] = self.trace.calls.start[mine.launch[known]]
        return Scope(mine, self._calls(index), self.trace.strings, launched)

    def _calls(self, index: int) -> Calls:
        if self.whole:
            return self.trace.calls
        _, calls = calls_inside(self.trace, self.range[[index]], whole_process=self.whole_process)
        return self.trace.calls.take(calls)


def whole_trace(trace: Trace, name: str) -> Instances:
    """All that the trace holds as one instance, also what has no launch."""
    operations = np.arange(len(trace.operations))
    graphs = int((trace.operations.kind == GRAPH_LAUNCH).sum())
    lost = lost_launches(trace, match_launches(trace).dropped)
    found = faults(name, int(not len(operations)), False, graphs, lost)
    there = np.array([NONE] if len(operations) else [], np.int64)
    return Instances(name, trace, there, np.zeros(len(operations), np.int64), operations, False, tuple(found))


def instances_of(trace: Trace, chosen: Int64, name: str, glob: str, whole_process: bool) -> Instances:
    """The instances of the ranges `chosen` (row indices, in the order of time), called `glob` in findings; they may nest.

    Raises:
        UsageError: they hold more operations than fit into memory.
    """
    if not len(chosen):
        nothing = np.empty(0, np.int64)
        missing = (Finding("range_not_found", {"name": glob}, "range"),)
        return Instances(name, trace, nothing, nothing, nothing, whole_process, missing)
    pairs = list(_launched(trace, chosen, glob, whole_process))
    of_set, operation = (np.concatenate(columns) for columns in zip(*pairs, strict=True))
    order = by_group(of_set, len(chosen))
    of_set, operation = of_set[order], operation[order]
    empty = len(chosen) - len(firsts(of_set))
    graphs = int((trace.operations.kind[operation] == GRAPH_LAUNCH).sum())
    working = chosen[distinct_values(of_set)]
    found = faults(glob, empty, bool(trace.ranges.is_open[chosen].any()), graphs, _lost(trace, chosen, whole_process))
    everything = Instances(name, trace, chosen, of_set, operation, whole_process, tuple(found))
    return everything if len(working) == len(chosen) else everything._of(of_set, operation)


def _launched(trace: Trace, chosen: Int64, glob: str, whole_process: bool) -> Iterator[tuple[Int64, Int64]]:
    """Pairs (place in `chosen`, operation): an operation belongs where its launch does (docs/metrics.md)."""
    by_process = crosses_threads(trace, chosen) | whole_process
    yield np.empty(0, np.int64), np.empty(0, np.int64)
    for key, mask in (("thread", ~by_process), ("process", by_process)):
        places = np.flatnonzero(mask)
        order, ranges = LaunchOrder.of(trace, key), chosen[places]
        keys = getattr(trace.ranges, key)[ranges]
        slices = list(order.slices(keys, trace.ranges.start[ranges], trace.ranges.end[ranges]))
        _check_size(glob, len(chosen), sum(int((high - low).sum()) for _, _, low, high in slices))
        for some, _, low, high in slices:
            counts = high - low
            of_set = np.repeat(places[some], counts)
            operation = order.operation[np.arange(len(of_set)) + np.repeat(low - np.cumsum(counts) + counts, counts)]
            if not order.tidy:
                returned = trace.calls.end[trace.operations.launch[operation]]
                inside = returned <= trace.ranges.end[chosen[of_set]]
                of_set, operation = of_set[inside], operation[inside]
            yield of_set, operation


def _check_size(glob: str, ranges: int, pairs: int) -> None:
    if pairs > MOST_PAIRS:
        raise UsageError(
            f"{glob!r} matches {ranges:,} ranges that hold {pairs:,} operations in all, as each counts in every range "
            f"around it; the most is {MOST_PAIRS:,}",
            "name ranges that do not nest: aisp-prof trace ranges lists them",
        )


def _lost(trace: Trace, chosen: Int64, whole_process: bool) -> tuple[Finding, ...]:
    """What launches inside these ranges whose work is not in the trace leave in doubt."""
    dropped = match_launches(trace).dropped
    if not len(dropped):
        return ()
    mask = np.zeros(len(trace.calls), bool)
    mask[dropped] = True
    return lost_launches(trace, np.unique(calls_inside(trace, chosen, mask, whole_process)[1]))
