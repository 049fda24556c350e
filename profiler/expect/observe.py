"""What a capture shows of everything that may be gated: absolute times, counts, overlap, rates, work, speedups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from ...declaration import Declaration
from ..analysis.metrics import METRICS, split
from ..evidence import Evidence, Finding, Rates, Speedup, VariantEvidence
from ..judging.bootstrap import LEAST_RUNS, median_interval, noise_floor
from ..judging.grounds import values_of
from ..judging.language import SPEEDUP, Claim, parse
from ..judging.rate_metrics import RATE_METRICS
from ..judging.speedup import speedup_of, times
from ..judging.terms import Term
from ..proof.conduct import during_runs
from ..proof.named import Traces
from ..proof.prove import prove_read, reading, worst_of
from ..ranges.faults import LOST
from ..store.captures import Capture
from ..trace.model import Trace
from .model import Context, Measurement, Source

ITERATION = "iteration"
COUNTS = tuple(f"{what}_per_iteration" for what in ("kernels", "copies", "memsets", "launch_calls", "syncs"))
RATES = ("rate(h2d)", "rate(d2h)")
WORK = ("flops", "dram_bytes", "achieved_flops")

_BETTER = {"x": "more", "B/s": "more", "FLOP/s": "more", "B": "less", "ns": "less"}
_VOID = frozenset(("outputs_invalid", "implausible", "unattested"))
_OF_COMPARISON = {">=": "more", ">": "more", "<=": "less", "<": "less", "==": ""}


@dataclass(frozen=True, slots=True)
class Observation:
    """One number of a capture. `better` and `claim` as in `Entry`; `threshold` is the claim's own, where it is a number."""

    variant: str
    metric: str
    tier: str
    unit: str
    better: str
    measured: Measurement
    claim: str = ""
    threshold: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.variant, self.metric, self.tier

    @property
    def counted_each(self) -> bool:
        """Counts are judged in every iteration, not by an interval."""
        return self.unit == "count"


@dataclass(frozen=True, slots=True)
class Observed:
    """A capture with everything that it shows. `obstacles` are why its numbers cannot be relied on at all, in words."""

    evidence: Evidence
    hardware_key: str
    context: Context
    source: Source
    observations: Mapping[tuple[str, str, str], Observation]
    obstacles: tuple[Finding, ...]

    @property
    def capture(self) -> str:
        return self.source.capture


def observe(
    capture: Capture, changed: Sequence[str] | None = None, read: Callable[[], Traces] | None = None
) -> Observed:
    """Judge a capture and collect its numbers.

    Args:
        changed: files that are not as they were captured; looked for where nothing is said of them.
        read: gives the capture's traces, where somebody else needs them too.

    Raises:
        UsageError, TraceError: as `prove_each`.
    """
    changed = capture.verify_files() if changed is None else changed
    read = read or reading(capture)
    each = prove_read(capture.manifest, capture.trace_path, read, capture.shipped, changed)
    evidence, used, trace = worst_of(each), len(each), next(iter(read()), None)
    obstacles = tuple({(f.code, str(f.values)): f for one in each.values() for f in _obstacles(one)}.values())
    found = (
        {} if obstacles else _of_all([list(_observations(one, capture.manifest.declaration)) for one in each.values()])
    )
    return Observed(
        evidence=evidence,
        hardware_key=key_of(capture, used),
        context=context_of(capture, trace, used),
        source=_source(capture, evidence, trace),
        observations=found,
        obstacles=obstacles,
    )


def _of_all(gpus: Iterable[Iterable[Observation]]) -> dict[tuple[str, str, str], Observation]:
    """Each number of the GPU on which it is worst; of one that can only differ, such as a count, the largest."""
    found: dict[tuple[str, str, str], Observation] = {}
    for one in (one for gpu in gpus for one in gpu):
        known = found.setdefault(one.key, one)
        mine, theirs = one.measured.value, known.measured.value
        if mine < theirs if one.better == "more" and not one.counted_each else mine > theirs:
            found[one.key] = one
    return found


def _obstacles(evidence: Evidence) -> list[Finding]:
    """Wrong outputs, an incomplete or changed trace: what makes every number of it void."""
    whole = [f for f in evidence.completeness.findings if (f.blocks and f.code != LOST) or f.code in _VOID]
    parts = [f for f in evidence.caveats if f.blocks == "range" or f.code in _VOID]
    return [*whole, *parts]


