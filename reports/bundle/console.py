"""The outcome of verifying a bundle in lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from ...profiler.evidence import Evidence
from ..hostile import visible
from ..terminal.console import MARKS, summary
from .captures import DAMAGE, told
from .verification import Problem, Status, Verification

_MARKS = {Status.OK: "✓", Status.WRONG: "✗", Status.UNPROVEN: "?", Status.ABSENT: "–"}
_WORDS = {Status.OK: "VERIFIED", Status.WRONG: "WRONG", Status.UNPROVEN: "NOT VERIFIED"}


def verification_lines(outcome: Verification) -> Iterator[str]:
    """The whole in one line, a line a check with what is wrong below it, then each pair with its claims, recomputed."""
    claims = (
        f"its claims, recomputed: {outcome.verdict.upper()}" if outcome.evidences else "no claim could be recomputed"
    )
    yield visible(f"{outcome.bundle}  {_WORDS[outcome.status]}  {claims}")
    for check in outcome.checks:
        yield visible(f"  {_MARKS[check.status]} {check.name:<12} {check.about}")
        yield from (visible(f"      {_problem(problem)}") for problem in check.problems)
        if check.mend:
            yield visible(f"      → {check.mend}")
    for evidence in outcome.evidences:
        yield from _claims(evidence)
    yield from (
        visible(f"{pair}  {MARKS['unproven']} UNPROVEN  the bundle has no capture of it") for pair in outcome.missing
    )


def _claims(evidence: Evidence) -> list[str]:
    try:
        *lines, source = summary(evidence)
    except DAMAGE as error:
        return [visible(f"{evidence.capture_id}: its claims cannot be shown: {told(error)}")]
    return [*lines, source.replace("(local)", "(from the bundle)")]


def _problem(problem: Problem) -> str:
    where = f": {problem.where}" if problem.where else ""
    return f"{problem.file}{where}: {problem.what}"
