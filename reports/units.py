"""Write numbers as readers expect them: sensible digits, the unit once, a true minus sign."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

NOTHING = "–"
MINUS = "−"
_NS_PER_MS = 1_000_000
_MOST_PLACES = 6
SCALES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
"""Decimal prefixes, the largest first."""

_SCALED = frozenset(("FLOP/s", "FLOP", "FLOP/B", "B", "B/s"))


def decimals(largest: float) -> int:
    """How many decimals a column of milliseconds, rates or factors needs, judged by its largest value."""
    size = abs(largest)
    return 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3 if size >= 0.1 else 4


def fixed(value: float, places: int) -> str:
    """A number with so many decimals, thousands separated, a true minus sign, and no negative zero."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{value:,.{places}f}"
    return text.replace("-", MINUS) if any(digit in text for digit in "123456789") else text.lstrip("-")


def sensible(value: float) -> str:
    """A number on its own: whole ones whole, others with as many decimals as their size calls for and no idle zeros."""
    if not math.isfinite(value) or value == int(value):
        return fixed(value, 0)
    if abs(value) < 0.001:
        return f"{value:.1e}".replace("e-0", "e-").replace(".0e", "e").replace("-", MINUS)
    return fixed(value, decimals(value)).rstrip("0").rstrip(".")


def column_ms(values: Iterable[float | None]) -> list[str]:
    """Nanoseconds as a column of milliseconds with one number of decimals for all."""
    return column([None if value is None else value / _NS_PER_MS for value in values])


def column(values: Iterable[float | None]) -> list[str]:
    """A column of numbers with one number of decimals for all; a dash for unknown values."""
    known = list(values)
    places = decimals(max((abs(value) for value in known if value is not None), default=0.0) or 1.0)
    return [NOTHING if value is None else fixed(value, places) for value in known]


def duration(ns: float) -> str:
    """A time on its own, with its unit: ns, µs, ms or s by size."""
    size = abs(ns)
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if size >= limit:
            return f"{fixed(ns / limit, decimals(ns / limit))}\u00a0{unit}"
    return f"{fixed(ns, 0)}\u00a0ns"


def signed_ms(ns: int, places: int) -> str:
    """Milliseconds with the sign always shown, except for zero."""
    text = fixed(ns / _NS_PER_MS, places)
    return f"+{text}" if ns > 0 and any(digit in text for digit in "123456789") else text


def factor(value: float, apart_from: float | None = None) -> str:
    """A ratio of times without its ×: 1.71, 12.7, 123; with as many more digits as distinguish it from another: 1.004
    from 1."""
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    if apart_from is not None and math.isfinite(value) and value != apart_from:
        while places < _MOST_PLACES and fixed(value, places) == fixed(apart_from, places):
            places += 1
    return fixed(value, places)


def factors(low: float, high: float) -> tuple[str, str]:
    """Both ends of an interval of factors, with up to two more digits where they would read the same: 1.436 and 1.441."""
    ends = [(factor(low), factor(high))]
    places = len(ends[0][1].partition(".")[2])
    ends += [(fixed(low, places + more), fixed(high, places + more)) for more in (1, 2)]
    return next((pair for pair in ends if pair[0] != pair[1]), ends[0])


def percent(ratio: float) -> str:
    """A share as per cent with one decimal, except for a plain 0 % and 100 %: 99.96 % is never shown as 100 %."""
    if not math.isfinite(ratio):
        return NOTHING
    if ratio in (0, 1):
        return f"{ratio * 100:.0f}%"
    share = Fraction(ratio) * 100
    tenths = round(share * 10)
    near_whole = (tenths == 1000 and ratio < 1) or (tenths == 0 and ratio > 0)
    return f"{fixed(float(share), 2 if near_whole else 1)}%"


def gbps(bytes_per_second: float) -> float:
    """Bytes per second as 10⁹ bytes per second."""
    return bytes_per_second / 1e9


def quantity(value: float | None, unit: str, apart_from: float | None = None) -> str:
    """A claim's value in the unit of its `ClaimResult`: "", "ns", "B/s", "x", "count", "ratio", "FLOP/s", "FLOP", "B", …

    A factor is written so that it reads differently from `apart_from`, a threshold that it is not.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if unit == "ratio":
        return percent(value)
    if unit == "x":
        return f"{factor(value, apart_from)}×"
    if unit == "ns":
        return duration(value)
    if unit == "B/s":
        return f"{fixed(gbps(value), decimals(gbps(value)))}\u00a0GB/s"
    return scaled(value, unit) if unit in _SCALED else sensible(value)


def scaled(value: float, unit: str) -> str:
    """A number by itself in a decimal unit: 786.2\u00a0TFLOP/s, 4.29\u00a0GB, 0.25\u00a0FLOP/B."""
    fitting = (pair for pair in SCALES if abs(value) >= pair[0] and unit != "FLOP/B")
    limit, prefix = next(fitting, (1.0, ""))
    return f"{fixed(value / limit, decimals(value / limit) if value else 0)}\u00a0{prefix}{unit}"


_SECONDS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))


def exactly(value: float, unit: str) -> str:
    """A number that someone wrote, with all of its digits, in the units of `quantity`: 99.5%, 1.099511627776\u00a0TFLOP.

    To 15 digits, which every number that is written so keeps when it is scaled to its base unit and back.
    """
    number = Decimal(f"{value:.15g}")
    if unit == "ratio":
        return f"{_plain(number * 100)}%"
    if unit == "ns":
        scale, name = next((one for one in _SECONDS if abs(value) >= one[0]), _SECONDS[-1])
        return f"{_plain(number / Decimal(scale))}\u00a0{name}"
    if unit in _SCALED:
        scale, prefix = next((one for one in SCALES if abs(value) >= one[0] and unit != "FLOP/B"), SCALES[-1])
        return f"{_plain(number / Decimal(scale))}\u00a0{prefix}{unit}"
    return f"{_plain(number)}×" if unit == "x" else _plain(number)


def _plain(number: Decimal) -> str:
    text = f"{number:,f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS)
