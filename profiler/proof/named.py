"""The measured iterations of a capture that no harness made: the instances of the ranges that somebody named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...declaration import Declaration
from ..arrays.groups import ascending
from ..arrays.types import Bools, Int64
from ..evidence import Finding
from ..judging.bootstrap import LEAST_RUNS
from ..manifest import ALL, PROGRAM, Manifest, Origin, Ran
from ..ranges.attribution import Attribution
from ..ranges.chosen import chosen_ranges
from ..ranges.instances import Instances, instances_of
from ..ranges.uncounted import LEAST, uncounted
from ..ranges.work import Launches
from ..trace.model import Trace
from .measured import Measured, find_runs

Traces = tuple[Trace, ...]
"""Of a capture: none where nothing was traced; one; or of two runs that of the baseline, then that of the optimized variant."""


PERTURBED = 0.1
"""A program may take this much longer under the tracer, its start and end included, before the page says so."""


def measured_in(manifest: Manifest, traces: Traces) -> dict[str, Instances]:
    """variant -> its measured iterations; none where there is no trace."""
    if not traces:
        return {}
    declaration, origin = manifest.declaration, manifest.origin
    attribution, launches = Attribution(declaration.attribution), [Launches(trace) for trace in traces]
    if origin is None:
        return find_runs(launches[0], declaration.key, declaration.names, attribution)
    found = {}
    for place, variant in enumerate(declaration.names):
        mine = launches[min(place, len(launches) - 1)]
        chosen = _chosen(origin, variant, mine.trace)
        found[variant] = instances_of(mine, chosen, variant, origin.ranges.get(variant, ""), attribution)
    return found


def _chosen(origin: Origin, variant: str, trace: Trace) -> Int64:
    """Its ranges as row indices, by start; where programs were run in turn, those of its own program."""
    glob = origin.ranges.get(variant)
    if glob is None:
        return np.empty(0, np.int64)
    chosen = chosen_ranges(trace, origin.domain, glob)
    chosen = chosen[np.argsort(trace.ranges.start[chosen], kind="stable")]
    if not origin.in_turn:
        return chosen
    return chosen[_during(trace, trace.ranges.start[chosen], [one for one in origin.traced if one.variant == variant])]


def _during(trace: Trace, times: Int64, runs: Sequence[Ran]) -> Bools:
    """Which of these moments lie in one of the runs; none where the trace has no wall clock."""
    inside = np.zeros(len(times), bool)
    if trace.start_utc_ns is not None:
        moments = times + trace.start_utc_ns
        for run in runs:
            inside |= (moments >= run.began_utc_ns) & (moments <= run.ended_utc_ns)
    return inside


def doubts(manifest: Manifest, measured: Measured) -> tuple[Finding, ...]:
    """What nobody looked at, or chose, where no harness ran the variants; and what is wrong with the ranges that were named."""
    origin = manifest.origin
    if origin is None:
        return ()
    found = [Finding("outputs_not_compared", {}), *_traced(origin)]
    if not origin.in_turn and not origin.apart:
        found.append(Finding("order_of_program" if origin.kind == PROGRAM else "order_not_chosen", {}))
    found += _outside(origin, measured) if origin.in_turn else []
    return (*found, *_shared(measured), *_uncounted(manifest.declaration, measured))


def _outside(origin: Origin, measured: Measured) -> list[Finding]:
    """Runs that were in turn do not overlap, and each range that is named was made in one of them: else nobody can tell whose it is."""
    runs = sorted(origin.traced, key=lambda run: run.began_utc_ns)
    overlap = sum(after.began_utc_ns < before.ended_utc_ns for before, after in pairwise(runs))
    trace = next(iter(measured.values())).trace if measured else None
    named = np.empty(0, np.int64) if trace is None else _named(origin, trace)
    lost = 0 if trace is None else int((~_during(trace, trace.ranges.start[named], runs)).sum())
    return [Finding("ranges_outside_runs", {"count": lost, "overlaps": overlap}, "range")] if lost or overlap else []


def _named(origin: Origin, trace: Trace) -> Int64:
    """All ranges that any variant names, whenever they were made."""
    chosen = [chosen_ranges(trace, origin.domain, glob) for glob in dict.fromkeys(origin.ranges.values())]
    return ascending(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def _traced(origin: Origin) -> Iterator[Finding]:
    """Times are those of the traced runs: by how much tracing lengthened them is known of whole programs at most."""
    perturbed = perturbed_by(origin)
    if not perturbed:
        yield Finding("times_under_tracer", {})
    for variant, ratio in perturbed.items() if origin.in_turn else list(perturbed.items())[:1]:
        if abs(ratio - 1) > PERTURBED:
            told = variant if origin.in_turn else Path(next(iter(origin.commands.get(ALL, [])), "")).name
            code = "program_perturbed" if ratio > 1 else "bare_run_slow"
            yield Finding(code, {"variant": told, "percent": round(100 * abs(ratio - 1), 1)})


def few_turns(origin: Origin) -> tuple[Finding, ...]:
    """Programs that ran in turn, but not so often that an interval of a speedup could be told."""
    walls = _walls(origin.traced)
    least = min(map(len, walls.values()), default=0)
    few = origin.in_turn and least < LEAST_RUNS
    return (Finding("few_turns", {"n": least, "least": LEAST_RUNS}),) if few else ()


def _shared(measured: Measured) -> Iterator[Finding]:
    """Ranges that are of several variants: what is compared would be compared with itself."""
    rows = [(one.trace, one.range) for one in measured.values() if len(one)]
    for place, (trace, mine) in enumerate(rows):
        for other, theirs in rows[place + 1 :]:
            if trace is other and (both := np.intersect1d(mine, theirs)).size:
                yield Finding("ranges_shared", {"count": int(both.size)}, "range")
                return


def _uncounted(declaration: Declaration, measured: Measured) -> Iterator[Finding]:
    for variant, one in measured.items():
        others, of_process = uncounted(one.trace, one.range, Attribution(declaration.attribution))
        if others > LEAST * of_process:
            yield Finding("other_threads", {"variant": variant, "count": others, "of": of_process})


def perturbed_by(origin: Origin) -> Mapping[str, float]:
    """variant -> by which factor its programs took longer under the tracer as a whole: the median of the traced runs over the shortest
    without it, since a first run may find files and caches cold."""
    walls = {run: _walls(runs) for run, runs in (("traced", origin.traced), ("bare", origin.bare))}
    found = {
        variant: float(np.median(mine)) / min(walls["bare"][variant])
        for variant, mine in walls["traced"].items()
        if variant in walls["bare"]
    }
    return dict.fromkeys(origin.ranges, found[ALL]) if ALL in found else found


def _walls(runs: Sequence[Ran]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in runs:
        found.setdefault(one.variant, []).append(one.wall_ns)
    return found
