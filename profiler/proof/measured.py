"""Find a pair's measured iterations in a trace, and compute every number of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from ..analysis import metrics
from ..analysis.findable import findable
from ..analysis.longest import witnesses
from ..arrays.types import Int64
from ..evidence import Iteration, Op, VariantEvidence, Witness
from ..ranges.attribution import Attribution
from ..ranges.instances import Instances, instances_of
from ..ranges.numbers import numbers
from ..ranges.work import Launches
from ..trace.model import COMM, COMPUTE, COPIES, D2H, H2D, Operations, Trace
from ..trace.tables.columns import NONE

DOMAIN = "aisp"
ITERATION = "iter"
MOST_WITNESSES = 3
"""Of each kind of overlap."""

Measured = Mapping[str, Instances]
"""variant -> its measured iterations; none where there is no trace."""


def find_runs(launches: Launches, pair: str, variants: Iterable[str], attribution: Attribution) -> dict[str, Instances]:
    """The `iter` ranges inside `<pair>.<variant>.measure` ranges of domain `aisp`, with what they launched, by variant."""
    return {variant: _runs(launches, f"{pair}.{variant}.measure", variant, attribution) for variant in variants}


def _runs(launches: Launches, name: str, variant: str, attribution: Attribution) -> Instances:
    chosen = iteration_ranges(launches.trace, name)
    return instances_of(launches, chosen, variant, f"{name}/{ITERATION}", attribution)


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


def gpus_of(measured: Measured) -> list[int]:
    """The physical devices that any of these runs used, as indices into `trace.gpus`."""
    return sorted({gpu for one in measured.values() for gpu in one.gpus()})


def bounds_of(measured: Measured) -> tuple[int, int] | None:
    """When the first operation of any run began and the last one ended, ns; None where there is no run."""
    starts, ends = zip(*(one.times() for one in measured.values()), strict=True) if measured else ((), ())
    if not any(len(start) for start in starts):
        return None
    return int(np.concatenate(starts).min()), int(np.concatenate(ends).max())


def variant_evidence(
    runs: Instances, texts: Iterable[str], untraced: Iterable[int], queued: bool, named: bool = False
) -> VariantEvidence:
    """Every number of every run, the run nearest to the median to draw, and its longest overlaps. Of `named` ranges the payloads are
    whatever their program means by them: their runs are numbered in the order of time."""
    trace, drawn = runs.trace, median_run(runs)
    shown = None if drawn is None else runs.operations(drawn)
    return VariantEvidence(
        name=runs.name,
        iterations=tuple(iterations(runs, list(dict.fromkeys((*metrics.SHOWN, *texts))), queued, named)),
        median_index=drawn,
        timeline=() if shown is None else tuple(_ops(trace, shown)),
        witnesses=() if shown is None else tuple(_witnesses(trace, shown)),
        untraced_ns=tuple(untraced),
    )


def median_run(runs: Instances) -> int | None:
    """The position of the run whose length is the lower median: one that really happened."""
    if not len(runs):
        return None
    start, end = runs.times()
    return int(np.argsort(end - start, kind="stable")[(len(runs) - 1) // 2])


def iterations(runs: Instances, wanted: list[str], queued: bool, named: bool = False) -> Iterator[Iteration]:
    """The metrics `wanted` of every run; those that are not defined in one are left out."""
    ranges, found = runs.trace.ranges, numbers(runs, wanted)
    start, end = (times.tolist() for times in runs.times())
    for place, r in enumerate(runs.range.tolist()):
        values = {text: found[text][place] for text in wanted}
        yield Iteration(
            index=place if named else int(ranges.payload[r]) if ranges.has_payload[r] else NONE,
            start=start[place],
            end=end[place],
            host_ns=None if queued else int(ranges.end[r] - ranges.start[r]),
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
