"""proof.json: every number of the pages, how it was computed, and the rows that show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from ...declaration import VARIANTS
from ...profiler.evidence import ClaimResult, Evidence, Finding, Op, Verdict, Witness
from ...profiler.expect.check import Checked, held_against
from ...profiler.expect.observe import Observed, observe
from ...profiler.proof.prove import reading
from ...profiler.proof.rows import IterationRows, Span, rows_of
from ...profiler.store.captures import Capture
from .header import Header
from .layout import EXPECTATIONS, SCHEMA, Pages, capture_folder, expectation_name
from .numbers import CAPTURE, CLAIM, COUNTERS, MANIFEST, SECOND, TRACE, Number, numbers


@dataclass(frozen=True, slots=True)
class Proven:
    """A capture of the bundle, judged, with the rows of its iterations."""

    capture: Capture
    observed: Observed
    rows: Mapping[str, tuple[IterationRows, ...]]

    @property
    def evidence(self) -> Evidence:
        return self.observed.evidence

    @property
    def expectations(self) -> str:
        """The name of the file of expectations that applies, whether it is there or not."""
        return expectation_name(self.observed.hardware_key, self.capture.manifest.declaration.chapter)

    def against(self, folder: Path) -> Checked | None:
        """What became of the expectations in the bundle that lies unpacked in `folder`; None where there are none."""
        return held_against(self.observed, self.capture.manifest.pair, folder / EXPECTATIONS)


def proven(capture: Capture) -> Proven:
    """Judge a capture by what its files hold; that they are the files that were captured is for others to check.

    Raises:
        AispError: as `prove`.
    """
    read = reading(capture)
    observed = observe(capture, (), read)
    rows = rows_of(read(), observed.evidence)
    return Proven(capture, observed, rows)


def held(proofs: Iterable[Proven], folder: Path) -> dict[str, Checked | None]:
    """What became of the expectations of each capture, by its id.

    Raises:
        UsageError: the expectations are damaged.
    """
    return {one.capture.id: one.against(folder) for one in proofs}


class Source(Struct, frozen=True):
    """A file of the bundle that numbers are read from."""

    file: str
    sha256: str


class Claimed(Struct, frozen=True):
    """A claim; its numbers stand among the others, by its name."""

    text: str
    variant: str
    metric: str
    comparison: str
    verdict: Verdict
    reasons: tuple[Finding, ...]


class Completed(Struct, frozen=True):
    """How far the trace is known to be whole."""

    status: str
    findings: tuple[Finding, ...]


class Stated(Struct, frozen=True):
    """A number: see `numbers.Number`, whose name is the key that it stands under."""

    value: int | float
    unit: str
    metric: str
    of: str
    source: str


class Row(Struct, frozen=True):
    table: str
    row: int


class Selector(Struct, frozen=True):
    """The rows of an iteration: see `rows.IterationRows`."""

    path: str
    range: Row
    operations: Mapping[str, tuple[Span, ...]]
    calls: Mapping[str, tuple[Span, ...]]


class Overlap(Struct, frozen=True):
    """Two operations in flight together, with what they share of the time."""

    a: Op
    b: Op
    start: int
    end: int
    shared_ns: int


class Drawn(Struct, frozen=True):
    """An operation that the page draws; its table and row are in the key that it stands under."""

    name: str
    kind: str
    device: int
    stream: int
    start: int
    end: int
    bytes: int | None


class PairProof(Struct, frozen=True):
    """One capture of the bundle. `expectations` are as `Checked.to_json` says, with the file that they are of."""

    times_from: str | None
    pair: str
    verdict: Verdict
    sources: dict[str, Source]
    claims: dict[str, Claimed]
    completeness: Completed
    caveats: tuple[Finding, ...]
    expectations: dict[str, Any] | None
    numbers: dict[str, Stated]
    selectors: dict[str, Selector]
    witnesses: dict[str, tuple[Overlap, ...]]
    drawn: dict[str, dict[str, Drawn]]


class Proof(Header, frozen=True):
    """The whole of proof.json.

    inputs   name -> sha256 of every file that the pages and this file rest on
    proofs   by the captures' ids
    """

    schema: int
    verdict: Verdict
    inputs: dict[str, str]
    proofs: dict[str, PairProof]


def proof_data(
    pages: Pages,
    proofs: Sequence[Proven],
    missing: Iterable[str],
    inputs: Mapping[str, str],
    expected: Mapping[str, Checked | None],
) -> dict[str, Any]:
    """The whole of proof.json, as plain JSON types.

    Args:
        pages: what the pages are called.
        proofs: in the order of the stage.
        missing: pairs of the stage that have no capture.
        inputs: as in `Proof`.
        expected: what became of the expectations of each capture, as `held` says.
    """
    lacking = tuple(missing)
    whole = Proof(
        schema=SCHEMA,
        stage=pages.stage,
        lang=pages.lang,
        pdf=pages.pdf,
        order=tuple(one.evidence.capture_id for one in proofs),
        missing=lacking,
        verdict=whole_verdict(proofs, lacking),
        inputs=dict(inputs),
        proofs={one.capture.id: _proof(one, inputs, expected[one.capture.id]) for one in proofs},
    )
    data: dict[str, Any] = to_builtins(whole)
    return data


def whole_verdict(proofs: Sequence[Proven], missing: Sequence[str]) -> Verdict:
    """The worst of all pairs; one without a capture is unproven."""
    return Verdict.worst([one.evidence.verdict for one in proofs] + [Verdict.UNPROVEN] * len(missing))


def _proof(one: Proven, inputs: Mapping[str, str], expected: Checked | None) -> PairProof:
    evidence, files = one.evidence, _files(one.capture)
    return PairProof(
        times_from=evidence.speedup.source if evidence.speedup else None,
        pair=one.capture.manifest.pair,
        verdict=evidence.verdict,
        sources={source: Source(name, inputs[name]) for source, name in files.items()},
        claims={f"claims[{i}]": _claim(claim) for i, claim in enumerate(evidence.claims)},
        completeness=Completed(evidence.completeness.status, evidence.completeness.findings),
        caveats=evidence.caveats,
        expectations={"file": one.expectations, **expected.to_json()} if expected else None,
        numbers=_numbers(evidence, files),
        selectors={
            f"{variant}.iterations[{i}]": _selector(rows)
            for variant, every in one.rows.items()
            for i, rows in enumerate(every)
        },
        witnesses={v.name: tuple(_overlap(witness) for witness in v.witnesses) for v in evidence.variants},
        drawn={v.name: {f"{op.table} row {op.row}": _drawn(op) for op in v.timeline} for v in evidence.variants},
    )


def _files(capture: Capture) -> dict[str, str]:
    """What a number is read from -> the file's name in the bundle."""
    folder, manifest = capture_folder(capture.id), capture.manifest
    found = {MANIFEST: f"{folder}/manifest.json"}
    found |= {
        source: f"{folder}/{path.name}" for source, path in zip((TRACE, SECOND), capture.trace_paths, strict=False)
    }
    csv = manifest.counters.csv if manifest.counters else None
    return found | ({COUNTERS: f"{folder}/{csv}"} if csv else {})


