"""A capture against what is expected of it: met, improved, regressed, or why that cannot be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..evidence import Evidence, Finding, Verdict
from ..judging.bootstrap import LEAST_RUNS
from ..store.captures import Capture
from .files import hardware_of, read_pair
from .model import Acceptance, Entry, Measurement, PairExpectations
from .observe import (
    ITERATION,
    Observation,
    Observed,
    clock_hull,
    context_of,
    gpus_used,
    key_of,
    observe,
    runs_of,
    timed_by_trace,
)


class Status(StrEnum):
    """What became of an expectation, worst last; MET, IMPROVED and ACCEPTED alone are a pass."""

    MET = "met"
    IMPROVED = "improved"
    ACCEPTED = "accepted"
    UNQUALIFIED = "unqualified"
    NOT_COMPARABLE = "not_comparable"
    MISSING = "missing"
    UNPROVEN = "unproven"
    REGRESSED = "regressed"
    REFUTED = "refuted"
    INVALID = "invalid"

    @property
    def exit_code(self) -> int:
        if self in (Status.MET, Status.IMPROVED, Status.ACCEPTED):
            return 0
        if self is Status.UNQUALIFIED:
            return 5
        return 1 if self in (Status.REGRESSED, Status.REFUTED, Status.INVALID) else 4

    @staticmethod
    def worst(statuses: Iterable[Status]) -> Status:
        """The worst of several; of none, UNQUALIFIED: nothing was expected."""
        order = list(Status)
        return max(statuses, key=order.index, default=Status.UNQUALIFIED)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry, and what the capture shows of it.

    entry        None for a claim that nothing is expected of
    measured     None where the capture has no such number
    low, high    what was held against the bound: the interval widened by the noise floor and, for times, by the clocks
    normalised   a time at the entry's clock; None where clocks are not known, and of other numbers
    accepted     the regression of it that somebody accepted, whether it still lasts or is mended
    """

    variant: str
    metric: str
    tier: str
    unit: str
    entry: Entry | None
    status: Status
    measured: Measurement | None = None
    low: float | None = None
    high: float | None = None
    normalised: float | None = None
    reason: str = ""
    accepted: Acceptance | None = None

    @property
    def name(self) -> str:
        return f"{self.variant}.{self.metric}" if self.variant else self.metric

    def to_json(self) -> dict[str, Any]:
        entry = self.entry
        return {
            "variant": self.variant,
            "metric": self.metric,
            "tier": self.tier,
            "unit": self.unit,
            "status": self.status.value,
            "expected": entry.value if entry else None,
            "bound": entry.bound.to_json() if entry else None,
            "tolerance": entry.tolerance if entry else None,
            "captures": len(entry.measured) if entry else 0,
            "measured": self.measured.value if self.measured else None,
            "interval": [self.measured.low, self.measured.high] if self.measured else None,
            "noise_floor": self.measured.noise_floor if self.measured else None,
            "judged": [self.low, self.high] if self.low is not None else None,
            "normalised": self.normalised,
            "expected_normalised": entry.normalised if entry else None,
            "at_mhz": entry.at_mhz if entry else None,
            "n": self.measured.n if self.measured else 0,
            "claim": entry.claim if entry else "",
            "reason": self.reason,
            **({"accepted": self.accepted.to_json()} if self.accepted else {}),
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """One capture of a pair, judged. `reasons` are of the whole capture; `findings` make its numbers void."""

    pair: str
    capture: str
    hardware_key: str
    verdict: Verdict | None
    status: Status
    rows: tuple[Row, ...]
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    commit: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "pair": self.pair,
            "capture": self.capture,
            "hardware_key": self.hardware_key,
            "verdict": self.verdict.value if self.verdict else None,
            "status": self.status.value,
            "reasons": list(self.reasons),
            "findings": [finding.code for finding in self.findings],
            "commit": self.commit,
            "rows": [row.to_json() for row in self.rows],
        }


def check_capture(capture: Capture, folder: Path) -> Checked:
    """Hold a capture against the expectations of its pair on its hardware; which commit made it plays no part.

    Raises:
        UsageError: the expectations, the manifest or a claim cannot be understood.
        TraceError: the trace cannot be read.
    """
    return check(observe(capture), capture.manifest.pair, folder)


