"""Intervals for medians and their ratio: a seeded bootstrap, the same for everyone who repeats it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEED = 20_000
RESAMPLES = 10_000
CONFIDENCE = 0.95
LEAST_RUNS = 6
"""Below six runs no 95 % interval for a median exists without assumptions: 1 - 2 * 0.5**n >= 0.95 needs n >= 6."""

_AT_ONCE = 1 << 24
"""Numbers that are drawn at once: 128 MiB."""


def _medians(values: Sequence[float], generator: np.random.Generator) -> NDArray[np.float64]:
    """Medians of `RESAMPLES` resamples with replacement, shape (RESAMPLES,)."""
    sample, found = np.asarray(values, np.float64), np.empty(RESAMPLES)
    step = max(1, _AT_ONCE // len(sample))
    for low in range(0, RESAMPLES, step):  # the generator goes on where it stopped: the parts draw what the whole would
        part = found[low : low + step]
        part[:] = np.median(sample[generator.integers(0, len(sample), (len(part), len(sample)))], axis=1)
    return found


def _bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the median (Efron & Tibshirani 1993, ch. 13); needs at least one value."""
    return _bounds(_medians(values, np.random.default_rng(SEED)))


def ratio_interval(numerator: Sequence[float], denominator: Sequence[float]) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of median(numerator) / median(denominator), resampled independently."""
    generator = np.random.default_rng(SEED)
    return _bounds(_medians(numerator, generator) / _medians(denominator, generator))


def noise_floor(baseline: Sequence[float]) -> float:
    """How far from 1 baseline against itself may fall: its even runs against its odd ones, as a speedup would be.

    The runs must be in the order in which they were made. In the order A B B A A B B A … the even and the odd runs of A
    lie as far apart in time as A and B do, so drift acts on both comparisons alike. Needs four runs or more.
    """
    low, high = ratio_interval(baseline[0::2], baseline[1::2])
    return max(abs(low - 1), abs(high - 1))
