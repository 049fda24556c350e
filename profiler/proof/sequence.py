"""The iterations that the manifest lists against those in the trace: all of them, in their order, and nothing beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...declaration import Declaration
from ..arrays.types import Int64
from ..evidence import Finding
from ..manifest import Manifest
from ..trace.model import Trace
from .measured import DOMAIN, Measured, iteration_ranges


def times_of(manifest: Manifest, run: str, variant: str) -> list[int]:
    """A variant's CUDA-event times in ns, in the order in which they were measured."""
    return [int(one.event_ns) for one in manifest.iterations(run) if one.variant == variant]


def places_of(manifest: Manifest, run: str, variant: str) -> tuple[int, ...]:
    """Where a variant's iterations stand in the order in which all were measured."""
    return tuple(place for place, one in enumerate(manifest.iterations(run)) if one.variant == variant)


def sequence_findings(
    manifest: Manifest, declaration: Declaration, trace: Trace | None, measured: Measured
) -> dict[str, list[Finding]]:
    """What differs, by variant; under "" what is of no variant.

    Whoever leaves out the iterations that he does not like leaves a hole: in the numbers that they bear, between the runs, or
    work of the GPU that belongs to none of them.
    """
    found: dict[str, list[Finding]] = {"": [*_orders(manifest)]}
    for variant in declaration.names:
        found[variant] = [*_numbered(manifest, declaration, variant)]
        if trace is not None:
            found[variant] += _traced(manifest, declaration, trace, variant)
    if trace is not None and any(map(len, measured.values())):
        found[""] += [*_interleaving(manifest, trace, measured), *_beside(declaration, trace)]
    return found


def _orders(manifest: Manifest) -> Iterator[Finding]:
    """A record names the order in which its variants ran; its iterations must have it."""
    for run, record in manifest.runs.items():
        if record.order is not None and record.order != [one.variant for one in manifest.iterations(run)]:
            yield Finding("order_differs", {"run": run}, "range")


def _numbered(manifest: Manifest, declaration: Declaration, variant: str) -> Iterator[Finding]:
    """Iterations count from 0 within their variant, and each run has as many of them."""
    counts = {}
    for run in ("untraced", "traced"):
        places = [one.place for one in manifest.iterations(run) if one.variant == variant]
        counts[run] = len(places)
        if places != list(range(len(places))):
            yield Finding("iterations_left_out", {"variant": variant, "run": run}, "range")
    if all(counts.values()) and counts["untraced"] != counts["traced"]:
        yield _differ(variant, counts["untraced"], counts["traced"])


def _differ(variant: str, listed: int, found: int) -> Finding:
    return Finding("iterations_differ", {"variant": variant, "listed": listed, "found": found}, "range")


def _traced(manifest: Manifest, declaration: Declaration, trace: Trace, variant: str) -> Iterator[Finding]:
    listed = [one.place for one in manifest.iterations("traced") if one.variant == variant]
    name = f"{declaration.key}.{variant}.measure"
    iterations, around = iteration_ranges(trace, name), _named(trace, name)
    if len(listed) != len(iterations):
        yield _differ(variant, len(listed), len(iterations))
    elif listed != [_payload(trace, int(one)) for one in iterations]:
        yield Finding("iterations_left_out", {"variant": variant, "run": "traced"}, "range")
    if len(around) != len(iterations):
        values: dict[str, str | int | float] = {"name": name, "count": len(around), "iterations": len(iterations)}
        yield Finding("ranges_without_iteration", values, "range")


def _payload(trace: Trace, row: int) -> int | None:
    return int(trace.ranges.payload[row]) if trace.ranges.has_payload[row] else None


def _named(trace: Trace, *names: str) -> Int64:
    """The ranges of the harness's domain with one of these names, by start."""
    strings = {text: index for index, text in enumerate(trace.strings)}
    wanted = [strings[name] for name in names if name in strings]
    found = np.flatnonzero(np.isin(trace.ranges.text, wanted) & (trace.ranges.domain == strings.get(DOMAIN, -2)))
    return found[np.argsort(trace.ranges.start[found], kind="stable")]


def _interleaving(manifest: Manifest, trace: Trace, measured: Measured) -> Iterator[Finding]:
    """Which variant ran after which, by the trace and by the manifest."""
    starts = {variant: trace.ranges.start[one.range].tolist() for variant, one in measured.items()}
    runs = sorted((start, variant) for variant, mine in starts.items() for start in mine)
    told = [one.variant for one in manifest.iterations("traced")]
    if len(told) == len(runs) and told != [variant for _, variant in runs]:
        yield Finding("order_differs", {"run": "traced"}, "range")


def _beside(declaration: Declaration, trace: Trace) -> Iterator[Finding]:
    """Work launched after the warm-up that lies in no measured range: the harness launches none."""
    measure, warmup = (
        _named(trace, *(f"{declaration.key}.{variant}.{what}" for variant in declaration.names))
        for what in ("measure", "warmup")
    )
    again = len(warmup) - len(np.unique(trace.ranges.text[warmup]))
    if again:
        yield Finding("warmed_up_again", {"count": again}, "range")
    known = np.concatenate([measure, warmup])
    launches = trace.calls.start[trace.operations.launch[trace.operations.launch >= 0]]
    count = _not_inside(launches[launches >= trace.ranges.start[known].min()], trace, known) if len(known) else 0
    if count:
        yield Finding("work_beside_iterations", {"count": count}, "range")


def _not_inside(times: Int64, trace: Trace, ranges: Int64) -> int:
    """How many of these times lie in none of these ranges."""
    order = ranges[np.argsort(trace.ranges.start[ranges], kind="stable")]
    ends = np.maximum.accumulate(trace.ranges.end[order])
    last = np.searchsorted(trace.ranges.start[order], times, "right") - 1
    return int(((last < 0) | (times > ends[np.maximum(last, 0)])).sum())
