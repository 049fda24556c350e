"""What claims hold metrics against that was measured too: the device's ceilings, a variant's floor, the bound of its engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from ...errors import UsageError
from ..manifest import Ceiling, Ceilings
from .bootstrap import median_interval

CEILING, FLOOR, TIME, OF_FLOOR, BOUND = "ceiling", "floor", "time", "of_floor", "bound"

OF_PAIR: Mapping[str, str] = {TIME: "ns", FLOOR: "ns", OF_FLOOR: "ratio"}
"""Metrics of a pair's variant that no trace alone can tell, with their units: `time` is that of its iterations, from the trace or,
where tracing changed the times, from the bare run."""

_LINK = ("h2d", "d2h", "h2d_both", "d2h_both", "h2d_pageable", "d2h_pageable")
_MATRICES = ("bf16", "fp16", "tf32", "fp32", "fp8")
CEILINGS: Mapping[str, str] = {
    **dict.fromkeys(("copy", "read", *_LINK), "B/s"),
    **dict.fromkeys((*_MATRICES, *(f"{name}_sustained" for name in _MATRICES)), "FLOP/s"),
}
"""What `aisp-prof calibrate` measures, with the unit in claims: device memory, the link each way alone (`h2d`) and while both ways run
(`h2d_both`), matrix products."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Self:
        """A number that someone wrote."""
        return cls(value, value, value)

    def times(self, factor: float) -> Estimate:
        """So many times as much; `factor` is above 0."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    @property
    def known(self) -> bool:
        """Whether it has no spread."""
        return self.low == self.high


def ceiling_name(metric: str) -> str:
    """`ceiling(h2d)` -> `h2d`; "" of any other metric."""
    return metric[len(CEILING) + 1 : -1] if metric.startswith(f"{CEILING}(") else ""


def ceiling_unit(metric: str) -> str:
    """The unit of `ceiling(NAME)` in claims.

    Raises:
        UsageError: nothing of that name is measured; the nearest is suggested.
    """
    name = ceiling_name(metric)
    if name not in CEILINGS:
        near = get_close_matches(name, CEILINGS, 1, 0.5)
        raise UsageError(
            f"no ceiling is called {name!r}" if name else "the ceiling of what?",
            f"did you mean {near[0]}?" if near else f"there are: {', '.join(CEILINGS)}",
        )
    return CEILINGS[name]


def ceilings_of(calibration: Ceilings | None) -> dict[str, Estimate]:
    """Name -> rate of what `calibrate` stored, each with the interval of its median over its runs, but no wider than the slowest and
    the fastest of them: of what was never reached a ceiling says nothing. Of one without runs, as it was stored."""
    return {one.name: _rate(one) for one in (calibration.ceilings or ())} if calibration else {}


def _rate(one: Ceiling) -> Estimate:
    times = one.times_ns
    if not times or not one.work:
        return Estimate.exactly(float(one.value))
    low, high = median_interval(times)
    low, high = max(low, min(times)), min(high, max(times))
    work = float(one.work) * 1e9
    return Estimate(float(one.value), work / high, work / low)
