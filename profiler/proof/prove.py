"""A capture judged: read its trace, find the measured runs, compute every number, decide every claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ...declaration import VARIANTS, Declaration
from ..analysis.completeness import attested
from ..analysis.ledger import ledger, summed
from ..evidence import Completeness, Evidence, Finding, Rates, VariantEvidence, Verdict
from ..judging.apart import Apart
from ..judging.gain import gain_ledger
from ..judging.grounds import grounds_of
from ..judging.hiccups import explained
from ..judging.judge import judge
from ..judging.language import Claim, asked_of, compared_in, parse
from ..judging.limits import OF_FLOOR, TIME, ceilings_of
from ..judging.speedup import steps_of
from ..judging.verdicts import badness
from ..manifest import Manifest
from ..ranges.faults import blocked_by, changed_files
from ..ranges.instances import Instances
from ..store.captures import Capture
from ..trace.model import Trace
from ..trace.reader import read_trace
from ..trace.source.file import unpacked_once
from . import conduct
from .floors import floors_of, too_fast
from .measured import Measured, gpus_of, variant_evidence
from .named import Traces, few_turns, measured_in, perturbed_by
from .named import doubts as named_doubts
from .plausible import Held, against_trace
from .rates import caveats as rate_caveats
from .rates import find_rates, implausible
from .sequence import places_of, times_of
from .sessions import apart_of, known_of, session_caveats
from .validated import invalid, loose, unvalidated


def prove_capture(capture: Capture) -> Evidence:
    """Judge a stored capture, its files checked against the manifest's sha256 first."""
    changed = capture.verify_files()
    return worst_of(prove_read(capture.manifest, capture.trace_path, reading(capture), capture.shipped, changed))


def prove(manifest: Manifest, trace_path: Path | None, shipped: bool = False, changed: Sequence[str] = ()) -> Evidence:
    """Judge one capture, of several GPUs by the one on which each claim fares worst. Arguments and errors as `prove_each`."""
    return worst_of(prove_each(manifest, trace_path, shipped, changed))


def prove_each(
    manifest: Manifest, trace_path: Path | None, shipped: bool = False, changed: Sequence[str] = ()
) -> dict[str, Evidence]:
    """Judge one capture on each GPU that its measured iterations used, by the GPU's uuid.

    Args:
        manifest: the capture's.
        trace_path: its exported trace; None when the outputs were invalid and nothing was timed.
        shipped: the capture came with the package.
        changed: files whose sha256 is not the manifest's.

    Raises:
        UsageError: a claim cannot be understood.
        TraceError: the trace cannot be read.
    """
    return prove_read(manifest, trace_path, _reading((trace_path,) if trace_path else ()), shipped, changed)


def reading(capture: Capture) -> Callable[[], Traces]:
    """Reads a capture's traces, if there are any, when they are asked first, and once."""
    return _reading(capture.trace_paths)


def _reading(paths: Sequence[Path]) -> Callable[[], Traces]:
    return cache(lambda: tuple(map(read_trace, paths)))


@unpacked_once()
def prove_read(
    manifest: Manifest,
    trace_path: Path | None,
    read: Callable[[], Traces],
    shipped: bool,
    changed: Sequence[str],
) -> dict[str, Evidence]:
    """As `prove_each`; `read` gives the traces, which others may use too."""
    declaration = manifest.declaration
    claims = [parse(text, declaration.names) for text in declaration.claims]
    traces = read()
    trace = traces[0] if traces else None
    completeness = attested(traces) if traces else _without_trace(manifest, declaration)
    measured = measured_in(manifest, traces)
    held = against_trace(manifest, declaration, trace, measured)
    apart = apart_of(known_of(manifest.origin), measured)
    case = _Case(manifest, declaration, claims, traces, trace_path, completeness, held, apart, shipped, changed)
    if apart is not None:
        return {"": case.judged(measured)}
    gpus = gpus_of(measured)
    if trace is None or len(gpus) < 2:
        return {"": case.judged(measured)}
    each = {gpu: case.judged({v: one.on(gpu) for v, one in measured.items()}) for gpu in gpus}
    return {trace.gpus[gpu].uuid or str(gpu): evidence for gpu, evidence in each.items()}


