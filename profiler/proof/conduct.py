"""How the runs were conducted: conditions, order, perturbation. What was seen becomes a caveat on the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

import numpy as np

from ..arrays.groups import distinct_values
from ..evidence import Finding, Rates, VariantEvidence
from ..judging.bootstrap import LEAST_RUNS
from ..judging.modes import modes_of
from ..judging.speedup import times
from ..manifest import PROGRAM, Manifest, Sample
from ..ranges.instances import Instances
from ..ranges.numbers import engine_times, numbers
from ..trace.model import COMPUTE, Trace
from .measured import Measured, bounds_of

CLOCK_BAND = 0.05
"""The SM clock may move by this share of its highest value during the measured runs before the page says so."""

LEAST_OF_ROOF = 0.3
"""A kernel of the baseline below this share of its own measured roof is named on the page: it wants a better kernel first."""

LEAST_SHARE = 0.05
"""But not one that takes less than this share of the baseline's kernel time: no speedup rests on it."""

CONDITIONS = ("sm_mhz", "mem_mhz", "temperature_c", "power_w")

_ORDINARY = {"none", "gpu_idle", "applications_clocks_setting", "sw_power_cap"}
# A power cap is how a modern GPU normally runs: it shows in the clocks, which are judged on their own.


def caveats(trace: Trace | None, manifest: Manifest, measured: Measured) -> list[Finding]:
    """Everything about how the runs were made that a reader should know."""
    sampled = manifest.origin is None or manifest.origin.kind == PROGRAM  # else `named.doubts` says that nobody did
    found = [*(_conditions(trace, manifest, measured) if sampled else ()), *_commit(manifest)]
    return found if trace is None else [*found, *_operations(measured)]


def _conditions(trace: Trace | None, manifest: Manifest, measured: Measured) -> Iterable[Finding]:
    conditions = manifest.conditions
    if conditions is None or not conditions.during:
        yield Finding("no_conditions", {})
        return
    samples = during_runs(trace, conditions.during, bounds_of(measured))
    if not samples:
        yield Finding("no_conditions_inside", {"count": len(conditions.during)})
    yield from _not_sampled(samples)
    clocks = [sample.sm_mhz for sample in samples if sample.sm_mhz is not None]
    if clocks and min(clocks) < (1 - CLOCK_BAND) * max(clocks):
        yield Finding("clocks_moved", {"low_mhz": min(clocks), "high_mhz": max(clocks)})
    reasons = sorted({r for sample in samples for r in sample.throttle_reasons or ()} - _ORDINARY)
    if reasons:
        yield Finding("throttled", {"reasons": ", ".join(reasons)})
    everyone = [conditions.before, *conditions.during, conditions.after]
    others = max(sample.other_processes or 0 for sample in everyone if sample)
    if others:
        yield Finding("other_processes", {"count": others})


def _not_sampled(samples: Sequence[Sample]) -> Iterable[Finding]:
    """What NVML did not answer, or nobody asked, was not looked at: no clock that moved, no process beside."""
    wanted = ("sm_mhz", "throttle_reasons", "other_processes")
    lacking = [name for name in wanted if samples and all(getattr(sample, name) is None for sample in samples)]
    if lacking:
        yield Finding("conditions_not_known", {"what": ", ".join(lacking)})


def during_runs(trace: Trace | None, samples: Sequence[Sample], bounds: tuple[int, int] | None) -> list[Sample]:
    """The samples taken while the measured runs were on the GPU, which they were within `bounds`; all of them where the trace
    has no wall clock."""
    if trace is None or trace.start_utc_ns is None or bounds is None:
        return list(samples)
    low, high = (trace.start_utc_ns + bound for bound in bounds)
    return [sample for sample in samples if low <= sample.utc_ns <= high]


def samples(trace: Trace | None, manifest: Manifest, measured: Measured) -> list[Sample]:
    """What was sampled of the GPU while the measured runs were on it."""
    return during_runs(trace, manifest.during, bounds_of(measured))


def seen(trace: Trace | None, manifest: Manifest, measured: Measured) -> dict[str, tuple[float, float]]:
    """Lowest and highest clock (MHz), temperature (°C) and power (W) during the measured runs, where sampled."""
    during = samples(trace, manifest, measured)
    sampled = {name: [getattr(sample, name) for sample in during] for name in CONDITIONS}
    found = {name: [value for value in values if value is not None] for name, values in sampled.items()}
    return {name: (min(values), max(values)) for name, values in found.items() if values}


def _commit(manifest: Manifest) -> Iterable[Finding]:
    if manifest.commit and manifest.commit.dirty:
        yield Finding("dirty_commit", {})


