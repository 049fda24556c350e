"""An `assert` answered: as lines for a terminal, as Markdown for a CI system's summary, and as JSON data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..profiler.queries.assertions import Answer, Checked
from ..profiler.queries.counterexamples import Shown
from .catalog import Catalog, catalog
from .console import MARKS
from .hostile import visible
from .units import duration, quantity

_INTRODUCED = {
    "iteration": "in iteration {iteration}",
    "overlap": "both in flight",
    "exposed": "nothing hides",
    "gap": "nothing runs",
    "call": "called",
}


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as plain JSON types (docs/json.md); the same of the same trace, so without the time that judging took."""
    data = asdict(answer)
    for one in data["claims"]:
        del one["seconds"]
    return data


def answer_lines(answer: Answer) -> list[str]:
    """Verdict, a line a claim with what was measured, why it is not proven, and what can be looked up by hand."""
    say = catalog("en")
    judged = ", ".join(f"{name}: {count}" for name, count in answer.instances.items())
    lines = [f"{answer.verdict.upper()}  instances judged: {judged}; launches by {answer.attribution}"]
    for one in answer.claims:
        lines.append(f"  {MARKS[one.claim.verdict]} {one.claim.text:<58} {measured(one)}")
        if len(answer.gpus) > 1:
            lines.append(f"      on GPU {one.gpu}, where it fares worst of {len(answer.gpus)}")
        lines += [f"      {line}" for line in details(one, say)]
    lines += [f"  {say.finding(finding).seen}" for finding in answer.completeness.findings]
    lines += [f"  → {note}" for note in answer.notes]
    return [visible(line) for line in lines]


def summary_markdown(answer: Answer, title: str) -> str:
    """A table for a CI system's job summary; what comes from the trace is escaped."""
    say = catalog("en")
    rows = [
        f"| {MARKS[one.claim.verdict]} {one.claim.verdict} | {_cell(one.claim.text)} | {_cell(measured(one))} | "
        f"{_cell(' '.join(reasons(one, say)))} |"
        for one in answer.claims
    ]
    head = [f"### {_cell(title)}: {answer.verdict}", "", "| verdict | claim | measured | why |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def measured(one: Checked) -> str:
    """The value that decided, with its interval or how many iterations it is the worst of."""
    claim = one.claim
    if claim.measured is None:
        return "not measured"
    value = quantity(claim.measured, claim.unit)
    if claim.low is not None and claim.high is not None:
        return f"{value} [{quantity(claim.low, claim.unit)}, {quantity(claim.high, claim.unit)}], n = {claim.n}"
    return f"{value} (n = {claim.n})"


def details(one: Checked, say: Catalog) -> list[str]:
    """Why a claim is not proven, and what can be looked up by hand."""
    return [*reasons(one, say), *(_shown(one, shown) for shown in one.shown if _worth_a_line(one, shown))]


def reasons(one: Checked, say: Catalog) -> list[str]:
    """Why a claim is not proven, each in a sentence."""
    return [say.finding(reason, one.claim.unit).seen for reason in one.claim.reasons]


def _worth_a_line(one: Checked, shown: Shown) -> bool:
    """The iteration itself says something only where there are several."""
    return shown.kind != "iteration" or one.claim.n > 1


def _shown(one: Checked, shown: Shown) -> str:
    head = _INTRODUCED[shown.kind].format(iteration=shown.iteration)
    places = [f"{op.name or op.kind} ({op.table} row {op.row}, stream {op.stream})" for op in shown.operations]
    places += [f"{shown.call.name} ({shown.call.table} row {shown.call.row})"] if shown.call else []
    what = f": {'; '.join(places)}" if places else ""
    return f"{head}: {duration(shown.end - shown.start)} from {shown.start} ns{what}"


def _cell(text: str) -> str:
    """Text inside a Markdown table: no cell, no row, no markup of its own."""
    escaped = visible(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    for character in "`*_<>[]":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return escaped
