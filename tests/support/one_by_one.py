"""The tests' oracle: every metric of one set of operations at a time, by the interval algebra and without arrays of sets.

It was the engine of proofs until `profiler.ranges` computed all sets at once; it stays as it was, so that both are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from aisp_prof.profiler.analysis.metrics import Number, split
from aisp_prof.profiler.analysis.overlap import SELECTORS, busy_time, concurrency, of_streams
from aisp_prof.profiler.arrays.intervals import Intervals
from aisp_prof.profiler.arrays.types import Int64
from aisp_prof.profiler.trace import api
from aisp_prof.profiler.trace.model import COMM, COMPUTE, COPIES, MEMORY_SET, Calls, Operations, Trace
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scope:
    """What a metric looks at: the operations of one range on one device, and the API calls inside the range.

    strings    what `operations.name` and `calls.name` index
    launched   when each operation's launch was called, ns, shape (len(operations),)
    """

    operations: Operations
    calls: Calls
    strings: Sequence[str]
    launched: Int64

    def only(self, keep: NDArray[np.bool_]) -> Scope:
        """The same range with a part of its operations; its calls stay whole."""
        return replace(self, operations=self.operations.take(keep), launched=self.launched[keep])

    def time_of(self, selector: str) -> Intervals:
        """When operations of a class are in flight."""
        return busy_time(self.of(selector))

    def of(self, selector: str) -> Operations:
        """The operations of a class, on a stream, or the kernels whose short or full name matches."""
        what, colon, which = selector.partition(":")
        if not colon:
            return self.operations.of_kind(*SELECTORS[selector])
        if what == "stream":
            return of_streams(self.operations).take(of_streams(self.operations).stream == int(which))
        kernels = self.operations.of_kind(COMPUTE, COMM)
        names = (kernels.name, kernels.full_name)
        return kernels.take(np.logical_or(*(_named(column, self.strings, which) for column in names)))

    def kernels(self, glob: str) -> Int64:
        """Which operations are kernels whose short name matches: row indices in the order of their launches."""
        kernel = np.isin(self.operations.kind, (COMPUTE, COMM))
        found = np.flatnonzero(kernel & _named(self.operations.name, self.strings, glob))
        return found[np.argsort(self.launched[found], kind="stable")]


def _named(column: Int64, strings: Sequence[str], glob: str, form: Callable[[str], str] = str) -> NDArray[np.bool_]:
    """Which rows' names, brought into `form`, match a glob (`*`, `?`, `[…]`, case matters); none is the name ""."""
    distinct = np.unique(column).tolist()
    return np.isin(column, [i for i in distinct if fnmatchcase(form(strings[i]) if i >= 0 else "", glob)])


def _hidden(scope: Scope, a: str, b: str) -> float | None:
    whole = scope.time_of(a)
    return (whole & scope.time_of(b)).length / whole.length if whole.length else None


def _shared(scope: Scope, a: str, b: str) -> int:
    return (scope.time_of(a) & scope.time_of(b)).length


def _bound(scope: Scope, a: str, b: str) -> int:
    return min(scope.time_of(a).length, scope.time_of(b).length)


def _efficiency(scope: Scope, a: str, b: str) -> float | None:
    bound = _bound(scope, a, b)
    return _shared(scope, a, b) / bound if bound else None


def _rate(scope: Scope, selector: str) -> float | None:
    chosen = scope.of(selector)
    time = busy_time(chosen).length
    known = len(chosen) > 0 and bool((chosen.bytes >= 0).all())
    return int(chosen.bytes.sum()) * 1e9 / time if time and known else None


def _overlap(scope: Scope, *selectors: str) -> int:
    return _shared(scope, *selectors) if selectors else concurrency(scope.operations).overlap


def _ratio(scope: Scope) -> float | None:
    numbers = concurrency(of_streams(scope.operations))
    return numbers.overlap / numbers.busy if numbers.busy else None


def _mean_in_flight(scope: Scope) -> float | None:
    numbers = concurrency(of_streams(scope.operations))
    return numbers.sum / numbers.busy if numbers.busy else None


def _sum(scope: Scope, selector: str = "") -> int:
    chosen = scope.of(selector) if selector else scope.operations
    return int((chosen.end - chosen.start).sum())


def _busy(scope: Scope, selector: str = "") -> int:
    return (scope.time_of(selector) if selector else busy_time(scope.operations)).length


def _count(*kinds: int) -> Callable[[Scope], int]:
    return lambda scope: int(scope.operations.copies[np.isin(scope.operations.kind, kinds)].sum())


def _calls(*effects: int) -> Callable[[Scope], int]:
    return lambda scope: int((np.isin(scope.calls.effect, effects) & scope.calls.outermost).sum())


def _gap(length: Callable[[Int64], np.generic]) -> Callable[[Scope], Number]:
    def compute(scope: Scope) -> Number:
        gaps = busy_time(scope.operations).gaps
        return length(gaps.end - gaps.start).item() if len(gaps) else 0

    return compute