def order(measured: Measured) -> tuple[Finding, ...]:
    """Whether all variants took turns: at no moment is one more than two runs ahead of another."""
    counts = dict.fromkeys(range(len(measured)), 0)
    furthest = 0
    starts = (one.times()[0].tolist() for one in measured.values())
    for _, place in sorted((start, place) for place, mine in enumerate(starts) for start in mine):
        counts[place] += 1
        furthest = max(furthest, max(counts.values()) - min(counts.values()))
    return (Finding("not_interleaved", {}),) if furthest > 2 else ()


def _operations(measured: Measured) -> Iterable[Finding]:
    early = sum(map(_early, measured.values()))
    if early:
        yield Finding("negative_latency", {"count": early})
    copies = [finding for one in measured.values() for finding in one.pageable()]
    if copies:
        yield Finding("pageable_copies", {"count": sum(int(finding.values["count"]) for finding in copies)})


def _early(runs: Instances) -> int:
    """How many operations began before they were launched."""
    operations = runs.trace.operations
    return int((operations.start[runs.operation] < runs.trace.calls.start[operations.launch[runs.operation]]).sum())


def weak_baseline(runs: Instances, rates: Rates | None) -> Iterator[Finding]:
    """Kernels of the baseline that leave the GPU partly idle: an optimization is worth what it gains over a good one.

    `runs` are the baseline's. Kernels that take less than `LEAST_SHARE` of its kernels' time are passed over.
    """
    yield from _few_blocks(runs)
    kernels = rates.kernels if rates else ()
    whole = max(1, sum(kernel.busy_ns for kernel in kernels))
    for kernel in kernels:
        share = kernel.busy_ns / whole
        if kernel.of_roofline is not None and kernel.of_roofline < LEAST_OF_ROOF and share >= LEAST_SHARE:
            told = {"percent": round(100 * kernel.of_roofline, 1), "of_time": round(100 * share, 1)}
            yield Finding("baseline_below_roof", {"kernel": kernel.name, **told})


def _few_blocks(runs: Instances) -> Iterator[Finding]:
    """Of each kernel whose grid has fewer blocks than its GPU has multiprocessors, the time of those launches."""
    trace = runs.trace
    operations = trace.operations.take(runs.operation)
    kernels = operations.take(operations.kind == COMPUTE)
    multiprocessors = np.array([gpu.sm_count for gpu in trace.gpus], np.int64)[kernels.gpu]
    time = kernels.end - kernels.start
    few = (kernels.blocks > 0) & (kernels.blocks < multiprocessors)
    for name in distinct_values(kernels.name[few]).tolist():
        mine = few & (kernels.name == name)
        share = float(time[mine].sum() / max(1, time.sum()))
        if share >= LEAST_SHARE:
            most = int(np.argmax(np.where(mine, kernels.blocks, 0)))
            values = {
                "blocks": int(kernels.blocks[most]),
                "sms": int(multiprocessors[most]),
                "of_time": round(100 * share, 1),
            }
            yield Finding("baseline_few_blocks", {"kernel": trace.text(name), **values})


def engine_bound(runs: Instances) -> tuple[Finding, ...]:
    """The time of the optimized variant's busiest engine, in the iteration with the least of it: no overlap goes below it."""
    if not any(numbers(runs, ["busy(copy)"])["busy(copy)"]):
        return ()
    return (Finding("same_engine_bound", {"ms": round(min(engine_times(runs)) / 1e6, 2)}),)


def perturbation(traced: Mapping[str, Sequence[int]], untraced: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """variant -> median traced / median untraced iteration time, both by CUDA events, where both exist."""
    return {v: median(traced[v]) / median(untraced[v]) for v in traced if traced[v] and any(untraced[v])}


def perturbed(ratios: Mapping[str, float], band: float) -> tuple[Finding, ...]:
    """Where tracing changed the times by more than the pair's band: then the trace proves structure only."""
    outside = {variant: ratio for variant, ratio in ratios.items() if abs(ratio - 1) > band}
    values: list[dict[str, str | int | float]] = [
        {"variant": variant, "percent": round(100 * (ratio - 1), 1), "band_percent": round(100 * band, 1)}
        for variant, ratio in sorted(outside.items())
    ]
    return tuple(Finding("perturbed", value, "times") for value in values)


def too_few(counts: Mapping[str, int]) -> tuple[Finding, ...]:
    """Fewer runs than an interval needs."""
    least = min(counts.values(), default=0)
    return (Finding("few_iterations", {"n": least, "least": LEAST_RUNS}),) if least < LEAST_RUNS else ()


def two_groups(variants: Iterable[VariantEvidence], source: str) -> Iterator[Finding]:
    """Runs of a variant that fall into two groups, by the times that its speedup rests on (`source`, as in `speedup.times`)."""
    for one in variants:
        runs = times(one, source)
        if modes := modes_of(runs):
            values: dict[str, str | int | float] = {
                "variant": one.name,
                "count": modes.lower,
                "low_ms": modes.low / 1e6,
                "others": len(runs) - modes.lower,
                "high_ms": modes.high / 1e6,
                "changes": modes.changes,
            }
            yield Finding("two_groups", values)
