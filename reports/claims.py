"""Claimed against measured: every claim as a row, and what kept it from being proven."""

from __future__ import annotations

from dataclasses import dataclass

from ..profiler.evidence import ClaimResult, Evidence, Verdict
from .catalog import Catalog, FindingText
from .units import NOTHING, quantity

_ASKED = {">=": "at_least", "<=": "at_most", "==": "exactly", ">": "more_than", "<": "less_than", "!=": "other_than"}


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One claim. `spread` is its 95 % interval, or else the range over all iterations."""

    text: str
    asked: str
    measured: str
    spread: str
    n: str
    verdict: Verdict
    reasons: tuple[FindingText, ...]


def claim_rows(evidence: Evidence, say: Catalog) -> tuple[ClaimRow, ...]:
    """Every claim in the order of the declaration."""
    return tuple(_row(claim, evidence, say) for claim in evidence.claims)


def asked(claim: ClaimResult, say: Catalog) -> str:
    """The threshold in words: "at least 2.10×"."""
    value = quantity(claim.threshold, claim.unit)
    key = _ASKED.get(claim.comparison)
    return say(f"claims.{key}", value=value) if key else f"{claim.comparison} {value}"


def speedup_claim(evidence: Evidence) -> ClaimResult | None:
    """The claim on the factor between the variants, if one is made."""
    return next((claim for claim in evidence.claims if claim.unit == "x"), None)


def held(evidence: Evidence) -> int:
    """How many claims are proven."""
    return sum(claim.verdict is Verdict.PROVEN for claim in evidence.claims)


def _row(claim: ClaimResult, evidence: Evidence, say: Catalog) -> ClaimRow:
    reasons = tuple(say.finding(reason, claim.unit) for reason in claim.reasons)
    measured = quantity(claim.measured, claim.unit)
    spread = _spread(claim, say)
    return ClaimRow(claim.text, asked(claim, say), measured, spread, _n(claim, evidence), claim.verdict, reasons)


def _n(claim: ClaimResult, evidence: Evidence) -> str:
    """A factor between the variants rests on the runs of both."""
    speedup = evidence.speedup
    return f"{speedup.n_baseline} + {speedup.n_optimized}" if claim.unit == "x" and speedup else str(claim.n)


def _spread(claim: ClaimResult, say: Catalog) -> str:
    if claim.low is not None and claim.high is not None:
        return say("claims.between", low=quantity(claim.low, claim.unit), high=quantity(claim.high, claim.unit))
    if not claim.values or claim.measured is None:
        return NOTHING
    low, high = quantity(min(claim.values), claim.unit), quantity(max(claim.values), claim.unit)
    return say("claims.all_alike", value=low) if low == high else say("claims.between", low=low, high=high)