def _calls_named(scope: Scope, glob: str) -> int:
    return int((scope.calls.outermost & _named(scope.calls.name, scope.strings, glob, api.plain)).sum())


def _order_violations(scope: Scope, a: str, b: str) -> int | None:
    first, second = scope.kernels(a), scope.kernels(b)
    ordered = all(_one_a_launch(scope, kernels) for kernels in (first, second))
    if not ordered or not len(first) or len(first) != len(second):
        return None
    return int((scope.operations.end[first] > scope.operations.start[second]).sum())


def _one_a_launch(scope: Scope, kernels: Int64) -> bool:
    """Whether each was launched by a call of its own: the nodes of one graph launch have no order of launches."""
    return len(np.unique(scope.operations.launch[kernels])) == len(kernels)


ENGINES = (("compute",), ("h2d",), ("d2h",), ("comm", "p2p"))


def _engine_busy(scope: Scope) -> int:
    """How many ns the busiest of the engines works: kernels, copies in, copies out, and what goes to other GPUs."""
    return max(
        busy_time(scope.operations.of_kind(*(kind for name in engine for kind in SELECTORS[name]))).length
        for engine in ENGINES
    )


def _busiest(scope: Scope) -> float | None:
    span = concurrency(scope.operations).span
    return _engine_busy(scope) / span if span else None


def _gain_bound(scope: Scope) -> float | None:
    engine = _engine_busy(scope)
    return concurrency(scope.operations).span / engine if engine else None


def _of(attribute: str) -> Callable[[Scope], int]:
    return lambda scope: int(getattr(concurrency(scope.operations), attribute))


DEFINITIONS: Mapping[str, Callable[..., Number | None]] = {
    "count": lambda scope, selector: int(scope.of(selector).copies.sum()),
    "sum": _sum,
    "busy": _busy,
    "span": _of("span"),
    "idle": _of("idle"),
    "gap_max": _gap(np.max),
    "gap_median": _gap(np.median),
    "concurrency": _mean_in_flight,
    "overlap": _overlap,
    "overlap_ratio": _ratio,
    "same_stream_overlap": _of("same_stream_overlap"),
    "max_in_flight": _of("max_in_flight"),
    "hidden": _hidden,
    "exposed": lambda s, a, b: s.time_of(a).length - _shared(s, a, b),
    "overlap_bound": _bound,
    "overlap_efficiency": _efficiency,
    "rate": _rate,
    "busiest": _busiest,
    "bound": _gain_bound,
    "kernels_per_iteration": _count(COMPUTE, COMM),
    "copies_per_iteration": _count(*COPIES),
    "memsets_per_iteration": _count(MEMORY_SET),
    "launch_calls_per_iteration": _calls(api.KERNEL, api.GRAPH),
    "syncs_per_iteration": _calls(api.WAIT),
    "calls": _calls_named,
    "order_violations": _order_violations,
}


def measure(text: str, scope: Scope) -> Number | None:
    """The value of a metric over a scope; None where it is not defined there."""
    name, arguments = split(text)
    return DEFINITIONS[name](scope, *arguments)


def inside(trace: Trace, r: int, call: int, whole_process: bool = False) -> bool:
    """Whether a call lies inside a range, by the definition of docs/metrics.md."""
    ranges, calls = trace.ranges, trace.calls
    if calls.process[call] != ranges.process[r]:
        return False
    within = ranges.start[r] <= calls.start[call] and calls.end[call] <= ranges.end[r]
    anyone = whole_process or (ranges.start_end[r] and ranges.end_thread[r] != ranges.thread[r])
    return bool(within and (anyone or calls.thread[call] == ranges.thread[r]))


def operations_of(trace: Trace, r: int, whole_process: bool = False) -> Operations:
    """The operations that belong to one range, on all devices, ordered by start."""
    calls = [call for call in range(len(trace.calls)) if inside(trace, r, call, whole_process)]
    mine = trace.operations.take(np.isin(trace.operations.launch, calls))
    return mine.take(np.lexsort((mine.row, mine.table, mine.end, mine.start)))


def scope_of(trace: Trace, r: int, whole_process: bool = False) -> Scope:
    """What a metric looks at in one range, on all devices together."""
    calls = [call for call in range(len(trace.calls)) if inside(trace, r, call, whole_process)]
    calls.sort(key=lambda call: (int(trace.calls.start[call]), call))
    mine = operations_of(trace, r, whole_process)
    return Scope(mine, trace.calls.take(np.array(calls, np.int64)), trace.strings, trace.calls.start[mine.launch])


def by_gpu(operations: Operations) -> list[Operations]:
    """Operations split by physical device: those of different GPUs are never added together."""
    return [operations.take(operations.gpu == gpu) for gpu in np.unique(operations.gpu)]