def worst_of(each: Mapping[str, Evidence]) -> Evidence:
    """Operations of different GPUs are never added: each claim is that of the GPU on which it fares worst.

    Everything else is shown of the first GPU with the worst verdict, and a caveat names it.
    """
    if len(each) == 1:
        return next(iter(each.values()))
    verdict = Verdict.worst([evidence.verdict for evidence in each.values()])
    gpu, shown = next((gpu, evidence) for gpu, evidence in each.items() if evidence.verdict is verdict)
    claims = tuple(max(of_all, key=badness) for of_all in zip(*(one.claims for one in each.values()), strict=True))
    caveat = Finding("mixed_devices", {"count": len(each), "gpu": gpu})
    return replace(shown, claims=claims, caveats=(*shown.caveats, caveat))


@dataclass(frozen=True, slots=True)
class _Case:
    """What is judged, before it is known on which device."""

    manifest: Manifest
    declaration: Declaration
    claims: Sequence[Claim]
    traces: Traces
    trace_path: Path | None
    completeness: Completeness
    held: Held
    apart: Apart | None
    shipped: bool
    changed: Sequence[str]

    def judged(self, measured: Measured) -> Evidence:
        """The evidence of these runs, all of one device."""
        manifest, declaration, origin = self.manifest, self.declaration, self.manifest.origin
        trace = self.traces[0] if self.traces else None
        names, changed = declaration.names, self.changed
        untraced = _event_times(manifest, "untraced", names)
        variants = {v: self._variant(v, measured.get(v), untraced[v]) for v in names}
        rates = find_rates(manifest, trace, self.trace_path, measured)
        doubts = (*unvalidated(manifest, declaration, trace is not None), *loose(declaration))
        doubts += (*named_doubts(manifest, measured), *session_caveats(known_of(origin), measured))
        blocked = _and_held(blocked_by(self.completeness, self._found(measured), changed), self.held, doubts)
        ratios = _perturbation(manifest, untraced)
        perturbed = conduct.perturbed(ratios, declaration.perturbation_band) if origin is None else ()
        source = "events" if perturbed or trace is None else "trace"
        ceilings = ceilings_of(manifest.ceilings)
        floors = floors_of(manifest, ceilings, names)
        wrong = (*invalid(manifest, declaration), *implausible(rates), *too_fast(floors, variants, source))
        usable = not wrong and not any(blocked.values())
        first, last = (variants[v] for v in VARIANTS)
        led = conduct.order(measured) if origin is None else few_turns(origin)
        grounds = grounds_of(
            variants,
            measured,
            blocked,
            self._compared(),
            source=source,
            led=led,
            invalid=wrong,
            rates=rates,
            usable=usable,
            ceilings=ceilings,
            floors=floors,
            apart=self.apart,
        )
        samples = conduct.samples(trace, manifest, measured)
        results = tuple(
            explained(claim, judge(claim, grounds), _runs_of(claim, measured, source), samples) for claim in self.claims
        )
        groups = () if wrong else tuple(conduct.two_groups(variants.values(), source))
        seen = (
            *perturbed,
            *wrong,
            *groups,
            *doubts,
            *self.held.all,
            *changed_files(changed),
            *_of_rates(manifest, rates),
        )
        return Evidence(
            manifest=manifest,
            capture_id=manifest.id,
            shipped=self.shipped,
            verdict=Verdict.worst([result.verdict for result in results]),
            claims=results,
            speedup=grounds.speedups[VARIANTS],
            perturbation=ratios,
            gain=gain_ledger(first.iterations, last.iterations)
            if usable and first.iterations and last.iterations
            else (),
            ledger=summed(ledger(one) for one in self.traces),
            completeness=self.completeness,
            caveats=_caveats(trace, manifest, measured, variants, rates, (*seen, *_first(grounds.order.values()))),
            conditions=conduct.seen(trace, manifest, measured),
            baseline=first,
            optimized=last,
            between=tuple(variants[v] for v in names if v not in (*VARIANTS, *declaration.beyond)),
            beyond=tuple(variants[v] for v in declaration.beyond),
            steps=steps_of([variants[v] for v in names], source, in_turn=not led)
            if usable and trace and declaration.staged
            else (),
            rates=rates,
        )

    def _variant(self, variant: str, runs: Instances | None, untraced: list[int]) -> VariantEvidence:
        if runs is None:
            found = VariantEvidence(variant, (), None, (), (), tuple(untraced))
        else:
            named, asked = self.manifest.origin is not None, asked_of(self.claims, self.declaration.names)
            found = variant_evidence(runs, asked, untraced, self.declaration.queued, named)
        return replace(found, untraced_at=places_of(self.manifest, "untraced", variant))

    def _found(self, measured: Measured) -> dict[str, tuple[Finding, ...]]:
        return {v: measured[v].findings if v in measured else () for v in self.declaration.names}

    def _compared(self) -> Iterable[tuple[str, str]]:
        """The baseline with the optimized variant, and what the claims compare."""
        return {VARIANTS, *compared_in(self.claims)}


