"""The records of a proof: every number that a page prints, from which capture it came, and what was concluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from .manifest import Manifest

SCHEMA = 1


class Verdict(StrEnum):
    """The outcome of a claim, worst last; only PROVEN is a success."""

    PROVEN = "proven"
    UNSUPPORTED = "unsupported"
    UNPROVEN = "unproven"
    REFUTED = "refuted"
    INVALID = "invalid"

    @property
    def exit_code(self) -> int:
        return {"proven": 0, "unsupported": 3, "unproven": 4, "refuted": 1, "invalid": 1}[self.value]

    @staticmethod
    def worst(verdicts: list[Verdict]) -> Verdict:
        """The worst of several verdicts; of none, UNPROVEN: nothing was shown."""
        order = list(Verdict)
        return max(verdicts, key=order.index, default=Verdict.UNPROVEN)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something seen that limits what may be concluded: a code of templates/text/*.toml and its values.

    `blocks` names what it makes impossible: "" (a caveat only), "range" (claims on ranges are unproven),
    "times" (times must come from the untraced run).
    """

    code: str
    values: Mapping[str, str | int | float]
    blocks: str = ""


@dataclass(frozen=True, slots=True)
class Op:
    """One GPU operation, findable by hand: `select * from <table> where rowid = <row>`. Times in ns of the trace."""

    table: str
    row: int
    name: str
    kind: str  # compute, comm, h2d, d2h, d2d, p2p, memset, graph
    device: int
    stream: int
    start: int
    end: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Witness:
    """Two operations that were in flight together during [start, end)."""

    a: Op
    b: Op
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Iteration:
    """One measured iteration of one variant: its projected interval and the numbers of METRICS in ns.

    `numbers` maps metric text to value, integers in ns or counts, ratios as float: sum, busy, span, idle, overlap,
    overlap_ratio, same_stream_overlap, max_in_flight, busy(compute), busy(h2d), busy(d2h), …, hidden(h2d, d2h), kernels,
    copies, memsets, syncs, launch_calls, kernel_launches, rate(h2d) in bytes per second.
    `host_ns` is the NVTX range itself, on the host's clock; None where the pair is queued, as the range then holds the wait.
    """

    index: int
    start: int
    end: int
    host_ns: int | None
    numbers: Mapping[str, int | float]


@dataclass(frozen=True, slots=True)
class VariantEvidence:
    """All measured iterations of one variant; `median_index` is the position of the one that is drawn."""

    name: str
    iterations: tuple[Iteration, ...]
    median_index: int | None
    timeline: tuple[Op, ...]  # the operations of the drawn iteration, by start
    witnesses: tuple[Witness, ...]  # the longest overlaps of the drawn iteration
    untraced_ns: tuple[int, ...]  # CUDA-event times of the untraced run, in its order
    untraced_at: tuple[int, ...] = ()  # and the place of each among the runs of all variants


@dataclass(frozen=True, slots=True)
class Speedup:
    """median(baseline) / median(optimized) in this session, with its 95 % bootstrap interval; times in ns, from `source`."""

    value: float
    low: float
    high: float
    baseline_ns: int
    optimized_ns: int
    n_baseline: int
    n_optimized: int
    noise_floor: float  # largest distance from 1 of the 95 % interval of either variant against itself
    source: str  # "trace" (projected intervals) or "events" (untraced run, CUDA events)
    rounds: int  # stretches of the session in which both took their turns: what is resampled

    @property
    def differs(self) -> bool:
        """Whether the variants differ by more than either does from itself: the interval is clear of the noise floor."""
        return self.low > 1 + self.noise_floor or self.high < 1 - self.noise_floor


@dataclass(frozen=True, slots=True)
class GainTerm:
    """One line of the gain ledger, in ns of iteration time saved (negative: lost). The lines sum to the total."""

    code: str  # idle, overlap, compute, copy, memset, comm, graph, residual, total
    ns: int


