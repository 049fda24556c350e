"""A proof in a few lines of text, for a terminal or a log."""

from __future__ import annotations

from itertools import zip_longest

from ...profiler.evidence import ClaimResult, Evidence, Finding
from ..catalog import Catalog, catalog
from ..hostile import visible
from ..page.claims import alike, verdict_word
from ..page.origin import mark
from ..units import duration, quantity

_TIMES = {"trace": "the trace", "events": "CUDA events of the untraced run"}
MARKS = {"proven": "✓", "refuted": "✗", "unproven": "?", "invalid": "!", "unsupported": "–"}


def summary(evidence: Evidence, lang: str = "en") -> list[str]:
    """Verdict and speedup, one line per claim with what was measured, and what it all rests on."""
    say = catalog(lang)
    lines = [visible(f"{evidence.manifest.pair}  {told(evidence, say)}{_speedup(evidence)}")]
    if evidence.manifest.origin is not None:
        lines.append(f"  {mark(evidence, say)}")
    wide = max((len(claim.text) for claim in evidence.claims), default=0)
    for claim, after in zip_longest(evidence.claims, evidence.claims[1:]):
        lines.append(visible(f"  {MARKS[claim.verdict]} {claim.text:<{wide}}  {_measured(claim)}"))
        if after is None or after.reasons != claim.reasons:  # for several claims, at the last
            lines += [visible(f"      {seen(reason, say)}") for reason in claim.reasons]
    lines += [visible(f"  {seen(finding, say)}") for finding in evidence.completeness.findings]
    lines += [visible(line) for line in _tier(evidence, say)]
    return [*lines, visible(f"  {_source(evidence)}")]


def told(evidence: Evidence, say: Catalog) -> str:
    """The verdict in capitals; where no difference is claimed and shown, that, so that a list of wins holds no such pair."""
    return (verdict_word(evidence, say) if alike(evidence) else str(evidence.verdict)).upper()


def _tier(evidence: Evidence, say: Catalog) -> list[str]:
    """Which tier the FLOPs are of, if counting was asked for, and why it is no better."""
    if evidence.manifest.counters is None:
        return []
    tiers = ", ".join(f"{variant} {one.tier}" for variant, one in evidence.rates.items()) or "unknown"
    reasons = [say.finding(reason) for one in evidence.rates.values() for reason in one.reasons]
    return [f"  FLOPs: {tiers}", *dict.fromkeys(f"      {one.seen} → {one.mend}" for one in reasons)]


def _speedup(evidence: Evidence) -> str:
    speedup = evidence.speedup
    if speedup is None:
        return ""
    interval = f"[{quantity(speedup.low, 'x')}, {quantity(speedup.high, 'x')}]"
    times = f"{duration(speedup.baseline_ns)} → {duration(speedup.optimized_ns)}"
    runs = f"n = {speedup.n_baseline} + {speedup.n_optimized}"
    return f"  {quantity(speedup.value, 'x')} {interval}  {times}, {runs}, times from {_TIMES[speedup.source]}"


def _measured(claim: ClaimResult) -> str:
    if claim.measured is None:
        return "not measured"
    value = quantity(claim.measured, claim.unit)
    if claim.low is None or claim.high is None:
        return f"{value} (worst of {claim.n})"
    return f"{value} [{quantity(claim.low, claim.unit)}, {quantity(claim.high, claim.unit)}]"


def seen(finding: Finding, say: Catalog) -> str:
    """What was seen, in one sentence."""
    return say.finding(finding).seen


def _source(evidence: Evidence) -> str:
    manifest = evidence.manifest
    gpus = [str(gpu.get("name") or "?") for gpu in manifest.gpus]
    origin = "came with aisp-prof" if evidence.shipped else "local"
    where = ", ".join(gpus) or "unknown GPU"
    return f"capture {evidence.capture_id} ({origin}), {where}, {manifest.created_utc}"
