"""What every judge decides alike: an interval against limits, and which of several devices a claim fares worst on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..evidence import ClaimResult, Verdict


def decided(low: float, high: float, holds: Callable[[float], bool], limits: Iterable[float]) -> Verdict:
    """An interval against what its values shall meet: wholly on the good side PROVEN, wholly on the bad one REFUTED, on both
    UNPROVEN. `limits` are where one side ends and the other begins."""
    at_low, at_high = holds(low), holds(high)
    if at_low and at_high:
        return Verdict.PROVEN
    if at_low or at_high or any(low <= limit <= high for limit in limits):
        return Verdict.UNPROVEN
    return Verdict.REFUTED


def badness(claim: ClaimResult) -> tuple[int, float]:
    """Orders by verdict, then by how far the measured value lies towards the wrong side: operations of different GPUs are never
    added, and a claim is that of the GPU on which it fares worst."""
    value = claim.measured or 0.0
    towards = {">": -value, "<": value}.get(claim.comparison[0], abs(value - (claim.threshold or 0.0)))
    return list(Verdict).index(claim.verdict), towards
