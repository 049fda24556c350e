"""Expectations for a terminal: how each fared, and what an update would change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...profiler.expect.check import Checked, Row, Status
from ...profiler.expect.model import Bound, Entry
from ...profiler.expect.update import Change, Plan
from ..catalog import catalog
from ..hostile import visible
from ..units import NOTHING, percent, quantity
from .console import seen
from .tables import table

MARKS = {
    Status.MET: "✓",
    Status.IMPROVED: "▲",
    Status.ACCEPTED: "⊘",
    Status.UNQUALIFIED: "∅",
    Status.NOT_COMPARABLE: "≠",
    Status.MISSING: "–",
    Status.UNPROVEN: "?",
    Status.REGRESSED: "✗",
    Status.REFUTED: "✗",
    Status.INVALID: "!",
}
HEAD = ("number", "from", "expected", "measured", "")
_SIGNS = {"max": "≤", "min": "≥", "exact": "="}


def check_lines(checked: Iterable[Checked]) -> list[str]:
    """For each pair its status, why, and one row per entry."""
    lines: list[str] = []
    for one in checked:
        lines += [*([""] if lines else []), *_checked(one)]
    return lines or ["no pair"]


def held_lines(checked: Checked | None, lang: str = "en") -> list[str]:
    """How many expectations hold, in a line, or why that cannot be decided; nothing if nothing is expected."""
    if checked is None:
        return []
    say, hardware = catalog(lang), checked.hardware_key
    if checked.reasons:
        told = say("console.not_comparable", hardware=hardware, reasons="; ".join(checked.reasons))
        return [visible(f"  {told}")]
    rows = [row for row in checked.rows if row.entry]
    held = sum(row.status in (Status.MET, Status.IMPROVED) for row in rows)
    accepted = sum(row.status is Status.ACCEPTED for row in rows)
    key = "console.held_accepted" if accepted else "console.held"
    return [visible(f"  {say(key, hardware=hardware, held=held, all=len(rows), accepted=accepted)}")]


def status_text(status: Status) -> str:
    """`✓ met`, `≠ not comparable`."""
    return f"{MARKS[status]} {status.value.replace('_', ' ')}"


def _checked(one: Checked) -> list[str]:
    say = catalog("en")
    where = f" on {one.hardware_key}  capture {one.capture} ({one.verdict})" if one.capture else ""
    lines = [visible(f"{status_text(one.status).upper()}  {one.pair}{where}")]
    lines += [visible(f"  {reason}") for reason in one.reasons]
    lines += [visible(f"  {seen(finding, say)}") for finding in one.findings]
    if one.status is Status.UNQUALIFIED and one.capture:
        lines.append(f'  → aisp-prof expect update {one.pair.replace(".", ":")} --reason "…"')
    if not one.capture:
        lines.append(
            f"  → aisp-prof capture {one.pair.replace('.', ':')}, or --capture ID for one that came with aisp-prof"
        )
    if any(row.accepted and row.status.exit_code == 0 and row.status is not Status.ACCEPTED for row in one.rows):
        lines.append(f"  → aisp-prof expect accept {one.pair.replace('.', ':')} --withdraw  (what is mended)")
    cells = [(row.name, row.tier, expected(row.entry), _measured(row), _outcome(row)) for row in one.rows]
    return (
        [*lines, *table(HEAD, [[visible(cell) for cell in row] for row in cells], left=len(HEAD))] if cells else lines
    )


def _outcome(row: Row) -> str:
    return f"{status_text(row.status)}{f': {row.reason}' if row.reason else ''}"


def expected(entry: Entry | None) -> str:
    """`≤ 6.48 ms (5.89 ms ±10%, 1 capture)`; a dash if nothing is expected."""
    if entry is None:
        return NOTHING
    if entry.bound.kind == "exact":
        return bound_text(entry.bound, entry.unit)
    about = quantity(entry.value, entry.unit)
    if entry.tolerance is not None:
        about += f" ±{percent(entry.tolerance)}"
    count = len(entry.measured)
    return f"{bound_text(entry.bound, entry.unit)} ({about}, {count} capture{'' if count == 1 else 's'})"


def bound_text(bound: Bound, unit: str) -> str:
    """`≤ 6.48 ms`, `= 16`, `8 to 12`."""
    if bound.kind == "range":
        return f"{quantity(bound.low, unit)} to {quantity(bound.high, unit)}"
    return f"{_SIGNS[bound.kind]} {quantity(bound.high if bound.low is None else bound.low, unit)}"


def _measured(row: Row) -> str:
    """The value, its interval, and for times what they amount to at the expectation's clock."""
    one, entry = row.measured, row.entry
    if one is None:
        return NOTHING
    text = quantity(one.value, row.unit)
    if (one.low, one.high) != (one.value, one.value):
        text += f" [{quantity(one.low, row.unit)}, {quantity(one.high, row.unit)}]"
    if row.normalised is not None and entry is not None and entry.at_mhz is not None:
        text += f", {quantity(row.normalised, row.unit)} at {entry.at_mhz:.0f} MHz"
    return text


def update_lines(plans: Iterable[Plan], written: bool) -> list[str]:
    """The diff of every pair, and whether it was written."""
    lines: list[str] = []
    for plan in plans:
        lines += [visible(line) for line in _plan(plan)]
    changed = sum(plan.changed for plan in plans)
    if not changed:
        return [*lines, "nothing to write"]
    return [*lines, f"{changed} written" if written else f"{changed} to write: nothing is written without --write"]


def _plan(plan: Plan) -> list[str]:
    title = f"{plan.pair} on {plan.hardware_key}"
    if plan.refused:
        lines = [f"✗ {title}: refused: {plan.refused}"]
    else:
        what = f"from {', '.join(plan.rests_on)}" if plan.changed else "nothing new"
        lines = [f"{title}: {what}"]
    return [*lines, *(f"  ({note})" for note in plan.notes), *(f"  {_changed(change)}" for change in plan.changes)]


def _changed(change: Change) -> str:
    before, after = change.before, change.after
    named = after or before
    if named is None:
        raise ValueError("a change has an entry before, after, or both")
    name = f"{named.name} [{named.tier}]"
    if before is None:
        return f"+ {name}  {expected(after)}"
    weaker = "  WEAKER" if change.weaker else ""
    if after is None:
        return f"- {name}  {expected(before)}{weaker}"
    if change.kept:
        return f"= {name}  {expected(before)}  stays: the new bound would be weaker"
    return f"~ {name}  {expected(before)}  →  {expected(after)}{weaker}"


def update_data(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """`aisp-prof expect update --json` (docs/json.md)."""
    return [
        {
            "pair": plan.pair,
            "hardware_key": plan.hardware_key,
            "refused": plan.refused,
            "weaken_needed": plan.weaken_needed,
            "changed": plan.changed,
            "rests_on": list(plan.rests_on),
            "notes": list(plan.notes),
            "changes": [
                {
                    "before": change.before.to_json() if change.before else None,
                    "after": change.after.to_json() if change.after else None,
                    "weaker": change.weaker,
                    "kept": change.kept,
                }
                for change in plan.changes
            ],
        }
        for plan in plans
    ]
