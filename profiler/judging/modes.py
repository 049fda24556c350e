"""Whether runs fall into two groups: Hartigan's dip test, which asks of no distribution more than that it has one peak.

The dip is the largest distance between the runs' distribution and the nearest one with a single peak (Hartigan & Hartigan 1985). Of
all distributions with one peak the uniform one dips most, so what uniform runs exceed once in a thousand is exceeded by any others
no more often: skewed times, and times with a long tail, are no groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_RUNS: Final = 10
"""Of fewer nothing is said."""

MOST_RUNS: Final = 200
"""Of more, so many of their quantiles are looked at; two groups stay two."""

FALSE_ALARMS: Final = 0.001
"""How often at most runs with one peak are said to have two."""

_CRITICAL: Final = {10: 0.5712, 15: 0.5998, 20: 0.6197, 30: 0.6432, 50: 0.6628, 100: 0.6914, 200: 0.7042}
"""√n · dip that n uniform runs exceed once in a thousand, of 300,000 to 2,000,000 samples each; between two n off the line."""

LEAST_APART: Final = 0.02
"""Groups that are nearer to each other than this share of the lower one's median matter to nobody: clocks, and the steps in which times
are counted, make such."""


_COARSEST_NS: Final = 1_000.0
"""CUDA events count in half microseconds, torch.profiler in whole ones."""


@dataclass(frozen=True, slots=True)
class Modes:
    """Two groups of runs: how many are in the lower one, both medians in the runs' unit, and how often runs change from one to the
    other in the order in which they were made."""

    lower: int
    low: float
    high: float
    changes: int


def modes_of(times: Sequence[float]) -> Modes | None:
    """The groups of runs, in ns and in the order in which they were made; None where they may well have one peak, or are too few."""
    if len(times) < LEAST_RUNS or dip(_apart(times)) * min(len(times), MOST_RUNS) ** 0.5 <= critical(len(times)):
        return None
    ordered = sorted(times)
    at = _split(np.asarray(ordered, np.float64))
    low, high = median(ordered[:at]), median(ordered[at:])
    if high - low < LEAST_APART * low:
        return None
    in_high = [time >= ordered[at] for time in times]
    return Modes(at, low, high, sum(one != two for one, two in pairwise(in_high)))


def _apart(times: Sequence[float]) -> Floats:
    """The runs, sorted, with equal ones spread over the step in which their clock counts, which else would look like groups."""
    values, counts = np.unique(np.asarray(times, np.float64), return_counts=True)
    step = min(_COARSEST_NS, np.diff(values).min(initial=_COARSEST_NS))
    place = np.concatenate([(np.arange(count) + 0.5) / count - 0.5 for count in counts])
    return np.sort(np.repeat(values, counts) + step * place)


def critical(n: int) -> float:
    """√n · dip that so many runs with one peak exceed with a probability of at most `FALSE_ALARMS`."""
    return float(np.interp(min(n, MOST_RUNS), list(_CRITICAL), list(_CRITICAL.values())))


def _split(ordered: Floats) -> int:
    """Where the runs, sorted, fall into the two groups that vary least within (the first of the second group)."""
    n = len(ordered)
    count = np.arange(1, n)
    below = np.cumsum(ordered)[:-1]
    between = (below - count * ordered.mean()) ** 2 / (count * (n - count))
    return int(between.argmax()) + 1


def dip(times: Sequence[float] | Floats) -> float:
    """The distance to the nearest distribution with one peak, to 1e-6.

    The runs' own distribution function is a staircase. A function with one peak is convex below it and concave above, and may jump
    at it; one lies within a distance d of the staircase where it passes each step no lower than its top less d, and no higher than
    its foot and d. So d is found by halving.
    """
    ordered = np.sort(np.asarray(times, np.float64))
    if len(ordered) > MOST_RUNS:
        ordered = np.quantile(ordered, (np.arange(MOST_RUNS) + 0.5) / MOST_RUNS)
    x, counts = np.unique(ordered, return_counts=True)
    tops = np.cumsum(counts) / len(ordered)
    low, high = 0.5 / len(ordered), 0.25
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if _one_peak(x, tops, middle) else (middle, high)
    return high


def _one_peak(x: Floats, tops: Floats, d: float) -> bool:
    """Whether such a function lies within `d`: at some step its convex part need not pass the concave one.

    The concave part, turned around, is convex.
    """
    feet = np.concatenate(([0.0], tops[:-1]))
    below = np.maximum(_lowest(x, feet, tops, d), feet - d)
    above = 1 - np.maximum(_lowest(-x[::-1], 1 - tops[::-1], 1 - feet[::-1], d), 1 - tops[::-1] - d)[::-1]
    fits = (below <= feet + d) & (above >= tops - d) & (below <= above)
    return bool(fits.any())


def _lowest(x: Floats, feet: Floats, tops: Floats, d: float) -> Floats:
    """How low a growing convex function can be at each x that stayed within `d` before it; infinite where none did.

    Such a function grows, beyond any two points, at least as fast as between them: so the line from as high as it may be at one to as
    low as it may be at the next bounds it from below further on.
    """
    least, most = tops - d, feet + d
    apart = x[:, None] - x[None, :]
    earlier = apart > 0
    slopes = np.where(earlier, (least[:, None] - most[None, :]) / np.where(earlier, apart, 1.0), 0.0).max(
        axis=1, initial=0.0
    )
    held = np.where(earlier, least[None, :] + slopes[None, :] * apart, -np.inf).max(axis=1, initial=-np.inf)
    broken = np.concatenate(([False], np.logical_or.accumulate(np.maximum(held, least) > most)[:-1]))
    return np.where(broken, np.inf, held)
