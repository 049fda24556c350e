"""Every metric's one definition, over many sets of operations at once; `analysis.metrics` has its name and unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np

from ..analysis.metrics import Number, split
from ..analysis.overlap import SELECTORS
from ..arrays.groups import any_of, distinct_values
from ..arrays.segments import firsts
from ..arrays.types import Bools, Int64
from ..trace import api
from ..trace.model import COMM, COMPUTE, COPIES, KINDS, MEMORY_SET, MIGRATION, Calls
from .attribution import calls_inside
from .instances import Instances
from .quantities import Quantities, Selection
from .sets import Sets

CHUNK = 1 << 19
"""Operations that are worked on at once; a set is never split."""

_ON_STREAMS = tuple(kind for kind in range(len(KINDS)) if kind != MIGRATION)

Numbers = list[Number | None]


def numbers(instances: Instances, wanted: Sequence[str]) -> Mapping[str, Numbers]:
    """metric -> its value in every instance, None where it is not defined there."""
    asked = {text: split(text) for text in wanted}
    found: dict[str, Numbers] = {text: [] for text in asked}
    of_sets = [text for text, (name, _) in asked.items() if name not in CALLS]
    for quantities in _chunks(instances) if of_sets else ():
        for text in of_sets:
            name, arguments = asked[text]
            found[text] += OF_SETS[name](quantities, *arguments)
    for text, (name, arguments) in asked.items():
        if name in CALLS:
            found[text] = _of_calls(instances, name, arguments)
    return found


def engine_times(instances: Instances) -> list[int]:
    """How long the busiest engine was busy in every instance, ns: hide everything else behind it, and that is left."""
    return [int(ns) for quantities in _chunks(instances) for ns in quantities.engine_busy.tolist()]


def _chunks(instances: Instances) -> Iterator[Quantities]:
    first = np.append(firsts(instances.of_set), len(instances.of_set))
    cuts = np.searchsorted(first, np.arange(CHUNK, len(instances.of_set), CHUNK), "left").tolist()
    for low, high in pairwise(sorted({0, *cuts, len(first) - 1})):
        yield from _quantities(instances, low, high, first)


def _quantities(instances: Instances, low: int, high: int, bounds: Int64) -> Iterator[Quantities]:
    """Of the sets from `low` to `high`, in as many parts as their windows need."""
    some = slice(bounds[low], bounds[high])
    sets = Sets.of(instances.launches.work, instances.of_set[some], instances.operation[some])
    if sets is not None:
        yield Quantities(sets)
        return
    middle = (low + high) // 2
    yield from _quantities(instances, low, middle, bounds)
    yield from _quantities(instances, middle, high, bounds)


def _of_calls(instances: Instances, name: str, arguments: Sequence[str]) -> Numbers:
    """Metrics of API calls, which are the range's, whichever device they serve."""
    trace = instances.trace
    only = counted(trace.calls, trace.strings, name, arguments)
    if instances.whole:
        return [int(only.sum())] * len(instances)
    places, _ = calls_inside(trace, instances.range, instances.attribution, only)
    return list(np.bincount(places, minlength=len(instances)).tolist())


CALLS: Mapping[str, tuple[int, ...]] = {
    "launch_calls_per_iteration": (api.KERNEL, api.GRAPH),
    "syncs_per_iteration": (api.WAIT,),
    "calls": (),
}
"""Metrics that count API calls, with the effects of those that they count; `calls` counts by name."""


def counted(calls: Calls, strings: Sequence[str], name: str, arguments: Sequence[str]) -> Bools:
    """Which of these calls a metric of CALLS counts."""
    if name != "calls":
        return calls.outermost & any_of(calls.effect, CALLS[name])
    return calls.outermost & np.isin(calls.name, _named(calls.name, strings, arguments[0], api.plain))


def _named(column: Int64, strings: Sequence[str], glob: str, form: Callable[[str], str] = str) -> list[int]:
    """The names of a column (indices into `strings`, -1 is the name "") that match a glob (`*`, `?`, `[…]`, case matters),
    brought into `form`."""
    distinct = distinct_values(column).tolist()
    return [i for i in distinct if fnmatchcase(form(strings[i]) if i >= 0 else "", glob)]


def _plain(numbers_of: Callable[..., Int64]) -> Callable[..., Numbers]:
    return lambda sets, *arguments: list(numbers_of(sets, *arguments).tolist())


def _quotients(above: Int64, below: Int64) -> Numbers:
    """Exact where Python's are: integers divided as integers."""
    return [a / b if b else None for a, b in zip(above.tolist(), below.tolist(), strict=True)]


def _chosen(selector: str) -> Selection:
    """Classes as such: their lengths are known without looking at every operation."""
    return SELECTORS.get(selector, selector)


def _sum(sets: Quantities, selector: str = "") -> Int64:
    return sets.durations(_chosen(selector)) if selector else sets.sum