def expected_for(capture: Capture, evidence: Evidence, folder: Path) -> PairExpectations | None:
    """What is expected of a judged capture's pair, where the two may be compared.

    Raises:
        UsageError: the expectations are damaged.
    """
    used = gpus_used(evidence)
    found = read_pair(folder, key_of(capture, used), capture.manifest.pair)
    return None if found is None or found.context.differences(context_of(capture, None, used)) else found


def held_against(observed: Observed, pair: str, folder: Path) -> Checked | None:
    """As `check`; None where nothing is expected of the pair on this hardware.

    Raises:
        UsageError: the expectations are damaged.
    """
    return check(observed, pair, folder) if read_pair(folder, observed.hardware_key, pair) else None


def without_capture(pair: str, folder: Path) -> Checked:
    """A pair that was not captured: nothing is met by that."""
    keys = hardware_of(folder, pair)
    status = Status.MISSING if keys else Status.UNQUALIFIED
    also = f"it has expectations on {', '.join(keys)}" if keys else "nothing is expected of it on any hardware"
    return Checked(pair, "", "", None, status, (), (f"no capture of it; {also}",))


def check(observed: Observed, pair: str, folder: Path) -> Checked:
    """As `check_capture`, of what was observed before."""
    expected = read_pair(folder, observed.hardware_key, pair)
    if expected is None:
        return _unexpected(observed, pair, folder)
    differences = expected.context.differences(observed.context)
    rows = tuple(_rows(expected, observed, bool(differences)))
    own = {Verdict.INVALID: [Status.INVALID], Verdict.REFUTED: [Status.REFUTED], Verdict.PROVEN: []}
    verdict = observed.evidence.verdict
    statuses = [row.status for row in rows] + own.get(verdict, [Status.UNPROVEN])
    return _checked(observed, pair, Status.worst(statuses), rows, differences)


def _unexpected(observed: Observed, pair: str, folder: Path) -> Checked:
    """Nothing is expected on this hardware: other hardware's numbers are no measure for it."""
    invalid = observed.evidence.verdict is Verdict.INVALID
    keys = hardware_of(folder, pair)
    here = observed.hardware_key
    reason = f"nothing is expected of {pair} on {here}, nor on other hardware"
    if keys:
        reason = f"hardware: expectations are of {', '.join(keys)}, the capture is of {here}"
    return _checked(observed, pair, Status.INVALID if invalid else Status.UNQUALIFIED, (), (reason,))


def _checked(observed: Observed, pair: str, status: Status, rows: tuple[Row, ...], reasons: tuple[str, ...]) -> Checked:
    return Checked(
        pair=pair,
        capture=observed.capture,
        hardware_key=observed.hardware_key,
        verdict=observed.evidence.verdict,
        status=status,
        rows=rows,
        reasons=reasons,
        findings=observed.obstacles,
        commit=observed.source.sha,
    )


def _rows(expected: PairExpectations, observed: Observed, elsewhere: bool) -> Iterable[Row]:
    for entry in expected.entries:
        row = _with_accepted(_row(entry, observed), expected.acceptance(entry))
        if elsewhere:
            yield _but(row, Status.NOT_COMPARABLE, "")
        elif row.status.exit_code == 0 and observed.evidence.verdict in _TELLS_NOTHING:
            yield _but(row, Status.UNPROVEN, f"the capture is {observed.evidence.verdict}")
        else:
            yield row
    known = {entry.key for entry in expected.entries}
    for one in observed.observations.values():
        if one.claim and one.key not in known and _bounded(one):
            reason = f"nothing is expected of the claim {one.claim}"
            yield Row(
                one.variant, one.metric, one.tier, one.unit, None, Status.UNQUALIFIED, one.measured, reason=reason
            )


_TELLS_NOTHING = (Verdict.UNPROVEN, Verdict.UNSUPPORTED, Verdict.INVALID)


def _bounded(one: Observation) -> bool:
    """Whether an update would make an entry of it (`derive.entry_of`)."""
    return one.unit != "ns" or one.metric == ITERATION or one.threshold is not None


