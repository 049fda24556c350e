"""Find a pair's measured iterations in a trace, and compute every number of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..analysis import metrics
from ..analysis.affected import limited, of_calls
from ..analysis.findable import findable
from ..analysis.ledger import match_launches
from ..analysis.metrics import Scope
from ..analysis.overlap import witnesses
from ..analysis.projection import calls_inside
from ..arrays.types import Int64
from ..evidence import Finding, Iteration, Op, VariantEvidence, Witness
from ..trace.columns import NONE
from ..trace.model import COMM, COMPUTE, COPIES, D2H, GRAPH_LAUNCH, H2D, Operations, Trace

DOMAIN = "aisp"
ITERATION = "iter"
MOST_WITNESSES = 3
"""Of each kind of overlap."""
LOST = "launch_without_operation"
"""A launch without work makes only the range incomplete in which it was made: cuBLAS sets zero bytes now and then."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measured iteration in the trace: its range's row index, its operations by start, its API calls."""

    range: int
    index: int
    scope: Scope

    @property
    def start(self) -> int:
        return int(self.scope.operations.start.min())

    @property
    def end(self) -> int:
        return int(self.scope.operations.end.max())


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs of one variant in the order of time, and what is wrong with them."""

    variant: str
    runs: tuple[Run, ...]
    findings: tuple[Finding, ...]


def find_runs(trace: Trace, pair: str, variant: str, whole_process: bool = False) -> Measured:
    """The `iter` ranges inside `<pair>.<variant>.measure` ranges of domain `aisp`, with what they launched.

    `whole_process` counts the launches of all threads of the process inside a range, not its own thread's alone.
    """
    name = f"{pair}.{variant}.measure"
    chosen = iteration_ranges(trace, name)
    return runs_of(trace, chosen, variant, f"{name}/{ITERATION}", whole_process)


def runs_of(trace: Trace, chosen: Int64, variant: str, name: str, whole_process: bool = False) -> Measured:
    """A run for each of these ranges (row indices, in the order of time), called `name` in findings; they may nest."""
    if not len(chosen):
        return Measured(variant, (), (Finding("range_not_found", {"name": name}, "range"),))
    ranges, calls = calls_inside(trace, chosen, whole_process=whole_process)
    launch = trace.operations.launch
    order = np.argsort(launch, kind="stable")
    low, high = (np.searchsorted(launch[order], calls, side) for side in ("left", "right"))
    counts = high - low
    pairs = order[np.arange(counts.sum()) + np.repeat(low - np.cumsum(counts) + counts, counts)]
    of_calls, of_pairs = _split(chosen, ranges), _split(chosen, np.repeat(ranges, counts))
    runs = tuple(
        _run(trace, int(r), calls[of_calls[i] : of_calls[i + 1]], pairs[of_pairs[i] : of_pairs[i + 1]])
        for i, r in enumerate(chosen)
    )
    dropped = match_launches(trace).dropped
    found = _faults(trace, name, runs, lost_launches(trace, dropped[np.isin(dropped, calls)]))
    return Measured(variant, tuple(r for r in runs if len(r.scope.operations)), tuple(found))


def _split(chosen: Int64, column: Int64) -> Int64:
    """Where each of `chosen` begins in a column of them that keeps their order, and where the last ends."""
    position = np.empty(int(chosen.max()) + 1, np.int64)
    position[chosen] = np.arange(len(chosen))
    return np.searchsorted(position[column], np.arange(len(chosen) + 1))


def iteration_ranges(trace: Trace, name: str) -> Int64:
    """The `iter` ranges inside ranges of this name, as row indices in the order of time."""
    ranges = trace.ranges
    strings = {text: index for index, text in enumerate(trace.strings)}
    wanted = [strings.get(text, -2) for text in (DOMAIN, ITERATION, name)]
    parent = ranges.parent
    inside = (parent >= 0) & (ranges.text[parent] == wanted[2])
    mask = inside & (ranges.domain == wanted[0]) & (ranges.text == wanted[1])
    found = np.flatnonzero(mask)
    return found[np.argsort(ranges.start[found], kind="stable")]


def _run(trace: Trace, index: int, calls: Int64, operations: Int64) -> Run:
    mine = trace.operations.take(operations)
    mine = mine.take(np.lexsort((mine.row, mine.table, mine.end, mine.start)))
    launched = trace.calls.start[mine.launch]
    payload = int(trace.ranges.payload[index]) if trace.ranges.has_payload[index] else NONE
    return Run(index, payload, Scope(mine, trace.calls.take(calls), trace.strings, launched))


def lost_launches(trace: Trace, calls: Int64) -> tuple[Finding, ...]:
    """What these launches without work (row indices) leave in doubt; nothing where there are none."""
    return (limited(LOST, len(calls), of_calls(trace, calls)),) if len(calls) else ()


def _faults(trace: Trace, name: str, runs: tuple[Run, ...], lost: Iterable[Finding]) -> Iterable[Finding]:
    empty = sum(not len(run.scope.operations) for run in runs)
    opened = any(bool(trace.ranges.is_open[run.range]) for run in runs)
    graphs = sum(int((run.scope.operations.kind == GRAPH_LAUNCH).sum()) for run in runs)
    return faults(name, empty, opened, graphs, lost)


def faults(name: str, empty: int, opened: bool, graphs: int, lost: Iterable[Finding]) -> Iterable[Finding]:
    """What makes iterations unfit to prove anything: how many ran nothing, whether a range was never closed, how many
    graphs were traced as a whole, launches without work (`lost_launches`)."""
    if empty:
        yield Finding("no_cuda_activity", {"count": empty, "name": name}, "range")
    if opened:
        yield Finding("open_range", {"name": name}, "range")
    if graphs:
        yield Finding("graph_level_tracing", {"count": graphs}, "range")
    yield from lost


def gpus_of(measured: Iterable[Measured]) -> list[int]:
    """The physical devices that any of these runs used, as indices into `trace.gpus`."""
    return sorted({int(gpu) for one in measured for run in one.runs for gpu in np.unique(run.scope.operations.gpu)})


def on_gpu(measured: Measured, gpu: int) -> Measured:
    """The runs as one device saw them; API calls are the range's, whichever device they serve."""
    parts = [(run, run.scope.only(run.scope.operations.gpu == gpu)) for run in measured.runs]
    return replace(measured, runs=tuple(replace(run, scope=part) for run, part in parts if len(part.operations)))


