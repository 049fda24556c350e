"""A pair against what is expected of it on its hardware: the times of both variants, the speedup, and everything that
does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...declaration import VARIANTS
from ...profiler.evidence import Evidence, Verdict
from ...profiler.expect.check import Checked, Row, Status
from ...profiler.expect.observe import ITERATION
from ...profiler.judging.language import SPEEDUP
from ..catalog import Catalog
from ..hostile import shell_word
from ..terminal.expectations import bound_text
from ..units import NOTHING, quantity

_HOLD = (Status.MET, Status.IMPROVED)
_VERDICTS = {
    Status.MET: Verdict.PROVEN,
    Status.IMPROVED: Verdict.PROVEN,
    Status.REGRESSED: Verdict.REFUTED,
}
"""The verdict whose mark and colour an outcome gets; any other outcome gets those of "unproven"."""


@dataclass(frozen=True, slots=True)
class ExpectedRow:
    """One expectation: its bound, what was measured, and the outcome."""

    name: str
    tier: str
    bound: str
    measured: str
    outcome: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Against:
    """The section: `words` say how many hold, `others` how many of the ones that hold have no row."""

    words: str
    rows: tuple[ExpectedRow, ...]
    others: str


def against(evidence: Evidence, expected: Mapping[str, Checked | None], say: Catalog) -> Against | None:
    """How the expectations of a capture fared; None if they were not checked, its outputs are wrong, or it
    is of no pair: of ranges that somebody named nothing is expected."""
    if evidence.capture_id not in expected or evidence.verdict is Verdict.INVALID or evidence.manifest.origin:
        return None
    checked = expected[evidence.capture_id]
    if checked is None:
        return Against(say("against.none", hardware=evidence.manifest.hardware_key, command=_update(evidence)), (), "")
    rows = [row for row in checked.rows if row.entry is not None]
    shown = [row for row in rows if row.status not in _HOLD or _is_told(row, evidence)]
    words = say("against.held", hardware=checked.hardware_key, held=sum(r.status in _HOLD for r in rows), all=len(rows))
    if checked.reasons:
        words = say("against.incomparable", hardware=checked.hardware_key, reasons="; ".join(checked.reasons))
        shown = []
    others = len(rows) - len(shown)
    return Against(
        words,
        tuple(_row(row, say) for row in shown),
        say("against.others", n=others) if others and shown else "",
    )


def _update(evidence: Evidence) -> str:
    """What makes expectations of this capture and others that agree with it."""
    pair = evidence.manifest.declaration
    return f'aisp-prof expect update {shell_word(f"{pair.chapter}:{pair.name}")} --reason "…" --write'


def _is_told(row: Row, evidence: Evidence) -> bool:
    """Whether a row always shows: the speedup and its two times, from the runs that it rests on."""
    tier = evidence.speedup.source if evidence.speedup else "trace"
    return row.tier == tier and (row.metric == SPEEDUP or (row.metric == ITERATION and row.variant in VARIANTS))


def _row(row: Row, say: Catalog) -> ExpectedRow:
    return ExpectedRow(
        row.name,
        say(f"tier.{row.tier}"),
        bound_text(row.entry.bound, row.unit) if row.entry else NOTHING,
        quantity(row.measured.value, row.unit) if row.measured else NOTHING,
        say(f"outcome.{row.status.value}"),
        _VERDICTS.get(row.status, Verdict.UNPROVEN),
    )
