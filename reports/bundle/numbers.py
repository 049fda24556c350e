"""Every number of a proof by name: its value, how it was computed, of which rows or records, out of which file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

from ...errors import UsageError
from ...profiler.analysis import metrics
from ...profiler.evidence import Evidence, VariantEvidence
from ...profiler.judging.apart import APART, SESSIONS
from ...profiler.judging.bootstrap import CONFIDENCE, RESAMPLES, SEED
from ...profiler.judging.limits import OF_PAIR
from ...profiler.judging.rate_metrics import RATE_METRICS

TRACE, MANIFEST, COUNTERS, CLAIM, CAPTURE = "trace", "manifest", "counters", "claim", "capture"
"""What a number is read from: a file of the capture; the declaration's own text, as for a threshold; or several files."""
SECOND = "trace-optimized"
"""Of two runs the trace of the optimized variant."""

_INTERVAL = f"{CONFIDENCE:.0%} bootstrap over rounds, {RESAMPLES} resamples, numpy default_rng({SEED})"
_OF_SESSIONS = f"of both medians' intervals, and {SESSIONS:.0%} beyond for what moves between sessions"
_OF_MEDIAN = f"{CONFIDENCE:.0%} interval of the median by order statistics, of effective_n values"


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a proof.

    name     where it stands in the evidence: "optimized.iterations[3].hidden(h2d, d2h)"
    metric   how it is computed, in the words of docs/metrics.md
    of       what it is computed of: a selector of proof.json, or records of the manifest
    source   TRACE, MANIFEST, COUNTERS, CLAIM or CAPTURE
    """

    name: str
    value: int | float
    unit: str
    metric: str
    of: str
    source: str


def numbers(evidence: Evidence) -> Iterator[Number]:
    """Every number that the pages can print, in the order of the evidence."""
    variants = evidence.variants
    numbered = "payload of the range" if evidence.manifest.origin is None else "place in the order of time"
    for variant in variants:
        yield from _of_variant(variant, numbered)
    yield from _speedup("speedup", evidence.speedup, "baseline", "optimized")
    yield from _claims(evidence)
    for name, ratio in evidence.perturbation.items():
        how, of = _PERTURBATION if evidence.manifest.origin is None else _OF_PROGRAMS
        yield Number(f"perturbation.{name}", ratio, "x", how, f"{of} of {name}", MANIFEST)
    yield from _gain("gain", evidence.gain, "baseline", "optimized")
    for step in evidence.steps:
        name, of = f"steps.{step.variant}", f"{step.before}, {step.variant}"
        yield Number(f"{name}.saved_ns", step.saved_ns, "ns", "difference of the medians", of, _times_from(evidence))
        yield from _speedup(f"{name}.speedup", step.speedup, step.before, step.variant)
        yield from _gain(f"{name}.gain", step.gain, step.before, step.variant)
    yield from _whole_trace(evidence)
    yield from _rates(evidence)
    for name, size in evidence.manifest.sizes.items():
        yield Number(f"sizes.{name}", size, "", "as captured", f"sizes.{name}", MANIFEST)


_PERTURBATION = (
    "median(traced event_ns) / median(untraced event_ns)",
    "runs.traced.iterations, runs.untraced.iterations",
)
_OF_PROGRAMS = ("median(traced wall_ns) / least(bare wall_ns)", "origin.traced, origin.bare")


def _times_from(evidence: Evidence) -> str:
    return MANIFEST if evidence.speedup and evidence.speedup.source == "events" else TRACE


def _of_variant(variant: VariantEvidence, numbered: str) -> Iterator[Number]:
    columns: dict[str, list[int | float]] = {}
    for position, iteration in enumerate(variant.iterations):
        of = f"{variant.name}.iterations[{position}]"
        bounds = {"start": iteration.start, "end": iteration.end, "host_ns": iteration.host_ns}
        known = {name: value for name, value in bounds.items() if value is not None}
        yield Number(f"{of}.index", iteration.index, "", numbered, of, TRACE)
        for metric, value in {**known, **iteration.numbers}.items():
            yield Number(f"{of}.{metric}", value, _unit(metric), _BOUNDS.get(metric, metric), of, TRACE)
            columns.setdefault(metric, []).append(value)
        columns.setdefault("iteration", []).append(iteration.end - iteration.start)
    for metric, values in columns.items():
        if metric not in ("start", "end"):
            name = f"{variant.name}.median.{metric}"
            how = f"median({_BOUNDS.get(metric, metric)})"
            yield Number(name, median(values), _unit(metric), how, f"{variant.name}.iterations[*]", TRACE)
    if variant.median_index is not None:
        how = "position of the iteration of lower median length, which is drawn"
        yield Number(
            f"{variant.name}.median_index", variant.median_index, "", how, f"{variant.name}.iterations[*]", TRACE
        )
    for position, ns in enumerate(variant.untraced_ns):
        of = f"runs.untraced.iterations of {variant.name}"
        yield Number(f"{variant.name}.untraced_ns[{position}]", ns, "ns", "event_ns", of, MANIFEST)
    for position, at in enumerate(variant.untraced_at):
        how, of = "place in the order of all runs", f"runs.untraced.iterations of {variant.name}"
        yield Number(f"{variant.name}.untraced_at[{position}]", at, "", how, of, MANIFEST)


_BOUNDS = {
    "start": "start of the first operation",
    "end": "end of the last operation to end",
    "host_ns": "length of the NVTX range",
    "iteration": "end - start",
}


@cache
def _unit(metric: str) -> str:
    if metric in _BOUNDS:
        return "ns"
    if metric in RATE_METRICS:
        return RATE_METRICS[metric].unit
    try:
        return metrics.METRICS[metrics.split(metric)[0]].unit
    except UsageError:
        return ""


def _speedup(name: str, speedup: Any, before: str, after: str) -> Iterator[Number]:
    if speedup is None:
        return
    events = speedup.source == "events"
    first, second = ((f"{v}.untraced_ns[*]" if events else f"{v}.iterations[*]") for v in (before, after))
    source, both = (MANIFEST if events else TRACE), f"{first}, {second}"
    yield Number(f"{name}.value", speedup.value, "x", f"median({before}) / median({after})", both, source)
    interval = _INTERVAL if speedup.rounds > APART else _OF_SESSIONS
    yield Number(f"{name}.low", speedup.low, "x", f"lower end, {interval}", both, source)
    yield Number(f"{name}.high", speedup.high, "x", f"upper end, {interval}", both, source)
    yield Number(f"{name}.baseline_ns", speedup.baseline_ns, "ns", "median(iteration)", first, source)
    yield Number(f"{name}.optimized_ns", speedup.optimized_ns, "ns", "median(iteration)", second, source)
    yield Number(f"{name}.n_baseline", speedup.n_baseline, "", "count", first, source)
    yield Number(f"{name}.n_optimized", speedup.n_optimized, "", "count", second, source)
    yield Number(f"{name}.rounds", speedup.rounds, "", "stretches in which both took their turns", both, source)
    how = f"distance from 1 of median(time in an even round / in the odd one after it), the larger of {before}, {after}"
    yield Number(f"{name}.noise_floor", speedup.noise_floor, "", how, both, source)


def _claims(evidence: Evidence) -> Iterator[Number]:
    for position, claim in enumerate(evidence.claims):
        name, of = f"claims[{position}]", _of_claim(claim.variant, claim.metric)
        of_times = claim.metric in OF_PAIR or not claim.values
        source = COUNTERS if claim.metric in RATE_METRICS else _times_from(evidence) if of_times else TRACE
        deciding = "the value that decides" if claim.values else claim.metric
        interval = _OF_MEDIAN if claim.values else _INTERVAL
        told = {"measured": deciding, "low": f"lower end, {interval}", "high": f"upper end, {interval}", "n": "count"}
        told |= {"autocorrelation": "lag-1 autocorrelation of values", "effective_n": "docs/metrics.md: effective n"}
        if claim.threshold is not None:
            yield Number(f"{name}.threshold", claim.threshold, claim.unit, "as claimed", claim.text, CLAIM)
        for end in ("threshold_low", "threshold_high"):
            if (value := getattr(claim, end)) is not None:
                yield Number(
                    f"{name}.{end}", value, claim.unit, "95 % interval of what was measured", claim.text, CAPTURE
                )
        for field, how in told.items():
            if (value := getattr(claim, field)) is not None:
                yield Number(f"{name}.{field}", value, "" if field in _PLAIN else claim.unit, how, of, source)
        for place, value in enumerate(claim.values):
            yield Number(
                f"{name}.values[{place}]", value, claim.unit, claim.metric, of.replace("*", str(place)), source
            )
        yield from _findings(f"{name}.reasons", claim.reasons)


_PLAIN = ("n", "autocorrelation", "effective_n")
"""Fields of a claim that have not its unit."""


def _of_claim(variant: str, metric: str) -> str:
    if variant:
        return f"rates.{variant}" if metric in RATE_METRICS else f"{variant}.iterations[*]"
    return metric


def _gain(name: str, terms: Sequence[Any], before: str, after: str) -> Iterator[Number]:
    of = f"{before}.iterations[*], {after}.iterations[*]"
    for term in terms:
        yield Number(f"{name}.{term.code}", term.ns, "ns", "term of the gain ledger", of, TRACE)


def _whole_trace(evidence: Evidence) -> Iterator[Number]:
    seen = evidence.completeness
    for line in evidence.ledger:
        yield Number(f"ledger.{line.code}", line.count, "", "line of the launch ledger", "the whole trace", TRACE)
    if seen.events_stated is not None:
        how = "sum of what DIAGNOSTIC_EVENT states"
        yield Number("completeness.events_stated", seen.events_stated, "", how, "the whole trace", TRACE)
    how = "rows of the tables that count as events"
    yield Number("completeness.events_found", seen.events_found, "", how, "the whole trace", TRACE)
    yield from _findings("completeness.findings", seen.findings)
    yield from _findings("caveats", evidence.caveats)
    for name, ends in evidence.conditions.items():
        for end, value in zip(("low", "high"), ends, strict=True):
            how = f"{'least' if end == 'low' else 'largest'} during the measured runs"
            yield Number(f"conditions.{name}.{end}", value, name.rpartition("_")[2], how, "conditions.during", MANIFEST)


def _findings(name: str, findings: Sequence[Any]) -> Iterator[Number]:
    for position, finding in enumerate(findings):
        for key, value in finding.values.items():
            if isinstance(value, int | float):
                how = f"{key} of the finding {finding.code}"
                yield Number(f"{name}[{position}].{key}", value, "", how, "the whole capture", CAPTURE)


def _rates(evidence: Evidence) -> Iterator[Number]:
    for variant, rates in evidence.rates.items():
        for field, value in _leaves({name: getattr(rates, name) for name in rates.__slots__ if name != "reasons"}):
            source = TRACE if field.startswith("busy_ns") else MANIFEST if "declared" in field else COUNTERS
            of = f"{variant}.iterations[*]" if source == TRACE else f"{variant}.measure/iter"
            yield Number(f"rates.{variant}.{field}", value, "", field.partition("[")[0], of, source)
        yield from _findings(f"rates.{variant}.reasons", rates.reasons)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, int | float]]:
    """Every number below a value, by its path."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _leaves(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for position, one in enumerate(value):
            yield from _leaves(one, f"{name}[{position}]")
    elif hasattr(value, "__slots__") and not isinstance(value, str | int | float):
        yield from _leaves({slot: getattr(value, slot) for slot in value.__slots__}, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value