def _but(row: Row, status: Status, reason: str) -> Row:
    return replace(row, status=status, reason=reason or row.reason)


def _row(entry: Entry, observed: Observed) -> Row:
    blank = Row(entry.variant, entry.metric, entry.tier, entry.unit, entry, Status.MISSING)
    if observed.obstacles:
        return _but(blank, Status.UNPROVEN, "the capture's numbers are void")
    found = observed.observations.get(entry.key)
    if found is None:
        status, reason = _absent(entry, observed)
        return _but(blank, status, reason)
    clock = observed.source.sm_mhz
    low, high = clock_hull(found.measured, clock, entry.at_mhz)
    scale = clock / entry.at_mhz if clock and entry.at_mhz else None
    status, reason = _judged(entry, low, high)
    if entry.too_noisy and status is not Status.REGRESSED:
        status, reason = Status.UNQUALIFIED, entry.too_noisy
    return Row(
        variant=entry.variant,
        metric=entry.metric,
        tier=entry.tier,
        unit=entry.unit,
        entry=entry,
        status=status,
        measured=found.measured,
        low=low,
        high=high,
        normalised=found.measured.value * scale if scale else None,
        reason=reason,
    )


def _absent(entry: Entry, observed: Observed) -> tuple[Status, str]:
    """Why there is no such number: another profile has no such run, tracing changed the times, or it is gone."""
    profile, least = observed.source.profile, {"trace": "minimal", "counted": "roofline"}.get(entry.tier, "none")
    profiles = ("none", "minimal", "roofline", "deep")
    if profile in profiles and profiles.index(profile) < profiles.index(least):
        return Status.NOT_COMPARABLE, f"profile: a number of the tier {entry.tier} expected, the capture's is {profile}"
    timed = entry.metric == ITERATION or entry.unit == "x"
    if timed and entry.tier == "trace" and not timed_by_trace(observed.evidence):
        return Status.NOT_COMPARABLE, "perturbation: tracing changed the times, so the trace has none"
    if timed and runs_of(observed.evidence, entry.tier) < LEAST_RUNS:
        return Status.UNPROVEN, f"fewer than {LEAST_RUNS} iterations have no interval"
    return Status.MISSING, "the capture has no such number"


def _judged(entry: Entry, low: float, high: float) -> tuple[Status, str]:
    """The whole interval decides; of counts, every iteration."""
    verdict = entry.bound.judged(low, high)
    if verdict is Verdict.PROVEN:
        return (Status.IMPROVED if _clearly_better(entry, low, high) else Status.MET), ""
    if entry.unit == "count" or verdict is Verdict.REFUTED:
        return Status.REGRESSED, ""
    return Status.UNPROVEN, "its interval lies on both sides of the bound"


def _with_accepted(row: Row, accepted: Acceptance | None) -> Row:
    """A number whose regression was accepted: not worse than that, worse, or mended, which is said until it is withdrawn."""
    low, high = row.low, row.high
    if accepted is None or low is None or high is None:
        return row
    row, whose = replace(row, accepted=accepted), f"{accepted.by}, {accepted.since}: {accepted.reason}"
    if row.status in (Status.MET, Status.IMPROVED):
        return replace(row, reason=f"mended; stale: accepted by {whose}")
    verdict = accepted.bound.judged(low, high)
    if verdict is Verdict.PROVEN:
        return replace(row, status=Status.ACCEPTED, reason=f"by {whose}")
    if verdict is Verdict.REFUTED or row.unit == "count":
        return replace(row, status=Status.REGRESSED, reason=f"worse than accepted by {whose}")
    return replace(
        row, status=Status.UNPROVEN, reason=f"its interval lies on both sides of what was accepted by {whose}"
    )


def _clearly_better(entry: Entry, low: float, high: float) -> bool:
    """Better than the value by more than the tolerance, with the whole interval."""
    if entry.tolerance is None or not entry.better:
        return False
    reach = entry.tolerance if entry.unit == "ratio" else abs(entry.value) * entry.tolerance
    return high < entry.value - reach if entry.better == "less" else low > entry.value + reach
