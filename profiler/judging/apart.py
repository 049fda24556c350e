"""Two variants that ran in sessions of their own: how much less may be said of their times than of those that took turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from ..evidence import Finding, Speedup, VariantEvidence
from .bootstrap import median_interval, noise_floor
from .gain import whole_median

SESSIONS = 0.08
"""By how much a median may move from one session to the next though nothing was changed: 49 medians of unchanged variants
of 21 pairs, captured on H200s minutes to days apart, moved by 4.0 % at most but for one, whose power was capped: by 6.4 % within two minutes
(tests/profiler/judging/test_apart.py)."""


@dataclass(frozen=True, slots=True)
class Apart:
    """What is known of two sessions: `reasons` are why times of the one may not be held against those of the other at all."""

    reasons: tuple[Finding, ...]

    @property
    def margin(self) -> float:
        return SESSIONS


def speedup_apart(before: VariantEvidence, after: VariantEvidence) -> Speedup | None:
    """By which factor `after` is faster, by the traces' times: the ends of the interval are those of both medians at their worst,
    and as far out again as medians move between sessions. None where the runs are too few."""
    ours, theirs = (_times(one) for one in (before, after))
    if min(len(ours), len(theirs)) < _LEAST or not median(theirs):
        return None
    (low, high), (least, most) = median_interval(ours), median_interval(theirs)
    return Speedup(
        value=median(ours) / median(theirs),
        low=low / most / (1 + SESSIONS),
        high=high / least * (1 + SESSIONS),
        baseline_ns=whole_median(ours),
        optimized_ns=whole_median(theirs),
        n_baseline=len(ours),
        n_optimized=len(theirs),
        noise_floor=max(noise_floor(one, np.arange(len(one))) for one in (ours, theirs)),
        source="trace",
        rounds=APART,
    )


_LEAST = 4
"""As for variants in turn: fewer runs have no noise floor."""
APART = 1
"""Rounds of variants that never took turns."""


def _times(variant: VariantEvidence) -> Sequence[int]:
    return [iteration.end - iteration.start for iteration in variant.iterations]
