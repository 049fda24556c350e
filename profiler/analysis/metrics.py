"""Metrics by name: their units and arguments, and what they speak of; `ranges.numbers` has the definition of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ...errors import UsageError
from ..trace.model import COMM, COMPUTE, COPIES, KINDS, MEMORY_SET, MIGRATION
from .selection import check, classes

Number = int | float


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is called with; `unit` is ns, ratio, count, x or B/s. `arguments` are how many it may take: selections of
    operations (`selection.check`), or with `globs` patterns of names. `of_span` says that a share or a factor is one of the whole span, which what
    the host does lengthens, rather than of the time in which the GPU works."""

    unit: str
    arguments: tuple[int, ...]
    default: tuple[str, ...] = ()
    globs: bool = False
    of_span: bool = False

    @property
    def by_interval(self) -> bool:
        """Times, rates and what is of the span are judged by an interval over the iterations; counts and other shares in each."""
        return self.of_span or self.unit in ("ns", "B/s")


METRICS: Mapping[str, Metric] = {
    "count": Metric("count", (1,)),
    "sum": Metric("ns", (0, 1)),
    "busy": Metric("ns", (0, 1)),
    "span": Metric("ns", (0,)),
    "idle": Metric("ns", (0,)),
    "gap_max": Metric("ns", (0,)),
    "gap_median": Metric("ns", (0,)),
    "concurrency": Metric("", (0,)),
    "overlap": Metric("ns", (0, 2)),
    "overlap_ratio": Metric("ratio", (0,)),
    "same_stream_overlap": Metric("ns", (0,)),
    "max_in_flight": Metric("count", (0,)),
    "hidden": Metric("ratio", (1, 2), ("compute",)),
    "exposed": Metric("ns", (1, 2), ("compute",)),
    "overlap_bound": Metric("ns", (2,)),
    "overlap_efficiency": Metric("ratio", (2,)),
    "rate": Metric("B/s", (1,)),
    "busiest": Metric("ratio", (0,), of_span=True),
    "bound": Metric("x", (0,), of_span=True),
    "kernels_per_iteration": Metric("count", (0,)),
    "copies_per_iteration": Metric("count", (0,)),
    "memsets_per_iteration": Metric("count", (0,)),
    "launch_calls_per_iteration": Metric("count", (0,)),
    "syncs_per_iteration": Metric("count", (0,)),
    "calls": Metric("count", (1,), globs=True),
    "order_violations": Metric("count", (2,), globs=True),
}
"""Name -> unit and arguments. `hidden(copy)` means `hidden(copy, compute)`: `default` completes a short list of arguments."""

_SHORT: Mapping[str, str] = {
    name.removesuffix("_per_iteration"): name for name in METRICS if name.endswith("_per_iteration")
}
MEANT = {"iteration": "span", "duration": "span", "latency": "span", "wall": "span", "elapsed": "span"}
"""What others call a metric, and is near to none by its letters."""

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
    ("count", "sum", "busy", "span", "overlap", "same_stream_overlap", "overlap_bound", "max_in_flight")
)
"""Metrics that one more operation can only make larger, so that what is there is a lower bound. No share is one, nothing of
`idle`, nothing exposed; and no count of calls, for a driver call stands for itself where the call around it is missing."""

_NO_COPIES = frozenset(("compute", "comm", "memset", "graph"))
_KERNEL = "kernel:"
_STREAM = "stream:"


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
        mend = "write * for a comma in a name" if any(_KERNEL in one for one in arguments) else ""
        raise UsageError(f"{text}: {name} takes {wanted} arguments, not {len(arguments)}", mend)
    for argument in arguments:
        if metric.globs and not argument:
            raise UsageError(f"{text}: {name} takes a pattern of names", "for example cudaMalloc or cuMemFree*")
        if not metric.globs:
            _check(argument, text)
        if name in _SIDE_BY_SIDE and argument == KINDS[MIGRATION]:
            raise UsageError(f"{text}: a kernel waits for a page that migrates; beside it is no overlap")
    return name, (*arguments, *metric.default[len(arguments) - 1 :]) if arguments else ()


def in_full(text: str) -> str:
    """`kernels` of a range are its `kernels_per_iteration`: each instance is an iteration."""
    return _SHORT.get(text.strip(), " ".join(text.split()))


def classes_of(text: str) -> frozenset[int]:
    """The classes of operations that a metric speaks of, as indices into KINDS."""
    name, arguments = split(text)
    if name in _OF_COUNTS:
        return frozenset(_OF_COUNTS[name])
    return frozenset(kind for one in arguments for kind in classes(one)) if arguments else frozenset(range(len(KINDS)))


def of_copies_beside_others(text: str) -> bool:
    """Whether a metric says something of copies running side by side with other work: `hidden(comm, compute)` does not, and
    `overlap_ratio`, which is of everything, does."""
    name, arguments = split(text)
    return name in OF_OVERLAP and not (
        arguments and all(one in _NO_COPIES or one.startswith(_KERNEL) for one in arguments)
    )


def is_lower_bound(text: str, whole_graphs: bool) -> bool:
    """Whether operations that are missing could only make a metric larger. `whole_graphs`: some are hidden in graphs that were
    traced as a whole, whose own rows also hold the time between their nodes."""
    name, arguments = split(text)
    of_graphs = any(one == "graph" or one.startswith(_STREAM) for one in arguments)
    by_class = name in _OPERATIONS or (bool(arguments) and not of_graphs)
    return name in GROWING and (by_class or not whole_graphs)


def _check(argument: str, text: str) -> None:
    try:
        check(argument)
    except UsageError as error:
        said = f"no operations are called {argument!r}" if ":" not in argument else str(error)
        raise UsageError(f"{text}: {said}", error.mend) from error


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = [MEANT[name]] if MEANT.get(name) in known else get_close_matches(name, list(known), 1, 0.5)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