def _numbers(evidence: Evidence, files: Mapping[str, str]) -> dict[str, Stated]:
    """By their names; what is of no file of the bundle is the manifest's."""
    return {one.name: Stated(one.value, one.unit, one.metric, one.of, _source(one, files)) for one in numbers(evidence)}


def _source(one: Number, files: Mapping[str, str]) -> str:
    """Of two traces the one in which a variant ran; both, where it is of both variants or of everything."""
    if one.source == TRACE and SECOND in files:
        of_first, of_second = (variant in one.of for variant in VARIANTS)
        return CAPTURE if of_first == of_second else SECOND if of_second else TRACE
    return one.source if one.source in {CLAIM, CAPTURE, *files} else MANIFEST


def _claim(claim: ClaimResult) -> Claimed:
    return Claimed(claim.text, claim.variant, claim.metric, claim.comparison, claim.verdict, claim.reasons)


def _selector(rows: IterationRows) -> Selector:
    return Selector(rows.path, Row(*rows.range), rows.operations, rows.calls)


def _overlap(witness: Witness) -> Overlap:
    return Overlap(witness.a, witness.b, witness.start, witness.end, witness.end - witness.start)


def _drawn(op: Op) -> Drawn:
    return Drawn(op.name, op.kind, op.device, op.stream, op.start, op.end, op.bytes)
