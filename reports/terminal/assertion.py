"""The answer of an `assert`: as lines for a terminal, as Markdown for a CI system's summary, and as JSON data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ...profiler.assertions.check import Answer, Checked
from ...profiler.assertions.counterexamples import Shown
from ..catalog import Catalog, catalog
from ..hostile import visible
from ..units import duration, fixed, quantity
from .console import MARKS

MOST_RUNS = 24
"""The most runs of a range that are printed; JSON has them all."""

_INTRODUCED = {
    "iteration": "in iteration {iteration}",
    "overlap": "both in flight",
    "exposed": "nothing hides",
    "gap": "nothing runs",
    "call": "called",
}


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as plain JSON types (docs/json.md); deterministic for a trace, so it omits the time that judging took."""
    data = asdict(answer)
    if not answer.sessions:
        del data["sessions"]  # of one trace there is nothing to say
    for one, checked in zip(data["claims"], answer.claims, strict=True):
        del one["seconds"]
        one["claim"] = checked.claim.to_json()
    return data


def answer_lines(answer: Answer) -> list[str]:
    """The verdict, then one line per claim: what was measured, why it is not proven, and what can be looked up by hand."""
    say = catalog("en")
    judged = ", ".join(f"{name}: {count}" for name, count in answer.instances.items())
    lines = [f"{answer.verdict.upper()}  instances judged: {judged}; launches by {answer.attribution}"]
    for one in answer.claims:
        lines.append(f"  {MARKS[one.claim.verdict]} {one.claim.text:<58} {measured(one)}")
        if len(answer.gpus) > 1:
            lines.append(f"      on GPU {one.gpu}, where it fares worst of {len(answer.gpus)}")
        lines += [f"      {line}" for line in details(one, say)]
    lines += [f"  {say.finding(finding).seen}" for finding in (*answer.completeness.findings, *answer.sessions)]
    lines += [f"  → {note}" for note in answer.notes]
    return [visible(line) for line in lines]


def summary_markdown(answer: Answer, title: str) -> str:
    """A table for a CI system's job summary; what comes from the trace is escaped."""
    say = catalog("en")
    rows = [
        f"| {MARKS[one.claim.verdict]} {one.claim.verdict} | {_cell(one.claim.text)} | {_cell(measured(one))} | "
        f"{' '.join(map(_cell, reasons(one, say)))} |"
        for one in answer.claims
    ]
    head = [f"### {_cell(title)}: {answer.verdict}", "", "| verdict | claim | measured | why |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def measured(one: Checked) -> str:
    """The value that decided, with its interval or how many iterations it is the worst of."""
    claim = one.claim
    if claim.measured is None:
        return "not measured"
    value = quantity(claim.measured, claim.unit, claim.threshold)
    if claim.low is not None and claim.high is not None:
        low, high = (quantity(end, claim.unit, claim.threshold) for end in (claim.low, claim.high))
        return f"{value} [{low}, {high}], n = {claim.n}{_worth(one)}"
    return f"{value} (n = {claim.n})"


def _worth(one: Checked) -> str:
    """How many independent runs a series is worth, if fewer than it has."""
    effective, likeness = one.claim.effective_n, one.claim.autocorrelation
    if effective is None or likeness is None or effective >= one.claim.n:
        return ""
    return f" (autocorrelation {fixed(likeness, 2)}: worth {int(effective)})"


def details(one: Checked, say: Catalog) -> list[str]:
    """Why a claim is not proven, and what can be looked up by hand."""
    shown = [_shown(one, shown) for shown in one.shown if _worth_a_line(one, shown)]
    return [*reasons(one, say), *shown, *_runs(one)]


def _runs(one: Checked) -> list[str]:
    """What leaves a claim unproven, run by run in the order of time."""
    unit = one.claim.unit if one.claim.variant else "ns"
    return [
        f"runs of {name}: {', '.join(quantity(value, unit) for value in values[:MOST_RUNS])}"
        f"{f', … ({len(values)} in all)' if len(values) > MOST_RUNS else ''}"
        for name, values in one.runs.items()
        if values
    ]


def reasons(one: Checked, say: Catalog) -> list[str]:
    """Why a claim is not proven, each in a sentence."""
    return [say.finding(reason, one.claim.unit).seen for reason in one.claim.reasons]


def _worth_a_line(one: Checked, shown: Shown) -> bool:
    """Naming the iteration is useful only if there are several."""
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
