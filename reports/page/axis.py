"""One horizontal time axis from zero, with round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

from ..units import fixed

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick on the axis: its position and the text under it."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Measure:
    """How large a picture is, in CSS pixels: its width, the gutters for labels, and how many ticks fit."""

    width: float
    left: float
    right: float
    most_ticks: int

    def axis(self, limit: int) -> Axis:
        """An axis from 0 to `limit` ns between the gutters."""
        return Axis(max(1, limit), self.left, self.width - self.left - self.right)


@dataclass(frozen=True, slots=True)
class Axis:
    """Nanoseconds 0 … limit drawn from `left` over `width` units of the SVG."""

    limit: int
    left: float
    width: float

    @property
    def right(self) -> float:
        return self.left + self.width

    def x(self, ns: float) -> float:
        """The position of a time, to a hundredth of a unit."""
        return round(self.left + self.width * ns / self.limit, 2)

    def ticks(self, most: int) -> tuple[Tick, ...]:
        """At most about `most` round ticks; the last one carries the unit."""
        scale, unit = next((pair for pair in _UNITS if self.limit >= pair[0]), _UNITS[-1])
        length = self.limit / scale
        step = next(step for parts in count(most) if (step := round_step(length, parts)) <= length)  # never just 0
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        labels = [fixed(index * step, places) for index in range(math.floor(length / step + 1e-9) + 1)]
        labels[-1] = f"{labels[-1]}\u00a0{unit}"
        return tuple(Tick(self.x(index * step * scale), label) for index, label in enumerate(labels))


def round_step(length: float, most: int) -> float:
    """The smallest of …, 1, 2, 5, 10, … that divides a length into at most `most` parts."""
    rough = length / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * (1 - 1e-9))
