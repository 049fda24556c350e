"""Variants against each other: the speedup of two, and what each step of a staged pair added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from ..evidence import Finding, Speedup, Step, VariantEvidence
from .bootstrap import LEAST_RUNS, noise_floor, ratio_interval
from .gain import gain_ledger, whole_median
from .rounds import Rounds, rounds_of

LEAST_TO_COMPARE = 4
"""Fewer runs have no noise floor, and so no speedup."""


def speedup_of(before: VariantEvidence, after: VariantEvidence, source: str) -> Speedup | None:
    """By which factor `after` is faster; `source` is "trace" (projected intervals) or "events" (the untraced run).

    None where the runs are too few, or were not made in turn: then a drift of the clocks looks like a difference.
    """
    ours, theirs = times(before, source), times(after, source)
    if min(len(ours), len(theirs)) < LEAST_TO_COMPARE or not median(theirs):
        return None
    if not_in_turn(before, after, source):
        return None
    rounds = _rounds(before, after, source)
    low, high = ratio_interval(ours, theirs, rounds)
    return Speedup(
        value=median(ours) / median(theirs),
        low=low,
        high=high,
        baseline_ns=whole_median(ours),
        optimized_ns=whole_median(theirs),
        n_baseline=len(ours),
        n_optimized=len(theirs),
        noise_floor=max(noise_floor(ours, rounds.first), noise_floor(theirs, rounds.second)),
        source=source,
        rounds=rounds.count,
    )


def not_in_turn(before: VariantEvidence, after: VariantEvidence, source: str) -> tuple[Finding, ...]:
    """Where two variants have hardly taken turns: in fewer rounds than an interval needs, though they ran as often."""
    fewest = min(len(times(before, source)), len(times(after, source)))
    if not fewest:
        return ()
    few = _rounds(before, after, source).count < min(fewest, LEAST_RUNS)
    return (Finding("not_interleaved", {}),) if few else ()


def _rounds(before: VariantEvidence, after: VariantEvidence, source: str) -> Rounds:
    return rounds_of(*([*_begun(variant, source)] for variant in (before, after)))


def _begun(variant: VariantEvidence, source: str) -> Iterable[int]:
    """When its runs began, or where they stand in the untraced run's order."""
    return variant.untraced_at if source == "events" else (iteration.start for iteration in variant.iterations)


def steps_of(variants: Sequence[VariantEvidence], source: str, in_turn: bool = True) -> tuple[Step, ...]:
    """Every variant after the first against the one before it; none where one of them has no times.

    Without a speedup where the variants did not run `in_turn`.
    """
    if not all(times(variant, source) for variant in variants):
        return ()
    return tuple(
        Step(
            variant=after.name,
            before=before.name,
            saved_ns=whole_median(times(before, source)) - whole_median(times(after, source)),
            speedup=speedup_of(before, after, source) if in_turn else None,
            gain=gain_ledger(before.iterations, after.iterations),
        )
        for before, after in pairwise(variants)
    )


def times(variant: VariantEvidence, source: str) -> list[int]:
    """A variant's iteration times in ns, in the order in which they were measured."""
    if source == "events":
        return list(variant.untraced_ns)
    return [iteration.end - iteration.start for iteration in variant.iterations]
