"""Claimed against measured: one row per claim, and what kept it from being proven."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from ...profiler.evidence import ClaimResult, Evidence, Verdict
from ...profiler.judging.language import Claim
from ..catalog import Catalog, FindingText
from ..claim_words import in_words, read
from ..units import NOTHING, quantity

_UNIT = re.compile(r"[^0-9.,−–]+$")
_ASKED = {">=": "at_least", "<=": "at_most", "==": "exactly", ">": "more_than", "<": "less_than", "!=": "other_than"}


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One claim; `words` say what `text` claims, "" of one that is not of this language. `spread` is its 95 % interval, or else the range over all iterations. Neighbouring rows with the same
    reasons show them once, at the last; `joined` means that the next row's reasons apply here too.
    """

    text: str
    words: str
    measured: str
    spread: str
    n: str
    verdict: Verdict
    reasons: tuple[FindingText, ...]
    joined: bool = False


MOST_CLAIMS = 5
"""Proven claims that stand on a pair's page, beside all that are not proven; the rest are in the appendix."""


def told_first(evidence: Evidence) -> tuple[list[ClaimResult], list[ClaimResult]]:
    """The claims of a pair's page: those that are not proven, and the first of the others; and those of the appendix, all proven."""
    proven = [claim for claim in evidence.claims if claim.verdict is Verdict.PROVEN]
    main = speedup_claim(evidence)
    first = sorted(proven, key=lambda claim: claim is not main)[:MOST_CLAIMS]
    further = [claim for claim in proven if not any(claim is one for one in first)]
    return [claim for claim in evidence.claims if not any(claim is one for one in further)], further


def claim_rows(claims: Sequence[ClaimResult], evidence: Evidence, say: Catalog) -> tuple[ClaimRow, ...]:
    """These claims of the evidence, in their order."""
    rows = [_row(claim, evidence, say) for claim in claims]
    return tuple(
        replace(row, reasons=(), joined=True) if after and row.reasons and row.reasons == after.reasons else row
        for row, after in zip_longest(rows, rows[1:])
    )


def asked(claim: ClaimResult, say: Catalog) -> str:
    """The threshold in words: "at least 2.10×"."""
    value = quantity(claim.threshold, claim.unit)
    key = _ASKED.get(claim.comparison)
    return say(f"claims.{key}", value=value) if key else f"{claim.comparison} {value}"


def speedup_claim(evidence: Evidence) -> ClaimResult | None:
    """The claim about the factor between the variants, if there is one."""
    return next((claim for claim in evidence.claims if claim.metric == "speedup"), None)


ALIKE = 0.05
"""Times that differ by no more than clocks move within a session are the same to a reader."""


def alike(evidence: Evidence) -> bool:
    """Whether no difference is what the pair claims, its speedup being bounded from above too, and what was shown."""
    bounded = any(claim.metric == "speedup" and claim.comparison in ("<=", "<") for claim in evidence.claims)
    return bounded and _near_one(evidence) and evidence.verdict is Verdict.PROVEN


def _near_one(evidence: Evidence) -> bool:
    speedup = evidence.speedup
    return speedup is not None and speedup.low >= 1 - ALIKE and speedup.high <= 1 + ALIKE


def not_slower(evidence: Evidence) -> bool:
    """Whether all that the pair claims of its speedup is that nothing is lost, and that is what was shown."""
    bounds = [claim for claim in evidence.claims if claim.metric == "speedup"]
    no_gain = bool(bounds) and all(one.comparison in (">=", ">") and (one.threshold or 0) <= 1 for one in bounds)
    return no_gain and _near_one(evidence) and evidence.verdict is Verdict.PROVEN


def outcome(evidence: Evidence) -> str:
    """The verdict, but "alike" or "not_slower" where what is proven is no win: what lists and counts of wins leave out."""
    return "alike" if alike(evidence) else "not_slower" if not_slower(evidence) else str(evidence.verdict)


def verdict_word(evidence: Evidence, say: Catalog) -> str:
    """The outcome as a reader is told it: no win where none is claimed."""
    return say(f"verdict.{outcome(evidence)}")


def held(evidence: Evidence) -> int:
    """How many claims are proven."""
    return sum(claim.verdict is Verdict.PROVEN for claim in evidence.claims)


def _row(claim: ClaimResult, evidence: Evidence, say: Catalog) -> ClaimRow:
    reasons = tuple(say.finding(reason, claim.unit) for reason in claim.reasons)
    measured = quantity(claim.measured, claim.unit, claim.threshold)
    spread = _spread(claim, say)
    parsed = read(claim.text, evidence.manifest.declaration.names)
    words = in_words(parsed, say) if parsed else ""
    return ClaimRow(claim.text, words, measured, spread, _n(claim, parsed, evidence, say), claim.verdict, reasons)


def _n(claim: ClaimResult, parsed: Claim | None, evidence: Evidence, say: Catalog) -> str:
    """A factor between variants rests on the runs of both; runs that resemble their neighbours count as fewer."""
    speedup = evidence.speedup
    if parsed and parsed.left.compared and speedup:
        runs = {
            one.name: one.untraced_ns if speedup.source == "events" else one.iterations for one in evidence.variants
        }
        return " + ".join(str(len(runs[name])) for name in parsed.left.compared)
    if claim.effective_n is None or claim.effective_n >= claim.n:
        return str(claim.n)
    return say("claims.counts_for", n=claim.n, effective=int(claim.effective_n))


def _spread(claim: ClaimResult, say: Catalog) -> str:
    if claim.low is not None and claim.high is not None:
        return _between(claim.low, claim.high, claim.unit, say, apart_from=claim.threshold)
    if not claim.values or claim.measured is None:
        return NOTHING
    return _between(min(claim.values), max(claim.values), claim.unit, say, "claims.all_alike")


def _between(
    low: float, high: float, unit: str, say: Catalog, alike: str = "claims.alike", apart_from: float | None = None
) -> str:
    """Both ends, with the unit once; a single value if both read the same."""
    first, last = quantity(low, unit, apart_from), quantity(high, unit, apart_from)
    if first == last:
        return say(alike, value=last)
    unit_of_last = _UNIT.search(last)
    if unit_of_last:
        first = first.removesuffix(unit_of_last[0])
    return say("claims.between", low=first, high=last)
