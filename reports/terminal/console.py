"""A proof in a few lines of text, for a terminal or a log."""

from __future__ import annotations

from itertools import zip_longest

from ...profiler.evidence import ClaimResult, Evidence, Finding
from ..catalog import Catalog, catalog
from ..hostile import visible
from ..page.claims import verdict_word
from ..page.origin import mark
from ..units import duration, quantity

MARKS = {"proven": "✓", "refuted": "✗", "unproven": "?", "invalid": "!", "unsupported": "–"}


def summary(evidence: Evidence, lang: str = "en", bundled: bool = False) -> list[str]:
    """Verdict and speedup, one line per claim with what was measured, and what it all rests on.

    Args:
        bundled: the capture lies in a bundle.
    """
    say = catalog(lang)
    lines = [visible(f"{evidence.manifest.pair}  {told(evidence, say)}{_speedup(evidence, say)}")]
    if evidence.manifest.origin is not None:
        lines.append(f"  {mark(evidence, say)}")
    wide = max((len(claim.text) for claim in evidence.claims), default=0)
    for claim, after in zip_longest(evidence.claims, evidence.claims[1:]):
        lines.append(visible(f"  {MARKS[claim.verdict]} {claim.text:<{wide}}  {_measured(claim, say)}"))
        if after is None or after.reasons != claim.reasons:  # for several claims, at the last
            lines += [visible(f"      {seen(reason, say)}") for reason in claim.reasons]
    lines += [visible(f"  {seen(finding, say)}") for finding in evidence.completeness.findings]
    lines += [visible(line) for line in (*_uncounted(evidence, say), *_tier(evidence, say))]
    origin = say("console.bundled" if bundled else "console.shipped" if evidence.shipped else "console.local")
    return [*lines, visible(f"  {_source(evidence, say, origin)}")]


def told(evidence: Evidence, say: Catalog) -> str:
    """The verdict in capitals; where no difference is claimed and shown, that, so that a list of wins holds no such pair."""
    return verdict_word(evidence, say).upper()


def _uncounted(evidence: Evidence, say: Catalog) -> list[str]:
    """Work inside the ranges that is not counted, and how to count it: a claim on a training step would be one on its first half."""
    found = [say.finding(one) for one in evidence.caveats if one.code == "other_threads"]
    return [f"  {one.seen} → {one.mend}" for one in found]


def _tier(evidence: Evidence, say: Catalog) -> list[str]:
    """Which tier the FLOPs are of, if counting was asked for, and why it is no better."""
    if evidence.manifest.counters is None:
        return []
    tiers = ", ".join(f"{variant} {one.tier}" for variant, one in evidence.rates.items())
    reasons = [say.finding(reason) for one in evidence.rates.values() for reason in one.reasons]
    told_of = say("console.flops", tiers=tiers or say("console.unknown"))
    return [f"  {told_of}", *dict.fromkeys(f"      {one.seen} → {one.mend}" for one in reasons)]


def _speedup(evidence: Evidence, say: Catalog) -> str:
    speedup = evidence.speedup
    if speedup is None:
        return ""
    factor, low, high = (quantity(value, "x") for value in (speedup.value, speedup.low, speedup.high))
    return "  " + say(
        "console.speedup",
        factor=factor,
        low=low,
        high=high,
        baseline=duration(speedup.baseline_ns),
        optimized=duration(speedup.optimized_ns),
        n_baseline=speedup.n_baseline,
        n_optimized=speedup.n_optimized,
        source=say("console.from_trace" if speedup.source == "trace" else "console.from_events"),
    )


def _measured(claim: ClaimResult, say: Catalog) -> str:
    if claim.measured is None:
        return say("console.not_measured")
    value = quantity(claim.measured, claim.unit)
    if claim.low is None or claim.high is None:
        return say("console.worst_of", value=value, n=claim.n)
    return f"{value} [{quantity(claim.low, claim.unit)}, {quantity(claim.high, claim.unit)}]"


def seen(finding: Finding, say: Catalog) -> str:
    """What was seen, in one sentence."""
    return say.finding(finding).seen


def _source(evidence: Evidence, say: Catalog, origin: str) -> str:
    manifest = evidence.manifest
    gpus = ", ".join(str(gpu.get("name") or "?") for gpu in manifest.gpus)
    where = gpus or say("console.no_gpu")
    return say("console.capture", id=evidence.capture_id, origin=origin, where=where, created=manifest.created_utc)