@dataclass(frozen=True, slots=True)
class Step:
    """One variant of a staged pair after the first, against the variant before it.

    `saved_ns` is the difference of the two medians, so that the steps' sum to that of the whole; `gain` says where it comes
    from. `speedup` is None where the runs are too few.
    """

    variant: str
    before: str
    saved_ns: int
    speedup: Speedup | None
    gain: tuple[GainTerm, ...]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One line of the launch ledger of the whole trace: count, and where it is known the operations that it explains."""

    code: str  # kernel_launches, graph_launches, captured_calls, graph_kernels, copies, memsets, syncs, unmatched_…
    count: int


@dataclass(frozen=True, slots=True)
class Completeness:
    """`status` is complete, incomplete or unattested; `events_stated` / `events_found` as TRACE says, None if not stated."""

    status: str
    events_stated: int | None
    events_found: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim and what the evidence says of it.

    `measured` is the value that decided (the worst iteration, or the point estimate), None where it could not be computed;
    `low`/`high` its 95 % interval where the claim is about a time or a rate. `values` are those of every iteration.
    `reasons` say why it is not proven.
    """

    text: str
    metric: str
    variant: str
    comparison: str
    threshold: float | None  # the median where the right side is a metric; None where that could not be measured
    unit: str  # "", "ns", "B/s", "x" (a factor), "count", "ratio", "FLOP", "FLOP/s", "FLOP/B", "B"
    measured: float | None
    low: float | None
    high: float | None
    n: int
    values: tuple[float, ...]
    verdict: Verdict
    reasons: tuple[Finding, ...]
    autocorrelation: float | None = None  # lag-1, of a time or a rate over its iterations
    effective_n: float | None = None  # for how many independent iterations these count
    threshold_low: float | None = None  # the interval of a threshold that was measured too; None of a number
    threshold_high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, the ends of the threshold only where it was measured."""
        data = asdict(self)
        return {name: value for name, value in data.items() if value is not None or name not in _OF_THRESHOLD}


_OF_THRESHOLD = ("threshold_low", "threshold_high")


@dataclass(frozen=True, slots=True)
class KernelRates:
    """The launches of one kernel in an iteration, together. `busy_ns` is the median over the iterations of the trace.

    `of_roofline` and `bound` are as in `Rates`; None and "" where no roof is known, as for a kernel without FLOPs.
    """

    name: str
    launches: int
    flops_by_type: Mapping[str, int]
    flops: int
    dram_bytes: int | None
    l2_bytes: int | None
    busy_ns: int
    arithmetic_intensity: float | None
    achieved_flops: float
    bytes_per_s: float | None
    ceiling: float | None
    bound: str
    of_roofline: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """Work and rates of one iteration of a variant (docs/metrics.md). What is not known is None, never 0.

    tier                  "counted" (hardware counters), "declared" (the pair's formula), or "unknown"
    reasons               why the tier is no better
    flops_by_type, flops_counted, dram_bytes, l2_bytes   counted in one iteration under ncu, the one whose kernels were joined
    counted               (FLOPs, DRAM bytes) of every iteration that ncu counted
    machine               what tensor cores, copy engine and L2 cache did in each of them, by the names of docs/counters.md; empty
                          where one of these counters was not collected
    flops_declared, bytes_declared   by the pair's formulas
    flops_agreement       counted / declared FLOPs
    busy_ns               of the compute operations, in every iteration of the nsys trace
    achieved_flops        FLOP/s of the tier, the median over these iterations; `achieved_declared` by the formula in any case
    bytes_per_s           counted DRAM bytes a second, the median
    ceiling, bound        FLOP/s of the measured roofline at this intensity, and which roof it is: "compute", "memory", "" (unclear)
    without_ceiling       types of FLOP that no ceiling was measured of: the roof is drawn without them
    of_roofline           achieved / ceiling; above 1.05 it is implausible
    """

    tier: str
    reasons: tuple[Finding, ...]
    flops_by_type: Mapping[str, int]
    flops_counted: int | None
    flops_declared: float | None
    flops_agreement: float | None
    dram_bytes: int | None
    l2_bytes: int | None
    bytes_declared: float | None
    counted: tuple[tuple[int, int | None], ...]
    busy_ns: tuple[int, ...]
    achieved_flops: float | None
    achieved_declared: float | None
    arithmetic_intensity: float | None
    bytes_per_s: float | None
    ceiling: float | None
    bound: str
    without_ceiling: tuple[str, ...]
    of_roofline: float | None
    kernels: tuple[KernelRates, ...]
    machine: tuple[Mapping[str, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, `machine` only where it was counted: older captures have not those counters."""
        data = asdict(self)
        return data if self.machine else {name: value for name, value in data.items() if name != "machine"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a page needs; nothing on a page comes from anywhere else."""

    manifest: Manifest
    capture_id: str
    shipped: bool  # came with the package rather than from this user's captures
    verdict: Verdict
    claims: tuple[ClaimResult, ...]
    speedup: Speedup | None
    perturbation: Mapping[str, float]  # variant -> traced / untraced median iteration time
    gain: tuple[GainTerm, ...]
    ledger: tuple[LedgerLine, ...]
    completeness: Completeness
    caveats: tuple[Finding, ...]
    conditions: Mapping[str, tuple[float, float]]  # lowest and highest during the measured runs: sm_mhz, power_w, …
    baseline: VariantEvidence
    optimized: VariantEvidence
    between: tuple[VariantEvidence, ...] = ()  # a staged pair's variants between the two, in order
    beyond: tuple[VariantEvidence, ...] = ()  # and those after the optimized one
    steps: tuple[Step, ...] = ()  # a staged pair's, in order; empty where nothing may be compared
    rates: Mapping[str, Rates] = field(default_factory=dict)  # variant -> its rates; empty without counters or formulas

    @property
    def variants(self) -> tuple[VariantEvidence, ...]:
        """In order: the baseline, the steps of a staged pair, the optimized variant, the steps beyond it."""
        return self.baseline, *self.between, self.optimized, *self.beyond

    @property
    def staged(self) -> bool:
        """Whether there are more than the two."""
        return bool(self.between or self.beyond)

    @property
    def steps_between(self) -> tuple[Step, ...]:
        """The steps that lead to the optimized variant: what they saved sums to what the speedup is of."""
        return self.steps[: len(self.steps) - len(self.beyond)]

    @property
    def bounds(self) -> tuple[int, int] | None:
        """When the first measured iteration began and the last one ended, ns of the trace; None where it holds none."""
        runs = [run for variant in self.variants for run in variant.iterations]
        return (min(run.start for run in runs), max(run.end for run in runs)) if runs else None

    def to_json(self) -> dict[str, Any]:
        """The evidence as plain JSON types, with the number of its schema."""
        rates = {variant: one.to_json() for variant, one in self.rates.items()}
        claims = tuple(one.to_json() for one in self.claims)
        more = {"manifest": self.manifest.to_json(), "claims": claims, "rates": rates}
        plain = {"schema": SCHEMA, **asdict(self), **more}
        if not self.beyond:
            del plain["beyond"]
        return plain
