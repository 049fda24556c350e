"""A metric of every instance at once: the definitions of `analysis.metrics` over many sets of operations, without a loop.

What has no form here is computed instance by instance, so that a metric means the same whichever way it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..analysis import metrics
from ..analysis.metrics import Number
from ..analysis.overlap import SELECTORS, grouped
from ..analysis.projection import calls_inside
from ..arrays.groups import any_of, combined_codes, distinct_values
from ..arrays.intervals import at_least, union
from ..arrays.segments import Segments, firsts
from ..arrays.types import Int64
from ..trace import api
from ..trace.model import COMM, COMPUTE, COPIES, KINDS, MEMORY_SET, MIGRATION, Calls, Operations
from .instances import Instances

CHUNK = 1 << 19
"""Operations that are worked on at once; an instance is never split."""
_ROOM = float(1 << 62)
_ON_STREAMS = tuple(kind for kind in range(len(KINDS)) if kind != MIGRATION)

Numbers = list[Number | None]


@dataclass(frozen=True, slots=True)
class Sets:
    """`n` sets of operations, none empty: those of set i lie together, from `first[i]` on.

    operations  shape (p,), `of_set` (p,) the number of each one's set; `shift` (n,) moves a set into a window of its own
    """

    operations: Operations
    of_set: Int64
    first: Int64
    shift: Int64

    def lengths(self, kinds: Sequence[int] | None = None) -> Int64:
        """How long anything of these classes is in flight in each set; 0 where there is none."""
        keep = slice(None) if kinds is None else any_of(self.operations.kind, kinds)
        of_set = self.of_set[keep]
        found = np.zeros(len(self.first), np.int64)
        if len(of_set):
            first = firsts(of_set)
            moved = self.shift[of_set]
            times = self.operations.start[keep] + moved, self.operations.end[keep] + moved
            found[of_set[first]] = Segments.of(first, *times).lengths()
        return found

    def shared(self, a: str, b: str) -> Int64:
        """Length of union(a) ∩ union(b) in each set: |A| + |B| - |A ∪ B|."""
        kinds = SELECTORS[a], SELECTORS[b]
        return self.lengths(kinds[0]) + self.lengths(kinds[1]) - self.lengths((*kinds[0], *kinds[1]))

    def summed(self, values: NDArray[np.generic], kinds: Sequence[int] | None = None) -> Int64:
        """The sum of a column over each set, or over its operations of these classes."""
        mine = values if kinds is None else np.where(any_of(self.operations.kind, kinds), values, 0)
        found: Int64 = np.add.reduceat(mine, self.first, dtype=np.int64)
        return found

    def span(self) -> tuple[Int64, Int64]:
        """First start and last end in each set."""
        start, end = self.operations.start, self.operations.end
        return np.minimum.reduceat(start, self.first), np.maximum.reduceat(end, self.first)

    def pieces(self) -> tuple[Int64, Int64, Int64]:
        """When anything is in flight: set, start and end of the maximal pieces, in order."""
        return grouped(union, self.of_set, len(self.first), self.operations.start, self.operations.end)

    def on_streams(self) -> NDArray[np.bool_]:
        """Which operations lie on streams: `analysis.overlap.of_streams`."""
        return np.asarray(self.operations.kind != MIGRATION, bool)

    def lanes(self) -> tuple[Int64, Int64]:
        """A number for each (set, stream) of each operation, and the set of each such number."""
        lane = combined_codes((self.of_set, self.operations.lanes()))
        owner = np.empty(int(lane.max()) + 1, np.int64)
        owner[lane] = self.of_set
        return lane, owner


def starts_and_ends(instances: Instances) -> tuple[Int64, Int64]:
    """The projected interval of each instance."""
    first = firsts(instances.of_set)
    operations, mine = instances.trace.operations, instances.operation
    if not len(first):
        return first, first
    return np.minimum.reduceat(operations.start[mine], first), np.maximum.reduceat(operations.end[mine], first)


def numbers(instances: Instances, wanted: Sequence[str]) -> Mapping[str, Numbers]:
    """metric -> its value in every instance, None where it is not defined there."""
    found: dict[str, Numbers] = {text: [] for text in wanted}
    of_sets = [text for text in found if _OF_SETS.get(metrics.split(text)[0])]
    for sets in _chunks(instances) if of_sets else ():
        for text in of_sets:
            name, arguments = metrics.split(text)
            found[text] += _OF_SETS[name](sets, *arguments)
    for text in set(found) - set(of_sets):
        found[text] = _of_calls(instances, text) or [
            metrics.measure(text, instances.scope(index)) for index in range(len(instances))
        ]
    return found


def _chunks(instances: Instances) -> Iterator[Sets]:
    first = np.append(firsts(instances.of_set), len(instances.of_set))
    cuts = np.searchsorted(first, np.arange(CHUNK, len(instances.of_set), CHUNK), "left").tolist()
    for low, high in pairwise(sorted({0, *cuts, len(first) - 1})):
        yield from _sets(instances, low, high, first)


def _sets(instances: Instances, low: int, high: int, bounds: Int64) -> Iterator[Sets]:
    """The sets from `low` to `high`, in as many parts as their windows need."""
    some = slice(bounds[low], bounds[high])
    operations = instances.trace.operations.take(instances.operation[some])
    first, of_set = bounds[low:high] - bounds[low], instances.of_set[some] - low
    start = np.minimum.reduceat(operations.start, first)
    width = np.maximum.reduceat(operations.end, first) - start + 2
    if width.astype(np.float64).sum() > _ROOM and high - low > 1:
        middle = (low + high) // 2
        yield from _sets(instances, low, middle, bounds)
        yield from _sets(instances, middle, high, bounds)
        return
    yield Sets(operations, of_set, first, np.cumsum(width) - width - start)


def _of_calls(instances: Instances, text: str) -> Numbers:
    """Metrics of API calls, which are the range's, whichever device they serve; empty for any other metric."""
    name, arguments = metrics.split(text)
    if instances.whole or name not in CALLS:
        return []
    trace = instances.trace
    only = counted(trace.calls, trace.strings, name, arguments)
    ranges, _ = calls_inside(trace, instances.range, only, instances.whole_process)
    counts: list[Number | None] = np.bincount(ranges, minlength=len(trace.ranges))[instances.range].tolist()
    return counts


