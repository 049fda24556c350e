"""The worst iteration of a claim, and what happened in it that did not in the others, as far as rows of the trace tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

import numpy as np

from ..analysis.overlap import busy_time
from ..evidence import ClaimResult, Finding, Verdict
from ..manifest import Sample
from ..ranges.instances import Instances
from ..ranges.numbers import numbers
from ..trace.schema import RUNTIME
from .language import COMPARISONS, Claim

SHARE = 0.1
"""A stall counts from a tenth of the usual iteration on, beyond what the others stall; a copy rate that is lower by a tenth."""

CLOCK = 0.05
"""Clocks that are lower by a twentieth."""

MOST_COMPARED = 101
"""Other iterations whose stalls are looked at; of more, so many evenly."""

WAYS = ("h2d", "d2h")


def explained(claim: Claim, result: ClaimResult, runs: Instances | None, samples: Sequence[Sample] = ()) -> ClaimResult:
    """A judged claim with the worst of its iterations and what happened there, where some do not meet it and most do. A claim by the
    interval of a median that does not say so, and is proven, is one on a median alone: nothing is added. Nor is it to counts, which no
    stalled host changes, and to what an incomplete trace refutes.

    Args:
        runs: the claim's iterations, in the order of `result.values`; None where the values are not those of a trace.
        samples: of clocks, during the runs.
    """
    codes = {reason.code for reason in result.reasons}
    if runs is None or len(runs) != len(result.values) or result.unit == "count" or "lower_bound" in codes:
        return result
    beyond = [] if result.verdict is Verdict.PROVEN and not claim.quantifier else _beyond(result)
    if not beyond or 2 * len(beyond) >= len(result.values) or result.measured is None:
        return result
    named = [reason for reason in result.reasons if reason.code == "worst_iteration"]
    if named:
        return _with(result, (), int(named[0].values["index"]), runs, samples)
    worst = max(beyond, key=lambda place: _off(result, result.values[place]))
    told = {"count": len(beyond), "of": len(result.values), "value": result.values[worst], "index": worst}
    return _with(result, (Finding("iterations_beyond", told),), worst, runs, samples)


def _with(
    result: ClaimResult,
    more: tuple[Finding, ...],
    place: int,
    runs: Instances,
    samples: Sequence[Sample],
) -> ClaimResult:
    if len(runs) < 2:
        return result
    happened = tuple(_Iteration(runs, place, samples).happened())
    return replace(result, reasons=(*result.reasons, *more, *(happened or (Finding("nothing_explains", {}),))))


def _beyond(result: ClaimResult) -> list[int]:
    """The iterations that do not meet the threshold by themselves."""
    if result.threshold is None:
        return []
    holds = COMPARISONS[result.comparison]
    return [place for place, value in enumerate(result.values) if not holds(value, result.threshold)]


def _off(result: ClaimResult, value: float) -> float:
    return abs(value - (result.threshold or 0.0))


@dataclass(frozen=True)
class _Iteration:
    """One iteration among the others."""

    runs: Instances
    place: int
    samples: Sequence[Sample]

    def happened(self) -> Iterator[Finding]:
        yield from self._stalled()
        yield from self._copied_slower()
        yield from self._clocked_lower()

    @cached_property
    def _others(self) -> list[int]:
        every = [place for place in range(len(self.runs)) if place != self.place]
        return [every[i] for i in np.linspace(0, len(every) - 1, min(MOST_COMPARED, len(every))).astype(int).tolist()]

    def _stalled(self) -> Iterator[Finding]:
        """The GPU had nothing to do until the thread made its next launch, and far longer than usual."""
        start, end = self.runs.times()
        usual = median((end - start)[self._others].tolist())
        ns, call = _longest_stall(self.runs, self.place)
        beyond = ns - median(_longest_stall(self.runs, place)[0] for place in self._others)
        if call < 0 or beyond <= SHARE * usual:
            return
        trace = self.runs.trace
        values: dict[str, str | int | float] = {
            "ms": round(ns / 1e6, 3),
            "name": trace.text(int(trace.calls.name[call])),
            "table": trace.schema.tables.get(RUNTIME, RUNTIME),
            "row": int(trace.calls.row[call]),
        }
        yield Finding("host_stalled", values)

    def _copied_slower(self) -> Iterator[Finding]:
        for way in WAYS:
            found = numbers(self.runs, [f"rate({way})"])[f"rate({way})"]
            mine, others = found[self.place], [rate for i in self._others if (rate := found[i]) is not None]
            if mine is None or not others or mine >= (1 - SHARE) * median(others):
                continue
            usual = round(median(others) / 1e9, 1)
            yield Finding("copy_rate_fell", {"way": way, "gbps": round(mine / 1e9, 1), "usual_gbps": usual})

    def _clocked_lower(self) -> Iterator[Finding]:
        """By the samples in the iteration, and the one before and the one after it."""
        begun = self.runs.trace.start_utc_ns
        known = sorted((one.utc_ns, one.sm_mhz) for one in self.samples if one.sm_mhz)
        if begun is None or not known:
            return
        at, clocks = (np.array(column) for column in zip(*known, strict=True))
        start, end = (begun + int(times[self.place]) for times in self.runs.times())
        first, last = np.searchsorted(at, start, "right") - 1, np.searchsorted(at, end, "left")
        low, usual = float(clocks[max(first, 0) : last + 1].min()), float(np.median(clocks))
        if low < (1 - CLOCK) * usual:
            yield Finding("clocks_fell", {"low_mhz": round(low), "usual_mhz": round(usual)})


def _longest_stall(runs: Instances, place: int) -> tuple[int, int]:
    """The longest time in ns for which the device was idle in an iteration while nothing had been asked of it, and the call that
    ended it, an index into the trace's calls; 0 and -1 where there is none."""
    operations, calls = runs.operations(place), runs.trace.calls
    gaps = busy_time(operations).gaps
    order = np.argsort(operations.start, kind="stable")
    next_one = order[np.searchsorted(operations.start[order], gaps.end, "left")]
    launch = operations.launch[next_one]
    if not len(calls) or not (launch >= 0).any():
        return 0, -1
    late = np.where(launch >= 0, np.minimum(gaps.end, calls.end[launch]) - gaps.start, 0)
    longest = int(late.argmax())
    return (int(late[longest]), int(launch[longest])) if late[longest] > 0 else (0, -1)
