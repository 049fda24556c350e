"""Pairs side by side, for a terminal and as JSON: a table for each, with one row per claim: what was expected and
measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from msgspec import UNSET

from ...profiler.evidence import ClaimResult, Evidence, Speedup, Step
from ...profiler.expect.model import Entry, PairExpectations
from ...profiler.manifest import RUNS, Validation
from ..catalog import Catalog, catalog
from ..hostile import visible
from ..page.claims import asked, verdict_word
from ..units import NOTHING, duration, quantity
from .console import MARKS, told
from .expectations import expected as expected_text
from .tables import table


@dataclass(frozen=True, slots=True)
class Row:
    """One claim of a pair, or of a stage of a case study."""

    stage: str
    claim: str
    expectation: str
    measured: str
    verdict: str


def _at_a_glance(evidences: Sequence[Evidence]) -> list[str]:
    def cells(one: Evidence) -> tuple[str, ...]:
        met = sum(claim.verdict.value == "proven" for claim in one.claims)
        return (one.manifest.pair, *verdict_and_speedup(one, catalog("en")), f"{met} of {len(one.claims)} proven")

    return table(("pair", "verdict", "speedup", "claims"), map(cells, evidences), left=4)


def verdict_and_speedup(evidence: Evidence | None, say: Catalog) -> tuple[str, str]:
    """At a glance: the verdict with its mark, or that no gain is claimed, and the speedup; dashes where there is nothing to judge."""
    if evidence is None:
        return NOTHING, NOTHING
    verdict = verdict_word(evidence, say).lower()
    return f"{MARKS[evidence.verdict]} {verdict}", quantity(
        evidence.speedup.value, "x"
    ) if evidence.speedup else NOTHING


HEAD = ("pair", "claim", "expectation", "measured", "verdict")


Expected = Mapping[str, PairExpectations]
"""Capture -> what is expected of its pair on its hardware, if the two are comparable."""


def comparison_lines(evidences: Sequence[Evidence], expected: Expected | None = None) -> list[str]:
    """Of several pairs first a line each; then for each what was compared, its steps if it has any, and a table of its claims."""
    lines = _at_a_glance(evidences) if len(evidences) > 1 else []
    for evidence in evidences:
        rows = rows_of(evidence, (expected or {}).get(evidence.capture_id))
        lines += [*([""] if lines else []), *_summary(evidence), *_steps(evidence), *table_of_claims(rows)]
    return lines


def table_of_claims(rows: Sequence[Row], head: Sequence[str] = HEAD) -> list[str]:
    """The rows under a header, a verdict's mark before its word."""
    cells = [(r.stage, visible(r.claim), r.expectation, r.measured, f"{MARKS[r.verdict]} {r.verdict}") for r in rows]
    return table(head, cells, left=len(head)) if cells else ["no claims"]


def rows_of(evidence: Evidence, expected: PairExpectations | None = None) -> list[Row]:
    """One row per claim, in order of declaration; its expectation is the claim's own, then that of this hardware."""
    say = catalog("en")
    stage = evidence.manifest.declaration.name
    rows = []
    for claim in evidence.claims:
        entry = _entry_of(claim, expected)
        words = [
            asked(claim, say),
            *([f"on {expected.context.gpu} {expected_text(entry)}"] if entry and expected else []),
        ]
        rows.append(Row(stage, claim.text, "; ".join(words), _measured(claim), claim.verdict.value))
    return rows


def _entry_of(claim: ClaimResult, expected: PairExpectations | None) -> Entry | None:
    mine = (claim.text, claim.variant, claim.metric)
    entries = expected.entries if expected else ()
    return next((one for one in entries if (one.claim, one.variant, one.metric) == mine), None)


def _measured(claim: ClaimResult) -> str:
    if claim.measured is None:
        return NOTHING
    value = quantity(claim.measured, claim.unit)
    if claim.low is None or claim.high is None:
        return value
    return f"{value} [{quantity(claim.low, claim.unit)}, {quantity(claim.high, claim.unit)}]"


def comparison_data(
    evidences: Sequence[Evidence], missing: Iterable[str] = (), expected: Expected | None = None
) -> dict[str, Any]:
    """`aisp-prof compare --json` (docs/json.md)."""
    rows = [_data(evidence, (expected or {}).get(evidence.capture_id)) for evidence in evidences]
    return {"rows": rows, "missing": list(missing)}