def gpus_used(evidence: Evidence) -> int:
    """On how many GPUs the measured iterations ran, however many the machine has."""
    return next((int(f.values["count"]) for f in evidence.caveats if f.code == "mixed_devices"), 1)


def key_of(capture: Capture, used: int) -> str:
    """`h200`, or `2x_h200` of iterations that ran on two."""
    key = capture.manifest.hardware_key
    return key if used == 1 else f"{used}x_{key}"


def context_of(capture: Capture, trace: Trace | None, used: int) -> Context:
    """What must be alike before captures may be compared; the GPU's name by the trace, where it is read and says so."""
    manifest = capture.manifest
    stated = manifest.gpus[0] if manifest.gpus else {}
    driver, mig = manifest.versions.get("driver") or stated.get("driver"), stated.get("mig")
    return Context(
        gpu=_gpu_name(trace) or str(stated.get("name") or "not known"),
        gpus_used=used,
        mig=mig if isinstance(mig, bool) else None,
        driver=str(driver).partition(".")[0] if driver else None,
        size=manifest.size,
        sizes=dict(manifest.sizes),
        attribution=manifest.declaration.attribution,
        queued=manifest.declaration.queued,
    )


def _gpu_name(trace: Trace | None) -> str:
    """The names of the devices in the trace, which no manifest can talk away; "" where the export does not say."""
    return "" if trace is None else " + ".join(sorted({gpu.name for gpu in trace.gpus if gpu.name}))


def _source(capture: Capture, evidence: Evidence, trace: Trace | None) -> Source:
    manifest, path = capture.manifest, capture.trace_path
    return Source(
        capture=manifest.id,
        trace_sha256=manifest.files[path.name].sha256 if path else None,
        created_utc=manifest.created_utc,
        commit=manifest.commit,
        driver=manifest.versions.get("driver"),
        versions=manifest.versions,
        profile=manifest.profile,
        conditions=dict(evidence.conditions),
        sm_mhz=_clock(capture, evidence, trace),
    )


def _clock(capture: Capture, evidence: Evidence, trace: Trace | None) -> float | None:
    """The median SM clock in MHz while the measured iterations ran; None where nothing was sampled then."""
    samples = during_runs(trace, capture.manifest.during, evidence.bounds)
    clocks = [sample.sm_mhz for sample in samples if sample.sm_mhz]
    return float(median(clocks)) if clocks else None


def _observations(evidence: Evidence, declaration: Declaration) -> Iterator[Observation]:
    capture, claims = evidence.capture_id, [parse(text, declaration.names) for text in declaration.claims]
    claimed = {(t.variant, t.metric): (c, t) for c in reversed(claims) for t in c.terms if not t.compared}
    tiers = ("trace", "events") if timed_by_trace(evidence) else ("events",)
    for variant in evidence.variants:
        yield from _times(capture, variant, tiers)
        wanted = dict.fromkeys((*COUNTS, *RATES))
        wanted |= {metric: None for name, metric in claimed if name == variant.name and metric not in RATE_METRICS}
        yield from _of_the_trace(capture, variant, tuple(wanted), claimed)
        yield from _of_counters(capture, variant, evidence.rates, claimed)
    yield from _speedups(evidence, claims, tiers[0])


def timed_by_trace(evidence: Evidence) -> bool:
    """False where tracing changed the times by more than the pair allows: then the trace shows structure only."""
    return not any(finding.blocks == "times" for finding in evidence.caveats)


def runs_of(evidence: Evidence, tier: str) -> int:
    """Iterations of the variant that has fewest."""
    return min(len(times(variant, tier)) for variant in evidence.variants)


Claimed = Mapping[tuple[str, str], tuple[Claim, Term]]


def _times(capture: str, variant: VariantEvidence, tiers: Iterable[str]) -> Iterator[Observation]:
    """Iteration times as the trace and as CUDA events of the bare run have them."""
    for tier in tiers:
        values = times(variant, tier)
        if len(values) >= LEAST_RUNS:
            measured = _by_interval(capture, values, noise_floor(values, np.arange(len(values))))
            yield Observation(variant.name, ITERATION, tier, "ns", "less", measured)


