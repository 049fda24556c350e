"""Counters into numbers: floating-point operations by type, DRAM bytes, intensity, a row for every kernel launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .kernel_counters import Dim, KernelCounters, NvtxRange
from .table import table

OWN_TYPES = {
    "bf16": ("tensor_bf16",),
    "fp16": ("tensor_fp16",),
    "tf32": ("tensor_tf32",),
    "fp32": ("fp32",),
    "fp8": ("tensor_fp8", "tensor_fp8_fp6_fp4"),
    "fp64": ("fp64", "tensor_fp64"),
}
"""The types of the FLOP table under which a matrix product of each dtype is counted."""


@dataclass(frozen=True, slots=True)
class CounterRow:
    """One kernel launch (docs/json.md). What the report does not hold is None, and `lacking` names the metrics.

    duration_ns           under ncu, which serialises kernels and flushes caches, so it is no evidence of how long a
    kernel takes
    flops_by_type         only types with a count; a type with a missing counter is absent
    flops                 the sum over all types of the chip's table, None if any of them is unknown
    dram_bytes            read and written
    arithmetic_intensity  flops / dram_bytes
    tensor_active_pct     of the elapsed cycles, averaged over the SMs, to 0.01
    derived               metrics behind the FLOP and bytes that were not stored as totals but follow exactly from rates
    """

    index: int
    name: str
    grid: Dim
    block: Dim
    device: int
    compute_capability: str
    duration_ns: int | None
    flops_by_type: Mapping[str, int]
    flops: int | None
    dram_bytes: int | None
    arithmetic_intensity: float | None
    tensor_active_pct: float | None
    nvtx: tuple[NvtxRange, ...]
    lacking: tuple[str, ...]
    derived: tuple[str, ...] = ()


def counter_rows(launches: Sequence[KernelCounters]) -> list[CounterRow]:
    return [_row(launch) for launch in launches]


def _row(launch: KernelCounters) -> CounterRow:
    common = table().common
    by_type, lacking_flops = flops_by_type(launch)
    flops = None if lacking_flops else sum(by_type.values())
    dram, lacking_dram = dram_bytes(launch)
    duration, tensor = (launch.metrics.get(name) for name in (common.duration, common.tensor_active))
    absent = [name for name in (common.duration, common.tensor_active) if name not in launch.metrics]
    return CounterRow(
        index=launch.index,
        name=launch.name,
        grid=launch.grid,
        block=launch.block,
        device=launch.device,
        compute_capability=launch.compute_capability,
        duration_ns=None if duration is None else round(duration),
        flops_by_type=by_type,
        flops=flops,
        dram_bytes=dram,
        arithmetic_intensity=flops / dram if flops is not None and dram else None,
        tensor_active_pct=None if tensor is None else round(tensor, 2),
        nvtx=launch.nvtx,
        lacking=(*lacking_flops, *lacking_dram, *absent),
        derived=_derived(launch),
    )


def _derived(launch: KernelCounters) -> tuple[str, ...]:
    common, chip = table().common, table().chips.get(launch.compute_capability)
    used = [metric for weights in (chip.flops.values() if chip else ()) for metric in weights]
    whole = all(launch.total(metric) is not None for metric in common.dram)
    return tuple(
        metric for metric in (*used, *(common.dram if whole else (common.dram_total,))) if metric in launch.derived
    )


def flops_by_type(launch: KernelCounters) -> tuple[dict[str, int], list[str]]:
    """FLOP of every type with a count (METRICS: an FMA is two), and the metrics that the report lacks for the others."""
    chip = table().chips.get(launch.compute_capability)
    if chip is None:
        told = launch.compute_capability
        return {}, [f"a table of the FLOP counters of compute capability {told}" if told else "the compute capability"]
    counted, lacking = {}, []
    for kind, weights in chip.flops.items():
        totals = {metric: launch.total(metric) for metric in weights}
        lacking += [metric for metric, total in totals.items() if total is None]
        if None not in totals.values():
            counted[kind] = sum(round(total) * weights[metric] for metric, total in totals.items() if total is not None)
    return {kind: count for kind, count in counted.items() if count}, lacking


def dram_bytes(launch: KernelCounters) -> tuple[int | None, list[str]]:
    """Bytes read from and written to DRAM, or None and the metrics that would tell."""
    common = table().common
    parts = [launch.total(metric) for metric in common.dram]
    if None not in parts:
        return sum(round(part) for part in parts if part is not None), []
    whole = launch.total(common.dram_total)
    if whole is not None:
        return round(whole), []
    return None, [metric for metric, part in zip(common.dram, parts, strict=True) if part is None]


def total_flops(launches: Sequence[KernelCounters]) -> tuple[dict[str, int], tuple[str, ...]]:
    """FLOP by type summed over launches, and the metrics that any of them lacks: if one is missing there is no sum."""
    totals: dict[str, int] = {}
    lacking: dict[str, None] = {}
    for launch in launches:
        by_type, absent = flops_by_type(launch)
        lacking.update(dict.fromkeys(absent))
        for kind, flop in by_type.items():
            totals[kind] = totals.get(kind, 0) + flop
    return totals, tuple(lacking)


def machine_numbers(launches: Sequence[KernelCounters]) -> dict[str, float]:
    """What tensor cores, copy engine and L2 cache did in these launches together; empty if any launch lacks one of the
    counters.

    Names are those of the chip's `machine` table, and `l2_bytes`; `tensor_active` is the share of the elapsed cycles, of each launch
    weighted by its duration.
    """
    common = table().common
    chips = [table().chips.get(launch.compute_capability) for launch in launches]
    if not launches or any(chip is None or not chip.machine for chip in chips):
        return {}
    machine, sharing = (chips[0].machine, chips[0].sharing) if chips[0] else ({}, {})
    numbers = _sums(launches, {**machine, "l2_bytes": common.l2})
    active = _active(launches)
    return (
        {} if numbers is None or active is None else {**numbers, "tensor_active": active, **_shared(launches, sharing)}
    )


def _sums(launches: Sequence[KernelCounters], names: Mapping[str, str]) -> dict[str, float] | None:
    """Each counter over all launches; None where one of them lacks one."""
    counted = {name: [launch.total(metric) for launch in launches] for name, metric in names.items()}
    if any(value is None for values in counted.values() for value in values):
        return None
    return {name: float(round(sum(value or 0 for value in values))) for name, values in counted.items()}


def _active(launches: Sequence[KernelCounters]) -> float | None:
    common = table().common
    times = [launch.metrics.get(common.duration) for launch in launches]
    shares = [launch.metrics.get(common.tensor_active) for launch in launches]
    if None in times or None in shares:
        return None
    weighted = zip(times, shares, strict=True)
    active = sum(time * share for time, share in weighted if time is not None and share is not None)
    return active / 100 / max(1.0, sum(time or 0 for time in times))


def _shared(launches: Sequence[KernelCounters], names: Mapping[str, str]) -> dict[str, float]:
    """Of shared memory, and the share of its wavefronts that are bank conflicts; empty where a launch lacks one of the counters."""
    numbers = _sums(launches, names)
    if not numbers:
        return {}
    wavefronts, conflicts = numbers.pop("shared_wavefronts"), numbers.pop("shared_conflicts")
    return {**numbers, "bank_conflicts": conflicts / max(1.0, wavefronts)}
