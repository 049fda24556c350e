"""Rates of a pair as if they had been counted, under ceilings as if they had been measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aisp_prof.profiler.counters.roofline import achieved
from aisp_prof.profiler.evidence import Evidence, Finding, KernelRates, Rates

CEILINGS = {
    "copy": 4.284e12, "read": 4.388e12, "bf16": 803e12, "bf16_sustained": 687e12, "fp16": 765e12,
    "tf32": 415e12, "fp32": 51.3e12, "fp8": 1517e12, "h2d": 55e9,
}  # fmt: skip
MATRIX = ("bf16", "bf16_sustained", "fp16", "tf32", "fp32", "fp8")


def kernel(name: str, flops: Mapping[str, int], moved: int, ns: int, launches: int = 1) -> KernelRates:
    found = achieved(flops, moved, ns, CEILINGS)
    return KernelRates(
        name, launches, flops, found.flops, moved, 2 * moved, ns, found.intensity, found.flop_per_s, found.bytes_per_s,
        found.ceiling_flop_per_s, found.bound, found.of_roofline,
    )  # fmt: skip


def counted(flops: Mapping[str, int], moved: int, ns: int, kernels: Sequence[KernelRates] = ()) -> Rates:
    found = achieved(flops, moved, ns, CEILINGS)
    return Rates(
        "counted", (), flops, found.flops, found.flops, 1.0, moved, 2 * moved, moved, ((found.flops, moved),) * 2, (ns,) * 20,
        found.flop_per_s, found.flop_per_s, found.intensity, found.bytes_per_s, found.ceiling_flop_per_s, found.bound,
        found.without_ceiling, found.of_roofline, tuple(kernels),
    )  # fmt: skip


def declared(flops: int, moved: int, ns: int, *reasons: Finding) -> Rates:
    rate = flops / ns * 1e9
    return Rates(
        "declared", reasons, {}, None, flops, None, None, None, moved, (), (ns,) * 20, rate, rate, None, None, None, "", (),
        None, (),
    )  # fmt: skip


MEMORY = {
    "baseline": counted({"fp32": 17_179_869_184}, 68_300_000_000, 16_020_000),
    "optimized": counted({"fp32": 17_179_869_184, "half": 536_870_912}, 4_271_000_000, 1_022_000),
}
"""One pass against sixteen: both at the roof of memory."""

PRODUCTS = {
    "baseline": counted({"tensor_bf16": 1_099_500_000_000}, 1_357_000_000, 1_463_000),
    "optimized": counted({"tensor_bf16": 1_099_500_000_000}, 1_357_000_000, 1_427_000),
}
"""The same work by two ways: their marks lie on each other."""


def with_rates(
    evidence: Evidence, rates: Mapping[str, Rates], ceilings: Mapping[str, float] = CEILINGS, tier: str = "counted"
) -> Evidence:
    rows = [
        {"name": name, "unit": "flop/s" if name in MATRIX else "byte/s", "value": value}
        for name, value in ceilings.items()
    ]
    told = {"tier": tier, "files": [], "iterations": 2, "reason": "", "mend": ""}
    manifest = evidence.manifest.changed(
        profile="roofline", counters=told, ceilings={"ceilings": rows, "calibration": None}
    )
    return replace(evidence, manifest=manifest, rates=rates)
