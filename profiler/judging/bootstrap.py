"""Intervals for medians and their ratio: the same for everyone who repeats them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, lgamma, log, pi, sqrt
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..arrays.types import Int64
from .rounds import Rounds

SEED = 20_000
RESAMPLES = 10_000
CONFIDENCE = 0.95
LEAST_RUNS = 6
"""Below six runs no 95 % interval for a median exists without assumptions: 1 - 2 * 0.5**n >= 0.95 needs n >= 6."""

LEAST_EFFECTIVE = 2.0
"""No series counts for fewer independent runs: below, Student's distribution has no spread to speak of."""

CAUTION = 0.9
"""By how many of its standard errors an autocorrelation is taken higher than it was seen: an underestimate makes a false claim,
an overestimate an unproven one. Chosen so that of twenty runs at 0.9 the interval covers in 94 % (benchmarks/gate_statistics.py)."""

_AT_ONCE = 1 << 22
"""Numbers that are drawn at once: 32 MiB."""
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def autocorrelation(values: Sequence[float]) -> float:
    """How alike neighbours are: the lag-1 autocorrelation of a series in the order of time; 0 where nothing varies."""
    off = np.asarray(values, np.float64) - np.mean(values)
    total = float(off @ off)
    return float(off[1:] @ off[:-1]) / total if total else 0.0


def effective_runs(values: Sequence[float]) -> float:
    """For how many independent runs a series counts at least: n (1 - r) / (1 + r), as if autoregressive of order 1.

    r is the lag-1 autocorrelation, corrected for what short series show too little (Kendall 1954: (1 + 3 r) / n) and by
    `CAUTION`. Negative ones count as none, and so does what never varies.
    """
    n = len(values)
    if min(values) == max(values):
        return n
    found = _corrected(values)
    return _worth(n, found + CAUTION * sqrt(max(0.0, 1 - found**2) / n))


def _settled(values: Sequence[float]) -> NDArray[np.float64]:
    """The series without its first runs where they lie farther from all others than those from each other: a tenth of the runs
    at most. Clocks and caches that had not settled say nothing of how alike the later runs are; as runs they count all the same."""
    series = np.asarray(values, np.float64)
    for first in range(len(series) // 10, 0, -1):
        begun, rest = series[:first], series[first:]
        apart = max(rest.min() - begun.max(), begun.min() - rest.max())
        if apart > rest.max() - rest.min():
            return rest
    return series


def _levels(series: NDArray[np.float64]) -> bool:
    """Whether a series lies on two levels: its largest gap is wider than what is on either side of it, and two runs at least
    are on the smaller side. One run apart from all others is an outlier."""
    ordered = np.sort(series)
    cut = int(np.diff(ordered).argmax()) + 1
    below, above = ordered[:cut], ordered[cut:]
    if above[0] - below[-1] <= max(below[-1] - below[0], above[-1] - above[0]):
        return False
    fewer = below if len(below) < len(above) else above
    return len(fewer) >= 2


def _corrected(values: Sequence[float]) -> float:
    series = _settled(values)
    found = autocorrelation(series.tolist())
    return found + (1 + 3 * found) / len(series)


def _worth(n: int, alike: float) -> float:
    alike = min(0.99, max(0.0, alike))
    return min(n, max(LEAST_EFFECTIVE, n * (1 - alike) / (1 + alike)))


def median_interval(values: Sequence[float], independent: bool = False) -> tuple[float, float]:
    """95 % interval of the median of the process that these runs, in the order of time, come from; at least one value.

    Between two of the ordered values, by the binomial distribution: without assumptions on how runs spread (David & Nagaraja
    2003, ch. 7.1). `independent` says that each run is. Else each end is at least that of as many runs as the autocorrelation
    seen leaves of these, which tells levels apart that a series rests on in turn (but a tenth of the runs is an outlier, no
    level); at least sqrt(n / effective) times as far from the median, by Student's distribution; and where there are two levels, such
    as two clocks, both are inside: which of them has more of the process nobody knows. Below `LEAST_RUNS` the ends are the lowest and the highest value.
    """
    ordered, n = np.sort(np.asarray(values, np.float64)), len(values)
    low, high = _between(ordered, n)
    if independent or n < LEAST_RUNS:
        return low, high
    if (effective := effective_runs(values)) < n:
        low, high = _widened(ordered, values, effective, low, high)
    if _levels(settled := _settled(values)):
        return min(low, float(settled.min())), max(high, float(settled.max()))
    return low, high


def _widened(
    ordered: NDArray[np.float64], values: Sequence[float], effective: float, low: float, high: float
) -> tuple[float, float]:
    """The ends that so few independent runs leave of an interval."""
    n = len(ordered)
    middle = float(np.median(ordered))
    seen = _between(ordered[n // 10 : n - n // 10], ceil(_worth(n, _corrected(values))))
    wider = sqrt(n / effective) * student(effective - 1) / student(n - 1)
    return min(seen[0], middle - wider * (middle - low)), max(seen[1], middle + wider * (high - middle))


def _between(ordered: NDArray[np.float64], runs: int) -> tuple[float, float]:
    """The interval that so many independent runs with these quantiles would have."""
    place = _rank(runs) * len(ordered) // runs
    return float(ordered[place]), float(ordered[len(ordered) - 1 - place])


def _rank(n: int) -> int:
    """The largest position k, from 0, of which the ordered value lies above the median in at most 2.5 %; 0 where there is none."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(n, 0, -1) / np.arange(1, n + 1)))]) - n * log(2)
    below = np.cumsum(np.exp(logs))
    return max(0, int(np.searchsorted(below, (1 - CONFIDENCE) / 2, "right")) - 1)


@lru_cache(maxsize=1024)
def student(freedom: float) -> float:
    """Student's 97.5 % quantile, by summing his density: degrees of freedom need not be whole. From 1 upwards."""
    at = np.linspace(0, 16, 16_001)
    density = (1 + at**2 / freedom) ** (-(freedom + 1) / 2)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)]) * (at[1] - at[0])
    whole = exp(lgamma(freedom / 2) - lgamma((freedom + 1) / 2)) * sqrt(freedom * pi)
    return float(np.interp(CONFIDENCE / 2, area / whole, at))


