"""The answer of an `assert`: as lines for a terminal, as Markdown for a CI system's summary, and as JSON data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    "iteration": "console.assert.iteration",
    "overlap": "console.assert.overlap",
    "exposed": "console.assert.exposed",
    "gap": "console.assert.gap",
    "call": "console.assert.call",
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


def answer_lines(answer: Answer, lang: str = "en") -> list[str]:
    """The verdict, then one line per claim: what was measured, why it is not proven, and what can be looked up by hand."""
    say = catalog(lang)
    instances = ", ".join(f"{name}: {count}" for name, count in answer.instances.items())
    judged = say("console.assert.judged", instances=instances, attribution=answer.attribution)
    lines = [f"{say(f'verdict.{answer.verdict}').upper()}  {judged}"]
    for one in answer.claims:
        lines.append(f"  {MARKS[one.claim.verdict]} {one.claim.text:<58} {measured(one, say)}")
        if len(answer.gpus) > 1:
            lines.append(f"      {say('console.assert.worst_gpu', gpu=one.gpu, n=len(answer.gpus))}")
        lines += [f"      {line}" for line in details(one, say)]
    lines += [f"  {say.finding(finding).seen}" for finding in (*answer.completeness.findings, *answer.sessions)]
    lines += [f"  → {note}" for note in answer.notes]
    return [visible(line) for line in lines]


def summary_markdown(answer: Answer, title: str) -> str:
    """A table for a CI system's job summary; what comes from the trace is escaped."""
    say = catalog("en")
    rows = [
        f"| {MARKS[one.claim.verdict]} {one.claim.verdict} | {_cell(one.claim.text)} | {_cell(measured(one, say))} | "
        f"{' '.join(map(_cell, reasons(one, say)))} |"
        for one in answer.claims
    ]
    head = [f"### {_cell(title)}: {answer.verdict}", "", "| verdict | claim | measured | why |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def measured(one: Checked, say: Catalog) -> str:
    """The value that decided, with its interval or how many iterations it is the worst of."""
    claim = one.claim
    if claim.measured is None:
        return say("console.not_measured")
    value = quantity(claim.measured, claim.unit, claim.threshold)
    if claim.low is None or claim.high is None:
        return say("console.assert.n", value=value, n=claim.n)
    low, high = (quantity(end, claim.unit, claim.threshold) for end in (claim.low, claim.high))
    told = say("console.assert.interval", value=value, low=low, high=high, n=claim.n)
    return " ".join(filter(None, (told, _worth(one, say))))


def _worth(one: Checked, say: Catalog) -> str:
    """How many independent runs a series is worth, if fewer than it has."""
    effective, likeness = one.claim.effective_n, one.claim.autocorrelation
    if effective is None or likeness is None or effective >= one.claim.n:
        return ""
    return say("console.assert.worth", likeness=fixed(likeness, 2), effective=int(effective))


def details(one: Checked, say: Catalog) -> list[str]:
    """Why a claim is not proven, and what can be looked up by hand."""
    shown = [_shown(shown, say) for shown in one.shown if _worth_a_line(one, shown)]
    return [*reasons(one, say), *shown, *_runs(one, say)]


def _runs(one: Checked, say: Catalog) -> list[str]:
    """What leaves a claim unproven, run by run in the order of time."""
    unit = one.claim.unit if one.claim.variant else "ns"
    return [
        say("console.assert.runs", name=name, values=", ".join(_listed(values, unit, say)))
        for name, values in one.runs.items()
        if values
    ]


def _listed(values: Sequence[float], unit: str, say: Catalog) -> Iterator[str]:
    yield from (quantity(value, unit) for value in values[:MOST_RUNS])
    if len(values) > MOST_RUNS:
        yield say("console.assert.in_all", n=len(values))


def reasons(one: Checked, say: Catalog) -> list[str]:
    """Why a claim is not proven, each in a sentence."""
    return [say.finding(reason, one.claim.unit).seen for reason in one.claim.reasons]


def _worth_a_line(one: Checked, shown: Shown) -> bool:
    """Naming the iteration is useful only if there are several."""
    return shown.kind != "iteration" or one.claim.n > 1


def _shown(shown: Shown, say: Catalog) -> str:
    places = [
        say("console.assert.operation", name=op.name or op.kind, table=op.table, row=op.row, stream=op.stream)
        for op in shown.operations
    ]
    if call := shown.call:
        places.append(say("console.assert.called", name=call.name, table=call.table, row=call.row))
    what = say(_INTRODUCED[shown.kind], iteration=shown.iteration)
    head = say("console.assert.shown", what=what, duration=duration(shown.end - shown.start), start=shown.start)
    return f"{head}: {'; '.join(places)}" if places else head


def _cell(text: str) -> str:
    """Text inside a Markdown table: no cell, no row, no markup of its own."""
    escaped = visible(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    for character in "`*_<>[]":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return escaped