def _runs_of(claim: Claim, measured: Measured, source: str) -> Instances | None:
    """The iterations of the trace that a claim's values are of; None where they are of something else."""
    timed = claim.left.metric in (TIME, OF_FLOOR) and source == "trace"
    return measured.get(claim.left.variant) if claim.left.of_trace or timed else None


def _first(found: Iterable[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """Of several that say the same one is enough."""
    return next((findings for findings in found if findings), ())


def _without_trace(manifest: Manifest, declaration: Declaration) -> Completeness:
    """Where the outputs are right, none was asked for: the untraced run's times stand, and nothing else can be shown."""
    return Completeness("incomplete", None, 0, () if invalid(manifest, declaration) else (Finding("not_traced", {}),))


def _of_rates(manifest: Manifest, rates: Mapping[str, Rates]) -> tuple[Finding, ...]:
    """A capture that was not to count has nothing to be sorry for: only a claim may ask why."""
    return rate_caveats(rates) if manifest.counters else ()


def _perturbation(manifest: Manifest, untraced: Mapping[str, list[int]]) -> Mapping[str, float]:
    """By which factor tracing lengthened each variant: its iterations, or of a program all of it."""
    if manifest.origin is not None:
        return perturbed_by(manifest.origin)
    return conduct.perturbation(_event_times(manifest, "traced", manifest.declaration.names), untraced)


def _and_held(
    blocked: Mapping[str, tuple[Finding, ...]], held: Held, doubts: tuple[Finding, ...]
) -> dict[str, tuple[Finding, ...]]:
    """A manifest that the trace contradicts leaves claims unproven as a trace does that is not whole."""
    whole = (*doubts, *held.whole)
    return {v: (*own, *(f for f in (*whole, *held.each[v]) if f.blocks)) for v, own in blocked.items()}


def _event_times(manifest: Manifest, run: str, names: Iterable[str]) -> dict[str, list[int]]:
    return {v: times_of(manifest, run, v) for v in names}


def _caveats(
    trace: Trace | None,
    manifest: Manifest,
    measured: Measured,
    variants: Mapping[str, VariantEvidence],
    rates: Mapping[str, Rates],
    more: Sequence[Finding],
) -> tuple[Finding, ...]:
    found = [*more, *conduct.caveats(trace, manifest, measured)]
    if trace is not None:
        counts = {v: len(variant.iterations) for v, variant in variants.items()}
        found += [*conduct.too_few(counts), *(f for m in measured.values() for f in m.findings)]
        found += conduct.weak_baseline(measured["baseline"], rates.get("baseline"))
        found += conduct.engine_bound(measured["optimized"])
    if manifest.origin is None and not manifest.iterations("untraced"):
        found.append(Finding("no_untraced_run", {}))
    return tuple(found)
