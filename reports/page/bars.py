"""Bars beside a column of numbers: the axis above them, and what a change looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

from ..units import MINUS, duration, fixed, signed_ms
from .axis import round_step


@dataclass(frozen=True, slots=True)
class Rule:
    """A tick of a bars' axis: its share (0 … 1) of the width, and its label."""

    share: float
    label: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one step changed: a bar from `start` to `end` (0 … 1), its sign, and whether that is time saved."""

    start: float
    end: float
    sign: str
    saved: bool


def rules(whole: float, most: int) -> tuple[Rule, ...]:
    """Round ticks of an axis from 0 to `whole`, in the unit of the column: at most about so many parts; none without a length."""
    if whole <= 0:
        return ()
    step = next(step for parts in count(most) if (step := round_step(whole, parts)) <= whole)  # never just 0
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    steps = math.floor(whole / step + 1e-9)
    return tuple(Rule(round(index * step / whole, 4), fixed(index * step, places)) for index in range(steps + 1))


def signed_time(ns: int, places: int) -> str:
    """A change in the column's milliseconds with its sign; with a unit of its own where that would read as zero."""
    text = signed_ms(ns, places)
    if ns == 0:
        return fixed(0, 0)
    return text if any(digit in text for digit in "123456789") else f"{'+' if ns > 0 else ''}{duration(ns)}"


def change(before: float, after: float, scale: float) -> Change:
    """From one height to the next, both in the unit of `scale`; what lies outside the axis is drawn at its edge."""
    low, high = (max(0.0, min(1.0, height / scale)) for height in sorted((before, after)))
    sign = MINUS if after < before else "+" if after > before else ""
    return Change(round(low, 4), round(high, 4), sign, after <= before)
