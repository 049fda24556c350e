"""Totals from rates: `ncu --set roofline` counts totals but stores them per cycle or per second.

By ncu's definition `X.sum.per_second` is `X.sum` by `gpu__time_duration.sum`, and `X.sum.per_cycle_elapsed` of a counter of
`unit` is `X.sum` by `unit__cycles_elapsed.avg`, also where they were counted in different passes: seen with ncu 2025.3.1 on
an H200, where both stood in one report for eight kernels, to the last bit of a double. A count is a whole number, so a
value rounded in print is still exact if no other whole number lies within the rounding. A tensor counter is the sum of
its
parts with and without sparsity.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import float_info

_TIME = "gpu__time_duration.sum"
_PARTS = ("_sparsity_off.sum", "_sparsity_on.sum")
_SECTOR = 32
"""Bytes of DRAM move in sectors of 32 (NVIDIA's metrics reference; so do all that were counted here)."""
_MOST_UNSURE = 0.4
"""As a share of the step from one count to the next: below one half, only one count is near enough."""

_Known = tuple[float, float]
"""A number, and how far it may be from the true one."""


def exact_totals(metrics: Mapping[str, float], unsure: Mapping[str, float] | None = None) -> dict[str, float]:
    """Every `X.sum` that is not in `metrics` but follows exactly from a rate in it.

    Args:
        metrics: by ncu's names, in base units.
        unsure: how far rounding in print may have moved a metric; 0 for those not named.
    """
    report = _Report(metrics, unsure or {})
    totals: dict[str, float] = {}
    for name in metrics:
        for suffix in (".per_second", ".per_cycle_elapsed"):
            total = name.removesuffix(suffix)
            if total == name or not total.endswith(".sum") or total in metrics or total in totals:
                continue
            value = report.total(name, total)
            if value is not None:
                totals[total] = value
    return totals | _of_parts({**totals, **metrics})


def _of_parts(totals: Mapping[str, float]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name in totals:
        whole = name.removesuffix(_PARTS[0])
        if whole != name and f"{whole}.sum" not in totals and whole + _PARTS[1] in totals:
            sums[f"{whole}.sum"] = sum(totals[whole + part] for part in _PARTS)
    return sums


class _Report:
    def __init__(self, metrics: Mapping[str, float], unsure: Mapping[str, float]) -> None:
        self._metrics, self._unsure = metrics, unsure

    def total(self, rate: str, total: str) -> int | None:
        """The whole number that a rate stands for; None where it is unknown or ambiguous."""
        known = self._known(rate)
        if known == (0, 0):
            return 0
        by = self._seconds() if rate.endswith(".per_second") else self._cycles(total.partition("__")[0])
        step = _SECTOR if total.startswith("dram__bytes") else 1
        return None if known is None or by is None else _whole(_product(known, by), step)

    def _known(self, name: str) -> _Known | None:
        return (self._metrics[name], self._unsure.get(name, 0.0)) if name in self._metrics else None

    def _seconds(self) -> _Known | None:
        """The time is a whole number of ns, so one printed with decimals is still exact."""
        time = self._known(_TIME)
        return None if time is None or _whole(time) is None else (round(time[0]) / 1e9, 0.0)

    def _cycles(self, unit: str) -> _Known | None:
        """Elapsed cycles of a unit, averaged over its instances; where only the frequency is stored, frequency times time."""
        known = self._known(f"{unit}__cycles_elapsed.avg")
        frequency, seconds = self._known(f"{unit}__cycles_elapsed.avg.per_second"), self._seconds()
        if known is None and frequency is not None and seconds is not None:
            known = _product(frequency, seconds)
        return known


def _product(a: _Known, b: _Known) -> _Known:
    value = a[0] * b[0]
    return value, abs(a[0]) * b[1] + abs(b[0]) * a[1] + a[1] * b[1] + 2 * float_info.epsilon * abs(value)


def _whole(known: _Known, step: int = 1) -> int | None:
    """The one multiple of `step` that a number can stand for, None if there is none or more than one."""
    value, unsure = known
    nearest = step * round(value / step)
    return nearest if unsure < _MOST_UNSURE * step and abs(value - nearest) <= unsure else None