def variant_evidence(
    trace: Trace, measured: Measured, texts: Iterable[str], untraced: Iterable[int], queued: bool
) -> VariantEvidence:
    """Every number of every run, the run nearest to the median to draw, and its longest overlaps."""
    wanted = [*metrics.SHOWN, *(text for text in texts if text not in metrics.SHOWN)]
    iterations = tuple(numbers_of(trace, run, wanted, queued) for run in measured.runs)
    drawn = median_run(measured)
    return VariantEvidence(
        name=measured.variant,
        iterations=iterations,
        median_index=drawn,
        timeline=tuple(_ops(trace, measured.runs[drawn].scope.operations)) if drawn is not None else (),
        witnesses=tuple(_witnesses(trace, measured.runs[drawn].scope.operations)) if drawn is not None else (),
        untraced_ns=tuple(untraced),
    )


def median_run(measured: Measured) -> int | None:
    """The position of the run whose length is the lower median: one that really happened."""
    if not measured.runs:
        return None
    lengths = np.array([run.end - run.start for run in measured.runs])
    return int(np.argsort(lengths, kind="stable")[(len(lengths) - 1) // 2])


def numbers_of(trace: Trace, run: Run, wanted: Iterable[str], queued: bool) -> Iteration:
    """The metrics `wanted` of one run; those that are not defined there are left out."""
    values = {text: metrics.measure(text, run.scope) for text in wanted}
    return Iteration(
        index=run.index,
        start=run.start,
        end=run.end,
        host_ns=None if queued else int(trace.ranges.end[run.range] - trace.ranges.start[run.range]),
        numbers={text: value for text, value in values.items() if value is not None},
    )


def _ops(trace: Trace, operations: Operations) -> Iterable[Op]:
    """Pages name an operation without a name, as copies are, by its class."""
    for index in range(len(operations)):
        one = findable(trace, operations, index)
        yield one if one.name else replace(one, name=one.kind)


def _witnesses(trace: Trace, operations: Operations) -> Iterable[Witness]:
    """The longest overlaps of kernels with copies, of the two directions of copying, and of kernels with kernels."""
    kernels, talking = operations.of_kind(COMPUTE), operations.of_kind(*COPIES, COMM)
    for a, b in ((kernels, talking), (operations.of_kind(H2D), operations.of_kind(D2H)), (kernels, kernels)):
        found = witnesses(a, b, MOST_WITNESSES) if a is not b else _each_once(witnesses(a, a, 2 * MOST_WITNESSES))
        for i, j in found[:MOST_WITNESSES]:
            (one,), (two,) = (tuple(_ops(trace, ops.take([k]))) for ops, k in ((a, i), (b, j)))
            yield Witness(one, two, max(one.start, two.start), min(one.end, two.end))


def _each_once(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of one set without their mirror images, in their order."""
    return list(dict.fromkeys((min(pair), max(pair)) for pair in pairs))