CALLS: Mapping[str, tuple[int, ...]] = {
    "launch_calls_per_iteration": (api.KERNEL, api.GRAPH),
    "syncs_per_iteration": (api.WAIT,),
    "calls": (),
}
"""Metrics that count API calls, with the effects of those that they count; `calls` counts by name."""


def counted(calls: Calls, strings: Sequence[str], name: str, arguments: Sequence[str]) -> NDArray[np.bool_]:
    """Which of these calls a metric of CALLS counts."""
    if name != "calls":
        return calls.outermost & any_of(calls.effect, CALLS[name])
    called = {i: api.plain(strings[i]) if i >= 0 else "" for i in distinct_values(calls.name).tolist()}
    return calls.outermost & np.isin(calls.name, [i for i, text in called.items() if fnmatchcase(text, arguments[0])])


def _plain(numbers_of: Callable[..., Int64]) -> Callable[..., Numbers]:
    return lambda sets, *arguments: list(numbers_of(sets, *arguments).tolist())


def _quotients(above: Int64, below: Int64) -> Numbers:
    """Exact where Python's are: integers divided as integers."""
    return [a / b if b else None for a, b in zip(above.tolist(), below.tolist(), strict=True)]


def _sum(sets: Sets, selector: str = "") -> Int64:
    return _length(sets, SELECTORS[selector] if selector else None)


def _length(sets: Sets, kinds: Sequence[int] | None) -> Int64:
    return sets.summed(sets.operations.end - sets.operations.start, kinds)


def _busy(sets: Sets, selector: str = "") -> Int64:
    return sets.lengths(SELECTORS[selector] if selector else None)


def _span(sets: Sets) -> Int64:
    start, end = sets.span()
    return end - start


def _gaps(sets: Sets) -> tuple[Int64, Int64]:
    of_piece, start, end = sets.pieces()
    inner = of_piece[1:] == of_piece[:-1]
    return of_piece[1:][inner], (start[1:] - end[:-1])[inner]


def _gap_max(sets: Sets) -> Int64:
    of_gap, length = _gaps(sets)
    found = np.zeros(len(sets.first), np.int64)
    np.maximum.at(found, of_gap, length)
    return found


