"""How a pair's numbers went over its captures, with the points marked at which they changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .derive import SETTLED
from .model import Measurement
from .observe import ITERATION, Observed
from .update import observed_of

SERIES = ("baseline", "optimized", "speedup")


@dataclass(frozen=True, slots=True)
class Point:
    """One number of one capture. `change` is the share by which it departs from the captures before it; None where it does not.

    Marked is a number whose 95 % interval, widened by the noise floor, lies as a whole more than `SETTLED` from the median of
    the captures since the last mark, all of the same context.
    """

    measured: Measurement
    tier: str
    change: float | None = None

    def to_json(self) -> dict[str, Any]:
        one = self.measured
        return {
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "n": one.n,
            "noise_floor": one.noise_floor,
            "tier": self.tier,
            "change": self.change,
        }


@dataclass(frozen=True, slots=True)
class Moment:
    """One capture in the trend. `series` lacks what it does not show; `context` says what differs from the capture before."""

    capture: str
    created_utc: str
    hardware_key: str
    verdict: str
    commit: str | None
    shipped: bool
    context: tuple[str, ...]
    series: dict[str, Point]

    def to_json(self) -> dict[str, Any]:
        series = {name: self.series[name].to_json() if name in self.series else None for name in SERIES}
        return {
            "capture": self.capture,
            "created_utc": self.created_utc,
            "hardware_key": self.hardware_key,
            "verdict": self.verdict,
            "commit": self.commit,
            "shipped": self.shipped,
            "context": list(self.context),
            **series,
        }


def trend(pair: str, captures: Path, limit: int = 0) -> tuple[list[Moment], list[str]]:
    """All captures of a pair, in a folder and shipped, oldest first, and why others are none; `limit` takes the newest only."""
    found, refused = observed_of(pair, captures, limit)
    return _moments([observed for _, observed in reversed(found)]), refused


def _moments(every: Sequence[Observed]) -> list[Moment]:
    moments: list[Moment] = []
    before: Observed | None = None
    since: dict[str, list[float]] = {}
    for observed in every:
        differences = before.context.differences(observed.context) if before else ()
        if differences:
            since = {}
        moments.append(_moment(observed, differences, since))
        before = observed
    return moments


def _moment(observed: Observed, differences: tuple[str, ...], since: dict[str, list[float]]) -> Moment:
    series = {name: point for name in SERIES if (point := _point(observed, name)) is not None}
    for name, point in series.items():
        key = f"{name} {point.tier}"
        if change := _departs(point.measured, since.get(key, [])):
            since[key] = []
            series[name] = Point(point.measured, point.tier, change)
        since.setdefault(key, []).append(point.measured.value)
    return Moment(
        capture=observed.capture,
        created_utc=observed.source.created_utc,
        hardware_key=observed.hardware_key,
        verdict=observed.evidence.verdict.value,
        commit=observed.source.sha,
        shipped=observed.evidence.shipped,
        context=differences,
        series=series,
    )


def _point(observed: Observed, name: str) -> Point | None:
    """By the trace, else by the events of the bare run."""
    variant, metric = ("", name) if name == "speedup" else (name, ITERATION)
    for tier in ("trace", "events"):
        if found := observed.observations.get((variant, metric, tier)):
            return Point(found.measured, tier)
    return None


def _departs(measured: Measurement, before: Sequence[float]) -> float | None:
    if not before:
        return None
    usual = float(median(before))
    low, high = measured.widened()
    if low > usual * (1 + SETTLED) or high < usual * (1 - SETTLED):
        return measured.value / usual - 1
    return None