def _data(evidence: Evidence, expected: PairExpectations | None) -> dict[str, Any]:
    speedup, checked = evidence.speedup, _checked(evidence)
    return {
        "pair": evidence.manifest.pair,
        "capture": evidence.capture_id,
        "created_utc": evidence.manifest.created_utc,
        "shipped": evidence.shipped,
        "profile": evidence.manifest.profile,
        "verdict": evidence.verdict.value,
        "baseline_ns": speedup.baseline_ns if speedup else None,
        "optimized_ns": speedup.optimized_ns if speedup else None,
        "speedup": speedup.value if speedup else None,
        "low": speedup.low if speedup else None,
        "high": speedup.high if speedup else None,
        "n": [speedup.n_baseline, speedup.n_optimized] if speedup else None,
        "source": speedup.source if speedup else None,
        "valid": None if checked.valid is UNSET else checked.valid,
        "bitwise": checked.bitwise,
        "max_relative_error": checked.max_relative_error,
        "tolerance": checked.tolerance,
        "steps": [_step(step, ns) for step, ns in _step_times(evidence)],
        "claims": [
            _claim(claim, row, _entry_of(claim, expected))
            for claim, row in zip(evidence.claims, rows_of(evidence, expected), strict=True)
        ],
    }


def _claim(claim: ClaimResult, row: Row, entry: Entry | None) -> dict[str, Any]:
    return {
        "stage": row.stage,
        "claim": claim.text,
        "expectation": row.expectation.replace("\u00a0", " "),
        "expected": entry.value if entry else None,
        "bound": entry.bound.to_json() if entry else None,
        "measured": claim.measured,
        "low": claim.low,
        "high": claim.high,
        "unit": claim.unit,
        "verdict": claim.verdict.value,
        "reasons": [reason.code for reason in claim.reasons],
    }


def _step_times(evidence: Evidence) -> list[tuple[Step, int]]:
    """The steps of a staged pair, in order, with the median iteration of each in ns; none if they cannot be compared."""
    if evidence.speedup is None:
        return []
    saved = accumulate(step.saved_ns for step in evidence.steps)
    return [(step, evidence.speedup.baseline_ns - so_far) for step, so_far in zip(evidence.steps, saved, strict=True)]


def _steps(evidence: Evidence) -> list[str]:
    cells = [
        (f"  {visible(step.variant)}", duration(ns), duration(step.saved_ns), _faster(step.speedup))
        for step, ns in _step_times(evidence)
    ]
    return table(("  step", "iteration", "saved", "over the step before"), cells, left=1) if cells else []


def _faster(speedup: Speedup | None) -> str:
    if speedup is None:
        return NOTHING
    return f"{quantity(speedup.value, 'x')} [{quantity(speedup.low, 'x')}, {quantity(speedup.high, 'x')}]"


def _step(step: Step, ns: int) -> dict[str, Any]:
    speedup = step.speedup
    return {
        "variant": step.variant,
        "before": step.before,
        "median_ns": ns,
        "saved_ns": step.saved_ns,
        "speedup": speedup.value if speedup else None,
        "low": speedup.low if speedup else None,
        "high": speedup.high if speedup else None,
    }


def _checked(evidence: Evidence) -> Validation:
    """What the last run that has a validation says; every run of a capture checks anew, and a wrong one is the last."""
    runs = evidence.manifest.runs
    found = [runs[name].validation or Validation() for name in RUNS if name in runs]
    said = [one for one in found if one != Validation()]
    return next((one for one in said if not one.valid), said[0] if said else Validation())


def _summary(evidence: Evidence) -> list[str]:
    speedup = evidence.speedup
    gpus = ", ".join(str(gpu.get("name") or "?") for gpu in evidence.manifest.gpus) or "unknown GPU"
    origin = "came with aisp-prof" if evidence.shipped else "local"
    named = f"{evidence.manifest.pair}  {told(evidence, catalog('en'))}"
    lines = [visible(f"{named}  capture {evidence.capture_id} ({origin}), {gpus}")]
    if speedup is None:
        lines.append("  no speedup is stated")
    else:
        interval = f"[{quantity(speedup.low, 'x')}, {quantity(speedup.high, 'x')}]"
        times = "the trace" if speedup.source == "trace" else "CUDA events of the untraced run"
        lines.append(
            f"  baseline {duration(speedup.baseline_ns)}  optimized {duration(speedup.optimized_ns)}  "
            f"speedup {quantity(speedup.value, 'x')} {interval}  n = {speedup.n_baseline} + {speedup.n_optimized}, by {times}"
        )
    order = [variant.name for variant in evidence.variants]
    return [*lines, f"  {_validity(_checked(evidence), order)}"]


def _validity(checked: Validation, order: Sequence[str]) -> str:
    """Whether the outputs are right, how far off each variant's are, in order, and whether all are bit-identical."""
    if checked == Validation():
        return "outputs: not checked"
    errors = checked.max_relative_error or {}
    inside = sorted(errors, key=lambda name: order.index(name) if name in order else len(order))
    listed = ", ".join(f"{name} {'not finite' if errors[name] is None else f'{errors[name]:.1e}'}" for name in inside)
    tolerance = f"tolerance {checked.tolerance:.0e}" if isinstance(checked.tolerance, float) else ""
    bits = {True: "yes", False: "NO", None: "not asked of this pair"}[checked.bitwise]
    right = "valid" if checked.valid else "NOT VALID"
    details = "; ".join(filter(None, (f"relative error {listed}" if listed else "", tolerance)))
    return f"outputs: {right}{f' ({details})' if details else ''}; bitwise equal: {bits}"
