"""The outcome of verifying a bundle in lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from ...profiler.evidence import Evidence
from ..catalog import Catalog, catalog
from ..hostile import visible
from ..terminal.console import MARKS, summary
from .captures import DAMAGE, told
from .verification import Problem, Status, Verification

_MARKS = {Status.OK: "✓", Status.WRONG: "✗", Status.UNPROVEN: "?", Status.ABSENT: "–"}
_WORDS = {
    Status.OK: "console.verify.ok",
    Status.WRONG: "console.verify.wrong",
    Status.UNPROVEN: "console.verify.unproven",
}


def verification_lines(outcome: Verification, lang: str = "en") -> Iterator[str]:
    """The whole in one line, a line a check with what is wrong below it, then each pair with its claims, recomputed.

    What was checked, and what is wrong, is said in English whatever the language: it is what `--json` says too.
    """
    say = catalog(lang)
    claims = say("console.verify.claims", verdict=say(f"verdict.{outcome.verdict}").upper())
    claims = claims if outcome.evidences else say("console.verify.no_claims")
    yield visible(f"{outcome.bundle}  {say(_WORDS[outcome.status])}  {claims}")
    for check in outcome.checks:
        yield visible(f"  {_MARKS[check.status]} {check.name:<12} {check.about}")
        yield from (visible(f"      {_problem(problem)}") for problem in check.problems)
        if check.mend:
            yield visible(f"      → {check.mend}")
    for evidence in outcome.evidences:
        yield from _claims(evidence, say)
    missing = f"{MARKS['unproven']} {say('verdict.unproven').upper()}  {say('console.verify.no_capture')}"
    yield from (visible(f"{pair}  {missing}") for pair in outcome.missing)


def _claims(evidence: Evidence, say: Catalog) -> list[str]:
    try:
        return summary(evidence, say.lang, bundled=not evidence.shipped)
    except DAMAGE as error:
        return [visible(f"{evidence.capture_id}: {say('console.verify.not_shown', why=told(error))}")]


def _problem(problem: Problem) -> str:
    where = f": {problem.where}" if problem.where else ""
    return f"{problem.file}{where}: {problem.what}"
