"""Achieved rates and their share of the measured roofline (docs/metrics.md, "Work and rates")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

IMPLAUSIBLE = 1.05
"""A larger share of the roofline than this is an error in the count, the time or the ceiling: never a success, never
clamped."""

BANDWIDTHS = ("copy", "read")
"""The memory roof is the faster of the two: reading alone is legitimately faster than reading and writing."""

MINOR = 0.05
"""As long as types without a ceiling make up no more than this share of the FLOPs, it is clear which roof is lower."""

CEILING_OF = {
    "fp32": "fp32",
    "tensor_bf16": "bf16",
    "tensor_fp16": "fp16",
    "tensor_tf32": "tf32",
    "tensor_fp8": "fp8",
}
"""Which ceiling of `aisp-prof calibrate` bounds which type of FLOP; the others have none, and no roof is drawn for them."""


@dataclass(frozen=True, slots=True)
class Achieved:
    """What some kernels achieved in `busy_ns` of a trace. None is "not known", with its reason in `lacking`.

    flop_per_s, bytes_per_s   counted work / busy time
    intensity                 FLOP/B; None without DRAM traffic
    ceiling_flop_per_s        min(compute ceiling, intensity x bandwidth ceiling)
    bound                     which of the two it is: "compute" or "memory"; "" where too much has no ceiling to tell
    without_ceiling           types of FLOP for which no ceiling was measured. They are taken to need no time at all, so
                              the ceiling errs on the high side, and the share on the low side
    """

    flops: int
    dram_bytes: int
    busy_ns: int
    ceiling_flop_per_s: float | None
    bound: str
    lacking: tuple[str, ...]
    without_ceiling: tuple[str, ...] = ()

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
        ceilings: of `aisp-prof calibrate`, name -> rate; `BANDWIDTHS` in bytes a second, the others in FLOP a second.
    """
    work = {kind: count for kind, count in flops.items() if count}
    total, without = sum(work.values()), tuple(kind for kind in work if CEILING_OF.get(kind) not in ceilings)
    peak = bandwidth(ceilings)
    if peak is None or not total:
        lacking = ("a ceiling of the bandwidth",) if peak is None else ()
        return Achieved(total, dram_bytes, busy_ns, None, "", lacking, without)
    compute = compute_ceiling(work, ceilings)
    memory = total / dram_bytes * peak if dram_bytes else math.inf
    if math.isinf(lower := min(compute, memory)):
        return Achieved(
            total, dram_bytes, busy_ns, None, "", tuple(f"a ceiling of {kind}" for kind in without), without
        )
    unclear = sum(work[kind] for kind in without) > MINOR * total
    bound = "" if unclear else "compute" if compute <= memory else "memory"
    return Achieved(total, dram_bytes, busy_ns, lower, bound, (), without)


def bandwidth(ceilings: Mapping[str, float]) -> float | None:
    """The memory roof in bytes a second; None where it was not measured."""
    return max((ceilings[name] for name in BANDWIDTHS if name in ceilings), default=None)


def compute_ceiling(flops: Mapping[str, int], ceilings: Mapping[str, float]) -> float:
    """FLOP a second when all units work at once, each type at its own ceiling; what takes longest decides.

    Formats of the tensor cores take turns on these, and every other type has units of its own. In turn one after the other would be
    no upper bound: a kernel may hide its exponentials under its products, and should. A type without a ceiling takes no time;
    infinite where none has one.
    """
    seconds: dict[str, float] = {}
    for kind, count in flops.items():
        if (name := CEILING_OF.get(kind, "")) in ceilings:
            unit = "tensor" if kind.startswith("tensor_") else kind
            seconds[unit] = seconds.get(unit, 0.0) + count / ceilings[name]
    longest = max(seconds.values(), default=0.0)
    return sum(flops.values()) / longest if longest else math.inf
