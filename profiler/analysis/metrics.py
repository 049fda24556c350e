"""Metrics by name: the one place that turns `hidden(h2d, d2h)` into a number, as docs/metrics.md defines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..arrays.intervals import Intervals
from ..arrays.types import Int64
from ..trace import api
from ..trace.model import COMM, COMPUTE, COPIES, KINDS, MEMORY_SET, MIGRATION, Calls, Operations
from .overlap import SELECTORS, busy_time, concurrency, of_streams

Number = int | float


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
        """The operations of a class.

        Raises:
            UsageError: no such class.
        """
        if selector not in SELECTORS:
            raise UsageError(f"no operations are called {selector!r}", _nearest(selector, SELECTORS))
        return self.operations.of_kind(*SELECTORS[selector])

    def kernels(self, glob: str) -> Int64:
        """Which operations are kernels whose short name matches: row indices in the order of their launches."""
        kernel = np.isin(self.operations.kind, (COMPUTE, COMM))
        found = np.flatnonzero(kernel & _named(self.operations.name, self.strings, glob))
        return found[np.argsort(self.launched[found], kind="stable")]


def _named(column: Int64, strings: Sequence[str], glob: str, form: Callable[[str], str] = str) -> NDArray[np.bool_]:
    """Which rows' names, brought into `form`, match a glob (`*`, `?`, `[…]`, case matters); none is the name ""."""
    distinct = np.unique(column).tolist()
    return np.isin(column, [i for i in distinct if fnmatchcase(form(strings[i]) if i >= 0 else "", glob)])


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is computed; `unit` is ns, ratio, count or B/s. `compute` gives None where nothing is defined:
    a share of no time, the rate of no copy. The arguments are classes of operations, or with `globs` patterns of names."""

    unit: str
    arguments: tuple[int, ...]
    compute: Callable[..., Number | None]
    default: tuple[str, ...] = ()
    globs: bool = False

    @property
    def by_interval(self) -> bool:
        """Times and rates are judged by an interval over the iterations; counts and shares in each iteration."""
        return self.unit in ("ns", "B/s")


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


def _of(attribute: str) -> Callable[[Scope], int]:
    return lambda scope: int(getattr(concurrency(scope.operations), attribute))


METRICS: Mapping[str, Metric] = {
    "sum": Metric("ns", (0, 1), _sum),
    "busy": Metric("ns", (0, 1), _busy),
    "span": Metric("ns", (0,), _of("span")),
    "idle": Metric("ns", (0,), _of("idle")),
    "gap_max": Metric("ns", (0,), _gap(np.max)),
    "gap_median": Metric("ns", (0,), _gap(np.median)),
    "concurrency": Metric("", (0,), _mean_in_flight),
    "overlap": Metric("ns", (0, 2), _overlap),
    "overlap_ratio": Metric("ratio", (0,), _ratio),
    "same_stream_overlap": Metric("ns", (0,), _of("same_stream_overlap")),
    "max_in_flight": Metric("count", (0,), _of("max_in_flight")),
    "hidden": Metric("ratio", (1, 2), _hidden, ("compute",)),
    "exposed": Metric("ns", (1, 2), lambda s, a, b: s.time_of(a).length - _shared(s, a, b), ("compute",)),
    "overlap_bound": Metric("ns", (2,), _bound),
    "overlap_efficiency": Metric("ratio", (2,), _efficiency),
    "rate": Metric("B/s", (1,), _rate),
    "kernels_per_iteration": Metric("count", (0,), _count(COMPUTE, COMM)),
    "copies_per_iteration": Metric("count", (0,), _count(*COPIES)),
    "memsets_per_iteration": Metric("count", (0,), _count(MEMORY_SET)),
    "launch_calls_per_iteration": Metric("count", (0,), _calls(api.KERNEL, api.GRAPH)),
    "syncs_per_iteration": Metric("count", (0,), _calls(api.WAIT)),
    "calls": Metric("count", (1,), _calls_named, globs=True),
    "order_violations": Metric("count", (2,), _order_violations, globs=True),
}
"""Name -> definition. `hidden(copy)` means `hidden(copy, compute)`: `default` completes a short list of arguments."""

SHOWN = (
    *("sum", "busy", "span", "idle", "concurrency", "overlap", "overlap_ratio", "same_stream_overlap", "max_in_flight"),
    *("sum(compute)", "sum(comm)", "sum(copy)", "sum(memset)"),
    *("busy(compute)", "busy(comm)", "busy(h2d)", "busy(d2h)", "busy(copy)", "busy(memset)"),
    *(
        "overlap(compute, copy)",
        "overlap(h2d, d2h)",
        "hidden(compute, copy)",
        "hidden(copy, compute)",
        "hidden(h2d, d2h)",
    ),
    *("rate(h2d)", "rate(d2h)", "kernels_per_iteration", "copies_per_iteration", "memsets_per_iteration"),
    *("launch_calls_per_iteration", "syncs_per_iteration"),
)
"""The metrics that every proof computes for every iteration, whatever its claims."""

OF_OVERLAP = frozenset(
    ("overlap", "overlap_ratio", "concurrency", "max_in_flight", "hidden", "exposed", "overlap_efficiency")
)
"""Metrics that say something of work running side by side: what pageable copies, staged by the host, cannot show."""

_SIDE_BY_SIDE = OF_OVERLAP | {"overlap_bound"}

_OF_COUNTS: Mapping[str, tuple[int, ...]] = {
    "kernels_per_iteration": (COMPUTE, COMM),
    "copies_per_iteration": COPIES,
    "memsets_per_iteration": (MEMORY_SET,),
    "order_violations": (COMPUTE, COMM),
    "launch_calls_per_iteration": (),
    "syncs_per_iteration": (),
    "calls": (),
}
"""The classes that metrics without classes among their arguments speak of; those of API calls speak of none."""

_OPERATIONS = frozenset(("kernels_per_iteration", "copies_per_iteration", "memsets_per_iteration"))
GROWING = _OPERATIONS | frozenset(
    ("sum", "busy", "span", "overlap", "same_stream_overlap", "overlap_bound", "max_in_flight")
)
"""Metrics that one more operation can only make larger, so that what is there is a lower bound. No share is one, nothing of
`idle`, nothing exposed; and no count of calls, for a driver call stands for itself where the call around it is missing."""

_NO_COPIES = frozenset(("compute", "comm", "memset", "graph"))


def split(text: str) -> tuple[str, tuple[str, ...]]:
    """`hidden(h2d, d2h)` -> its name and its arguments, completed by the metric's default.

    Raises:
        UsageError: no such metric or operations, a wrong number of arguments, an empty pattern; the nearest name is
            suggested.
    """
    name, _, rest = text.strip().partition("(")
    name = name.strip()
    arguments = tuple(part.strip() for part in rest.rstrip().removesuffix(")").split(",")) if rest else ()
    if name not in METRICS:
        raise UsageError(f"no metric is called {name!r}", _nearest(name, METRICS))
    metric = METRICS[name]
    if len(arguments) not in metric.arguments:
        wanted = " or ".join(map(str, metric.arguments))
        raise UsageError(f"{text}: {name} takes {wanted} arguments, not {len(arguments)}")
    for argument in arguments:
        if metric.globs and not argument:
            raise UsageError(f"{text}: {name} takes a pattern of names", "for example cudaMalloc or cuMemFree*")
        if not metric.globs and argument not in SELECTORS:
            raise UsageError(f"{text}: no operations are called {argument!r}", _nearest(argument, SELECTORS))
        if name in _SIDE_BY_SIDE and argument == KINDS[MIGRATION]:
            raise UsageError(f"{text}: a kernel waits for a page that migrates; beside it is no overlap")
    return name, (*arguments, *metric.default[len(arguments) - 1 :]) if arguments else ()


def classes_of(text: str) -> frozenset[int]:
    """The classes of operations that a metric speaks of, as indices into KINDS."""
    name, arguments = split(text)
    if name in _OF_COUNTS:
        return frozenset(_OF_COUNTS[name])
    return (
        frozenset(kind for one in arguments for kind in SELECTORS[one]) if arguments else frozenset(range(len(KINDS)))
    )


def of_copies_beside_others(text: str) -> bool:
    """Whether a metric says something of copies running side by side with other work: `hidden(comm, compute)` does not, and
    `overlap_ratio`, which is of everything, does."""
    name, arguments = split(text)
    return name in OF_OVERLAP and not (arguments and set(arguments) <= _NO_COPIES)


def is_lower_bound(text: str, whole_graphs: bool) -> bool:
    """Whether operations that are missing could only make a metric larger. `whole_graphs`: some are hidden in graphs that were
    traced as a whole, whose own rows also hold the time between their nodes."""
    name, arguments = split(text)
    by_class = name in _OPERATIONS or (bool(arguments) and "graph" not in arguments)
    return name in GROWING and (by_class or not whole_graphs)


def measure(text: str, scope: Scope) -> Number | None:
    """The value of a metric over a scope; None where it is not defined there."""
    name, arguments = split(text)
    return METRICS[name].compute(scope, *arguments)


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, list(known), 1, 0.5)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