def _busy(sets: Quantities, selector: str = "") -> Int64:
    return sets.lengths(_chosen(selector)) if selector else sets.busy


def _shared(sets: Quantities, a: str, b: str) -> Int64:
    return sets.shared(_chosen(a), _chosen(b))


def _overlap(sets: Quantities, *selectors: str) -> Int64:
    return _shared(sets, *selectors) if selectors else sets.overlap


def _bound(sets: Quantities, a: str, b: str) -> Int64:
    return np.minimum(_busy(sets, a), _busy(sets, b))


def _gap_max(sets: Quantities) -> Int64:
    of_gap, length = sets.gaps
    found = np.zeros(len(sets), np.int64)
    np.maximum.at(found, of_gap, length)
    return found


def _gap_median(sets: Quantities) -> Numbers:
    of_gap, length = sets.gaps
    length = length[np.lexsort((length, of_gap))]
    found: Numbers = [0] * len(sets)
    for low, high in pairwise([*firsts(of_gap).tolist(), len(of_gap)]):
        middle = length[(low + high - 1) // 2 : (low + high) // 2 + 1]
        found[of_gap[low]] = float(middle.mean())
    return found


def _rate(sets: Quantities, selector: str) -> Numbers:
    kinds, size = _chosen(selector), sets.work.operations.bytes
    unknown, moved = sets.summed(size < 0, kinds), sets.summed(size, kinds)
    columns = (column.tolist() for column in (unknown, moved, sets.lengths(kinds)))
    return [None if lacks or not time else sum_ * 1e9 / time for lacks, sum_, time in zip(*columns, strict=True)]


def _count(*kinds: int) -> Callable[[Quantities], Int64]:
    return lambda sets: sets.summed(sets.work.operations.copies, kinds)


def _order_violations(sets: Quantities, a: str, b: str) -> Numbers:
    """How often the k-th kernel of the one name still ran when the k-th of the other began; None where there is none, where
    they are not equally many, or where one launch ran several: the nodes of a graph have no order of launches."""
    operations, strings = sets.work.operations, sets.work.trace.strings
    sides = [sets.kernels_called(_named(operations.name, strings, glob)) for glob in (a, b)]
    counts = [np.bincount(of_set, minlength=len(sets)) for of_set, _ in sides]
    ordered = (counts[0] > 0) & (counts[0] == counts[1])
    for of_set, kernels in sides:
        ordered[_again(of_set, operations.launch[kernels])] = False
    first, second = (kernels[ordered[of_set]] for of_set, kernels in sides)
    of_pair = sides[0][0][ordered[sides[0][0]]]
    broken = operations.end[first] > operations.start[second]
    found = np.bincount(of_pair[broken], minlength=len(sets)).tolist()
    return [count if known else None for count, known in zip(found, ordered.tolist(), strict=True)]


def _again(of_set: Int64, launch: Int64) -> Int64:
    """The sets in which a launch comes twice."""
    order = np.lexsort((launch, of_set))
    of_set, launch = of_set[order], launch[order]
    twice: Int64 = of_set[1:][(of_set[1:] == of_set[:-1]) & (launch[1:] == launch[:-1])]
    return twice


OF_SETS: Mapping[str, Callable[..., Numbers]] = {
    "count": _plain(lambda sets, selector: sets.summed(sets.work.operations.copies, _chosen(selector))),
    "sum": _plain(_sum),
    "busy": _plain(_busy),
    "span": _plain(lambda sets: sets.span),
    "idle": _plain(lambda sets: sets.idle),
    "gap_max": _plain(_gap_max),
    "gap_median": _gap_median,
    "concurrency": lambda sets: _quotients(sets.durations(_ON_STREAMS), sets.busy_on_streams),
    "overlap": _plain(_overlap),
    "overlap_ratio": lambda sets: _quotients(sets.overlap, sets.busy_on_streams),
    "same_stream_overlap": _plain(lambda sets: sets.same_stream_overlap),
    "max_in_flight": _plain(lambda sets: sets.max_in_flight),
    "hidden": lambda sets, a, b: _quotients(_shared(sets, a, b), _busy(sets, a)),
    "exposed": _plain(lambda sets, a, b: _busy(sets, a) - _shared(sets, a, b)),
    "overlap_bound": _plain(_bound),
    "overlap_efficiency": lambda sets, a, b: _quotients(_shared(sets, a, b), _bound(sets, a, b)),
    "rate": _rate,
    "busiest": lambda sets: _quotients(sets.engine_busy, sets.span),
    "bound": lambda sets: _quotients(sets.span, sets.engine_busy),
    "kernels_per_iteration": _plain(_count(COMPUTE, COMM)),
    "copies_per_iteration": _plain(_count(*COPIES)),
    "memsets_per_iteration": _plain(_count(MEMORY_SET)),
    "order_violations": _order_violations,
}
"""Metric -> its values in all sets; those that count API calls are in CALLS."""