def _gap_median(sets: Sets) -> Numbers:
    of_gap, length = _gaps(sets)
    length = length[np.lexsort((length, of_gap))]
    found: Numbers = [0] * len(sets.first)
    first = firsts(of_gap)
    for low, high in pairwise([*first.tolist(), len(of_gap)]):
        middle = length[(low + high - 1) // 2 : (low + high) // 2 + 1]
        found[of_gap[low]] = float(middle.mean())
    return found


def _overlap(sets: Sets, *selectors: str) -> Int64:
    if selectors:
        return sets.shared(*selectors)
    keep, (lane, owner) = sets.on_streams(), sets.lanes()
    operations = sets.operations.take(keep)
    of_piece, start, end = grouped(union, lane[keep], len(owner), operations.start, operations.end)
    return _total(sets, *grouped(lambda s, e: at_least(s, e, 2), owner[of_piece], len(sets.first), start, end))


def _same_stream(sets: Sets) -> Int64:
    keep, (lane, owner) = sets.on_streams(), sets.lanes()
    operations = sets.operations.take(keep)
    again = grouped(lambda s, e: at_least(s, e, 2), lane[keep], len(owner), operations.start, operations.end)
    if not len(again[0]):
        return np.zeros(len(sets.first), np.int64)
    return _total(sets, *grouped(union, owner[again[0]], len(sets.first), *again[1:]))


def _total(sets: Sets, of_piece: Int64, start: Int64, end: Int64) -> Int64:
    found = np.zeros(len(sets.first), np.int64)
    np.add.at(found, of_piece, end - start)
    return found


def _in_flight(sets: Sets) -> Int64:
    keep = sets.on_streams()
    of_set, operations = sets.of_set[keep], sets.operations.take(keep)
    found = np.zeros(len(sets.first), np.int64)
    if len(of_set):
        first, moved = firsts(of_set), sets.shift[of_set]
        found[of_set[first]] = Segments.of(first, operations.start + moved, operations.end + moved).most_in_flight()
    return found


def _exposed(sets: Sets, a: str, b: str) -> Int64:
    return sets.lengths(SELECTORS[a]) - sets.shared(a, b)


def _bound(sets: Sets, a: str, b: str) -> Int64:
    return np.minimum(sets.lengths(SELECTORS[a]), sets.lengths(SELECTORS[b]))


def _rate(sets: Sets, selector: str) -> Numbers:
    kinds = SELECTORS[selector]
    size = sets.operations.bytes
    unknown, moved = sets.summed(size < 0, kinds), sets.summed(size, kinds)
    columns = (column.tolist() for column in (unknown, moved, sets.lengths(kinds)))
    return [None if lacks or not time else sum_ * 1e9 / time for lacks, sum_, time in zip(*columns, strict=True)]


def _count(*kinds: int) -> Callable[[Sets], Int64]:
    return lambda sets: sets.summed(sets.operations.copies, kinds)


_OF_SETS: Mapping[str, Callable[..., Numbers]] = {
    "sum": _plain(_sum),
    "busy": _plain(_busy),
    "span": _plain(_span),
    "idle": _plain(lambda sets: _span(sets) - _busy(sets)),
    "gap_max": _plain(_gap_max),
    "gap_median": _gap_median,
    "concurrency": lambda sets: _quotients(_length(sets, _ON_STREAMS), sets.lengths(_ON_STREAMS)),
    "overlap": _plain(_overlap),
    "overlap_ratio": lambda sets: _quotients(_overlap(sets), sets.lengths(_ON_STREAMS)),
    "same_stream_overlap": _plain(_same_stream),
    "max_in_flight": _plain(_in_flight),
    "hidden": lambda sets, a, b: _quotients(sets.shared(a, b), sets.lengths(SELECTORS[a])),
    "exposed": _plain(_exposed),
    "overlap_bound": _plain(_bound),
    "overlap_efficiency": lambda sets, a, b: _quotients(sets.shared(a, b), _bound(sets, a, b)),
    "rate": _rate,
    "kernels_per_iteration": _plain(_count(COMPUTE, COMM)),
    "copies_per_iteration": _plain(_count(*COPIES)),
    "memsets_per_iteration": _plain(_count(MEMORY_SET)),
}
"""Metric -> its values in all sets. `order_violations` is not among them: few ask for it, and of few ranges."""
