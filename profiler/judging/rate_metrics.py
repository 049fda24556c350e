"""The metrics of work and rates in the claim language: `optimized.achieved_flops >= 700 TFLOP/s`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ..evidence import Finding, Rates


@dataclass(frozen=True, slots=True)
class RateMetric:
    """`read` gives the values of a counted tier: one for every iteration that ncu counted or, of rates, that nsys timed."""

    unit: str
    read: Callable[[Rates], tuple[float | None, ...]]
    by_interval: bool = False


def _flops(rates: Rates) -> tuple[float | None, ...]:
    return tuple(flops for flops, _ in rates.counted)


def _bytes(rates: Rates) -> tuple[float | None, ...]:
    return tuple(moved for _, moved in rates.counted)


def _intensity(rates: Rates) -> tuple[float | None, ...]:
    return tuple(flops / moved if moved else None for flops, moved in rates.counted)


def _agreement(rates: Rates) -> tuple[float | None, ...]:
    declared = rates.flops_declared
    return tuple(flops / declared if declared else None for flops, _ in rates.counted)


def _achieved(rates: Rates) -> tuple[float | None, ...]:
    work = rates.flops_counted
    return () if work is None else tuple(work * 1e9 / ns if ns else None for ns in rates.busy_ns)


def _dram_rate(rates: Rates) -> tuple[float | None, ...]:
    moved = rates.dram_bytes
    return () if moved is None else tuple(moved * 1e9 / ns if ns else None for ns in rates.busy_ns)


def _of_roofline(rates: Rates) -> tuple[float | None, ...]:
    roof = rates.ceiling
    return () if not roof else tuple(None if rate is None else rate / roof for rate in _achieved(rates))


def _machine(rates: Rates, name: str) -> tuple[float | None, ...]:
    return tuple(one.get(name) for one in rates.machine)


_MACHINE = {
    "hgmma_flops": "FLOP",
    "hmma_flops": "FLOP",
    "utchmma_flops": "FLOP",
    "tma_bytes": "B",
    "multicast_bytes": "B",
    "l2_bytes": "B",
    "tensor_active": "ratio",
    "dsmem_operations": "count",
    "dsmem_bytes": "B",
    "cp_async_operations": "count",
    "bank_conflicts": "ratio",
    "changed_instructions": "count",
}
"""Of what tensor cores, copy engine, shared memory and L2 cache did, and of the code (docs/counters.md), with their units."""

RATE_METRICS: Mapping[str, RateMetric] = {
    "flops": RateMetric("FLOP", _flops),
    "dram_bytes": RateMetric("B", _bytes),
    "arithmetic_intensity": RateMetric("FLOP/B", _intensity),
    "flops_agreement": RateMetric("ratio", _agreement),
    "achieved_flops": RateMetric("FLOP/s", _achieved, by_interval=True),
    "dram_rate": RateMetric("B/s", _dram_rate, by_interval=True),
    "of_roofline": RateMetric("ratio", _of_roofline, by_interval=True),
    **{name: RateMetric(unit, partial(_machine, name=name)) for name, unit in _MACHINE.items()},
}
"""Name -> definition (docs/metrics.md, "Work and rates"). All are of the counted tier: a formula proves no rate."""

UNITS: Mapping[str, tuple[str, float]] = {
    "GFLOP": ("FLOP", 1e9),
    "TFLOP": ("FLOP", 1e12),
    "MB": ("B", 1e6),
    "GB": ("B", 1e9),
    "GFLOP/s": ("FLOP/s", 1e9),
    "TFLOP/s": ("FLOP/s", 1e12),
    "FLOP/B": ("FLOP/B", 1.0),
}
"""Suffixes of numbers in claims about them."""


def rate_values(rates: Rates | None, metric: str) -> list[float]:
    """The values of a metric; none where one of them is not known."""
    found = () if rates is None else RATE_METRICS[metric].read(rates)
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else []


def rate_obstacles(rates: Rates | None, metric: str) -> tuple[Finding, ...]:
    """Why a claim about this metric cannot be judged; empty where it has values."""
    if rate_values(rates, metric):
        return ()
    if rates is None or not rates.reasons:
        missing = rates is not None and metric == "of_roofline"
        return (Finding("no_ceilings" if missing else "no_counters", {}),)
    return rates.reasons
