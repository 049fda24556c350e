"""proof.json: every number of the pages, how it was computed, and the rows that show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...profiler.evidence import ClaimResult, Evidence, Op, Verdict, Witness
from ...profiler.expect.check import Checked, held_against
from ...profiler.expect.observe import Observed, observe
from ...profiler.proof.prove import reading
from ...profiler.proof.rows import IterationRows, rows_of
from ...profiler.store.captures import Capture
from .layout import EXPECTATIONS, SCHEMA, Pages, capture_folder, expectation_name
from .numbers import CAPTURE, CLAIM, COUNTERS, MANIFEST, TRACE, numbers


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
    read = reading(capture.trace_path)
    observed, trace = observe(capture, (), read), read()
    rows = rows_of(trace, observed.evidence) if trace else {}
    return Proven(capture, observed, rows)


def held(proofs: Iterable[Proven], folder: Path) -> dict[str, Checked | None]:
    """What became of the expectations of each capture, by its id.

    Raises:
        UsageError: the expectations are damaged.
    """
    return {one.capture.id: one.against(folder) for one in proofs}


def proof_data(
    pages: Pages,
    proofs: Sequence[Proven],
    missing: Iterable[str],
    inputs: Mapping[str, str],
    expected: Mapping[str, Checked | None],
) -> dict[str, Any]:
    """The whole of proof.json.

    Args:
        pages: what the pages are called.
        proofs: in the order of the stage.
        missing: pairs of the stage that have no capture.
        inputs: name -> sha256 of every file that the pages and this file rest on.
        expected: what became of the expectations of each capture, as `held` says.
    """
    lacking = list(missing)
    return {
        "schema": SCHEMA,
        "stage": pages.stage,
        "lang": pages.lang,
        "pdf": pages.pdf,
        "order": [one.evidence.capture_id for one in proofs],
        "missing": lacking,
        "verdict": whole_verdict(proofs, lacking).value,
        "inputs": dict(inputs),
        "proofs": {one.capture.id: _proof(one, inputs, expected[one.capture.id]) for one in proofs},
    }


def whole_verdict(proofs: Sequence[Proven], missing: Sequence[str]) -> Verdict:
    """The worst of all pairs; one without a capture is unproven."""
    return Verdict.worst([one.evidence.verdict for one in proofs] + [Verdict.UNPROVEN] * len(missing))


def _proof(one: Proven, inputs: Mapping[str, str], expected: Checked | None) -> dict[str, Any]:
    evidence, files = one.evidence, _files(one.capture)
    variants = evidence.variants
    return {
        "times_from": evidence.speedup.source if evidence.speedup else None,
        "pair": one.capture.manifest.pair,
        "verdict": evidence.verdict.value,
        "sources": {source: {"file": name, "sha256": inputs[name]} for source, name in files.items()},
        "claims": {f"claims[{i}]": _claim(claim) for i, claim in enumerate(evidence.claims)},
        "completeness": {
            "status": evidence.completeness.status,
            "findings": [asdict(finding) for finding in evidence.completeness.findings],
        },
        "caveats": [asdict(finding) for finding in evidence.caveats],
        "expectations": {"file": one.expectations, **expected.to_json()} if expected else None,
        "numbers": {
            number.name: {
                "value": number.value,
                "unit": number.unit,
                "metric": number.metric,
                "of": number.of,
                "source": number.source if number.source in (CLAIM, CAPTURE, *files) else MANIFEST,
            }
            for number in numbers(evidence)
        },
        "selectors": {
            f"{variant}.iterations[{i}]": _selector(rows)
            for variant, every in one.rows.items()
            for i, rows in enumerate(every)
        },
        "witnesses": {v.name: [_witness(witness) for witness in v.witnesses] for v in variants},
        "drawn": {v.name: {f"{op.table} row {op.row}": _op(op) for op in v.timeline} for v in variants},
    }


def _files(capture: Capture) -> dict[str, str]:
    """What a number is read from -> the file's name in the bundle."""
    folder, manifest = capture_folder(capture.id), capture.manifest
    found = {MANIFEST: f"{folder}/manifest.json"}
    if capture.trace_path is not None:
        found[TRACE] = f"{folder}/{capture.trace_path.name}"
    csv = manifest.counters.csv if manifest.counters else None
    return found | ({COUNTERS: f"{folder}/{csv}"} if csv else {})


def _claim(claim: ClaimResult) -> dict[str, Any]:
    return {
        "text": claim.text,
        "variant": claim.variant,
        "metric": claim.metric,
        "comparison": claim.comparison,
        "verdict": claim.verdict.value,
        "reasons": [asdict(finding) for finding in claim.reasons],
    }


def _selector(rows: IterationRows) -> dict[str, Any]:
    return {
        "path": rows.path,
        "range": {"table": rows.range[0], "row": rows.range[1]},
        "operations": {table: [list(span) for span in spans] for table, spans in rows.operations.items()},
        "calls": {table: [list(span) for span in spans] for table, spans in rows.calls.items()},
    }


def _witness(witness: Witness) -> dict[str, Any]:
    return {
        "a": asdict(witness.a),
        "b": asdict(witness.b),
        "start": witness.start,
        "end": witness.end,
        "shared_ns": witness.end - witness.start,
    }


def _op(op: Op) -> dict[str, Any]:
    return {name: value for name, value in asdict(op).items() if name not in ("table", "row")}
