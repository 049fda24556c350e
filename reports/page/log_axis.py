"""A logarithmic axis: the position of a value on it, and the labels of its decades."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..units import SCALES, fixed
from .axis import Tick
from .labels import width


@dataclass(frozen=True, slots=True)
class LogAxis:
    """Powers of ten drawn from pixel `start` (the value 10**low) to pixel `end` (10**high)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The position of a value, to a hundredth of a pixel; values outside are drawn at the edge."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.start + (self.end - self.start) * max(0.0, min(1.0, share)), 2)

    @property
    def decade(self) -> float:
        """How many pixels a factor of ten is; negative where values grow upwards."""
        return (self.end - self.start) / (self.high - self.low)

    @property
    def decades(self) -> range:
        return range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)


def x_ticks(axis: LogAxis) -> Iterable[Tick]:
    """One label per decade; at the right edge, where labels are right-aligned instead of centred, only if there is room."""
    free = -math.inf
    for power in axis.decades:
        x, label = axis.at(10.0**power), _power(power)
        wide = 1.2 * width(label, 10.0)  # tabular digits are wider than the average letter
        left = x - wide if x > axis.end - 10 else x - wide / 2
        yield Tick(x, label if left > free else "")
        free = max(free, left + wide + 3)


def y_ticks(axis: LogAxis) -> Iterable[Tick]:
    """One label per decade, with its unit's prefix."""
    return (Tick(axis.at(10.0**power), _prefixed(power)) for power in axis.decades)


def _power(power: int) -> str:
    return fixed(10.0**power, max(0, -power))


def _prefixed(power: int) -> str:
    """10 GFLOP/s as "10 G": the unit stands above the axis."""
    value = 10.0**power
    limit, prefix = next(pair for pair in SCALES if value >= pair[0] * 0.999 or pair[0] == 1.0)
    return f"{fixed(value / limit, 0)}\u00a0{prefix}".rstrip()