def _by_interval(capture: str, values: Sequence[float], noise: float | None = None) -> Measurement:
    """Iterations taken as independent: what makes neighbours alike makes sessions differ, and that is the tolerance's part."""
    low, high = median_interval(values, independent=True)
    return Measurement(capture, float(median(values)), low, high, len(values), noise)


def _in_each(capture: str, values: Sequence[float]) -> Measurement:
    return Measurement(capture, float(median(values)), float(min(values)), float(max(values)), len(values))


def _of_the_trace(
    capture: str, variant: VariantEvidence, wanted: Iterable[str], claimed: Claimed
) -> Iterator[Observation]:
    """Metrics that are defined in every iteration of the trace; a rate that nothing was copied at is none."""
    for metric in wanted:
        values = values_of(metric, variant, {})
        if values and len(values) == len(variant.iterations):
            yield _observation(capture, variant.name, metric, "trace", METRICS[split(metric)[0]].unit, values, claimed)


def _of_counters(
    capture: str, variant: VariantEvidence, rates: Mapping[str, Rates], claimed: Claimed
) -> Iterator[Observation]:
    wanted = dict.fromkeys(WORK)
    wanted |= {metric: None for name, metric in claimed if name == variant.name and metric in RATE_METRICS}
    for metric in wanted:
        values = values_of(metric, variant, rates)
        if values:
            yield _observation(capture, variant.name, metric, "counted", RATE_METRICS[metric].unit, values, claimed)


def _observation(
    capture: str, variant: str, metric: str, tier: str, unit: str, values: Sequence[float], claimed: Claimed
) -> Observation:
    claim, term = claimed.get((variant, metric), (None, None))
    mine = claim is not None and claim.left is term and not isinstance(claim.right, Term)
    better = _OF_COMPARISON[claim.comparison] if claim is not None and mine else _BETTER.get(unit, "")
    return Observation(
        variant=variant,
        metric=metric,
        tier=tier,
        unit=unit,
        better=better,
        measured=(_in_each if unit == "count" else _by_interval)(capture, values),
        claim=claim.text if claim else "",
        threshold=float(claim.right) if claim is not None and mine and not isinstance(claim.right, Term) else None,
    )


def _speedups(evidence: Evidence, claims: Sequence[Claim], tier: str) -> Iterator[Observation]:
    """The pair's speedup, and those between other variants that its claims name, by one tier of times."""
    variants = {variant.name: variant for variant in evidence.variants}
    first = Term(SPEEDUP, "", (evidence.baseline.name, evidence.optimized.name))
    asked: dict[str, tuple[Term, Claim | None]] = {SPEEDUP: (first, None)}
    for stated in reversed(claims):
        asked |= {term.metric: (term, stated) for term in stated.terms if term.compared}
    for term, claim in asked.values():
        before, after = term.compared or ("", "")
        found = speedup_of(variants[before], variants[after], tier)
        if found is not None and min(found.n_baseline, found.n_optimized) >= LEAST_RUNS:
            yield _of_speedup(evidence.capture_id, found, term, claim)


def _of_speedup(capture: str, found: Speedup, term: Term, claim: Claim | None) -> Observation:
    number = claim is not None and claim.left == term and not isinstance(claim.right, Term)
    return Observation(
        variant="",
        metric=term.metric,
        tier=found.source,
        unit="x",
        better=_OF_COMPARISON[claim.comparison] if claim is not None and number else "more",
        measured=Measurement(
            capture, found.value, found.low, found.high, min(found.n_baseline, found.n_optimized), found.noise_floor
        ),
        claim=claim.text if claim else "",
        threshold=float(claim.right) if claim is not None and not isinstance(claim.right, Term) else None,
    )


def clock_hull(measured: Measurement, clock: float | None, reference: float | None) -> tuple[float, float]:
    """The widened interval of a time, with its ends at the clock it ran at and scaled to the reference clock.

    A time that hangs on the SM clock alone scales as 1 / clock, one that copies or memory bound not at all; what is true lies
    between the two, so both must agree before anything is concluded.
    """
    low, high = measured.widened()
    if not clock or not reference:
        return low, high
    scale = clock / reference
    return min(low, low * scale), max(high, high * scale)