def ratio_interval(numerator: Sequence[float], denominator: Sequence[float], rounds: Rounds) -> tuple[float, float]:
    """95 % bootstrap interval of median(numerator) / median(denominator), whole rounds resampled with replacement.

    A round's runs of both stay together, so that what slows a while of the session slows both. The percentiles are
    further out than 2.5 % where rounds are few, as Student's distribution is wider than the normal one (Hesterberg 2015).
    """
    ratios = _ratios(numerator, denominator, rounds)
    wider = sqrt(rounds.count / (rounds.count - 1)) * student(rounds.count - 1) if rounds.count > 1 else _Z
    tail = NormalDist().cdf(-wider)
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _ratios(numerator: Sequence[float], denominator: Sequence[float], rounds: Rounds) -> NDArray[np.float64]:
    first, second = _Sorted.of(numerator, rounds.first), _Sorted.of(denominator, rounds.second)
    parts = [first.medians(drawn) / second.medians(drawn) for drawn in _drawn(rounds.count)]
    return np.concatenate(parts)


def _drawn(count: int) -> Iterator[NDArray[np.uint16]]:
    """How often each of `count` rounds is in each of `RESAMPLES` resamples, in parts of shape (resamples, count)."""
    return iter((_kept(count),)) if count <= 256 else _counts(count)


@lru_cache(maxsize=8)
def _kept(count: int) -> NDArray[np.uint16]:
    return np.concatenate(list(_counts(count)))


def _counts(count: int) -> Iterator[NDArray[np.uint16]]:
    generator, step = np.random.default_rng(SEED), max(1, _AT_ONCE // count)
    for low in range(0, RESAMPLES, step):  # the generator goes on where it stopped: the parts draw what the whole would
        rows = min(step, RESAMPLES - low)
        places = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(places.ravel(), minlength=rows * count).reshape(rows, count).astype(np.uint16)


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A variant's times in ascending order, with the round of each."""

    values: NDArray[np.float64]
    round: Int64

    @classmethod
    def of(cls, values: Sequence[float], rounds: Int64) -> Self:
        order = np.argsort(values, kind="stable")
        return cls(np.asarray(values, np.float64)[order], rounds[order])

    def medians(self, drawn: NDArray[np.uint16]) -> NDArray[np.float64]:
        """The median of each resample, in which each run stands as often as its round was drawn."""
        reached = np.cumsum(drawn[:, self.round], axis=1, dtype=np.uint32)
        half = reached[:, -1:]
        lower, upper = (2 * reached < half).sum(axis=1), (2 * reached <= half).sum(axis=1)
        middle: NDArray[np.float64] = (self.values[lower] + self.values[upper]) / 2
        return middle


def noise_floor(values: Sequence[float], rounds: Int64) -> float:
    """How far from 1 a variant is from itself: the median of its time in every even round over that in the odd one after it.

    In the order A B B A the even and the odd runs of A, and in blocks of a few runs whole blocks, lie at least as far apart
    in time as A and B do, so that drift acts on both comparisons alike. What varies from run to run is the interval's part,
    not the floor's. Needs two rounds or more.

    Args:
        values: its times.
        rounds: the round of each, ascending.
    """
    cuts = np.flatnonzero(np.diff(rounds)) + 1
    times = [float(np.median(part)) for part in np.split(np.asarray(values, np.float64), cuts)]
    return abs(float(np.median([a / b for a, b in zip(times[0::2], times[1::2], strict=False)])) - 1)
