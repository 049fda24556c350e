"""Achieved rates and their share of the measured roofline (docs/metrics.md, "Work and rates")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

IMPLAUSIBLE = 1.05
"""More of the roofline than this is an error of the count, the time or the ceiling: never a success, never clamped."""

BANDWIDTH = "copy"
CEILING_OF = {
    "fp32": "fp32",
    "tensor_bf16": "bf16",
    "tensor_fp16": "fp16",
    "tensor_tf32": "tf32",
    "tensor_fp8": "fp8",
}
"""Which ceiling of `aisp-prof calibrate` bounds which type of FLOP; the others have none."""


@dataclass(frozen=True, slots=True)
class Achieved:
    """What some kernels achieved in `busy_ns` of a trace. None is "not known", with its reason in `lacking`.

    flop_per_s, bytes_per_s   counted work / busy time
    intensity                 FLOP/B; None without DRAM traffic
    ceiling_flop_per_s        min(compute ceiling, intensity x bandwidth ceiling)
    bound                     which of the two it is: "compute" or "memory"
    """

    flops: int
    dram_bytes: int
    busy_ns: int
    ceiling_flop_per_s: float | None
    bound: str
    lacking: tuple[str, ...]

    @property
    def flop_per_s(self) -> float:
        return self.flops / self.busy_ns * 1e9

    @property
    def bytes_per_s(self) -> float:
        return self.dram_bytes / self.busy_ns * 1e9

    @property
    def intensity(self) -> float | None:
        return self.flops / self.dram_bytes if self.dram_bytes else None

    @property
    def of_roofline(self) -> float | None:
        return self.flop_per_s / self.ceiling_flop_per_s if self.ceiling_flop_per_s else None

    @property
    def implausible(self) -> bool:
        return self.of_roofline is not None and self.of_roofline > IMPLAUSIBLE


def achieved(flops: Mapping[str, int], dram_bytes: int, busy_ns: int, ceilings: Mapping[str, float]) -> Achieved:
    """Rates and their ceiling.

    Args:
        flops: by type, as `rows.flops_by_type` names them.
        dram_bytes: read and written.
        busy_ns: busy time of the same work in the nsys trace, above 0; never ncu's serialised time.
        ceilings: of `aisp-prof calibrate`, name -> rate; "copy" in bytes a second, the others in FLOP a second.
    """
    work = {kind: count for kind, count in flops.items() if count}
    total = sum(work.values())
    lacking = tuple(f"a ceiling of {kind}" for kind in work if CEILING_OF.get(kind) not in ceilings)
    if BANDWIDTH not in ceilings:
        lacking += ("a ceiling of the bandwidth",)
    if lacking or not total:
        return Achieved(total, dram_bytes, busy_ns, None, "", lacking)
    compute = compute_ceiling(work, ceilings)
    memory = total / dram_bytes * ceilings[BANDWIDTH] if dram_bytes else float("inf")
    bound = "compute" if compute <= memory else "memory"
    return Achieved(total, dram_bytes, busy_ns, min(compute, memory), bound, ())


def compute_ceiling(flops: Mapping[str, int], ceilings: Mapping[str, float]) -> float:
    """FLOP a second when each type runs at its own ceiling, one after the other: the harmonic mean weighted by work."""
    seconds = sum(count / ceilings[CEILING_OF[kind]] for kind, count in flops.items())
    return sum(flops.values()) / seconds
