"""Chapter 11 with an optimization undone: what another variant recorded, under the optimized one's name, refutes the pair's claims.

Real captures, so that the claims hold as they ship and fail by what they say; a claim that anything meets would be seen here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Evidence, Verdict
from aisp_prof.profiler.proof.prove import prove, prove_capture
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.workloads.registry import pairs
from exchanged import exchanged
from regressions import changed, copied
from shared import proven

NEWEST = {one.manifest.pair: one for one in shipped_store().captures() if one.manifest.pair.startswith("ch11.")}
NO_DIFFERENCE = "ch11.warp_specialized_triton"

UNDONE: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("streams", "optimized", "baseline"): ("speedup", "hidden(h2d, d2h)", "hidden(compute, copy)", "overlap_ratio"),
    ("gemm_streams", "optimized", "baseline"): (
        "speedup",
        "hidden(compute, copy)",
        "hidden(h2d, d2h)",
        "max_in_flight",
    ),
    ("tensor_cores_streams", "optimized", "baseline"): ("speedup >=", "optimized.concurrency", "hidden(copy, compute)"),
    ("tensor_cores_streams", "optimized", "few_blocks"): (
        "speedup(few_blocks, optimized)",
        "optimized.concurrency",
        "optimized.max_in_flight",
        "hidden(copy, compute)",
    ),
    ("tensor_cores_streams", "optimized", "library"): ("speedup(library, optimized)", "optimized.concurrency"),
    ("tensor_cores_streams", "batched", "optimized"): ("speedup(optimized, batched)", "batched.kernels_per_iteration"),
    ("distributed_streams", "optimized", "baseline"): ("speedup", "overlap_ratio"),
    ("distributed_streams_nccl", "optimized", "baseline"): ("speedup", "hidden(compute, comm)"),
    ("stream_ordered", "optimized", "baseline"): (
        "speedup",
        "overlap_ratio",
        "concurrency",
        "calls(cuMemAllocFromPoolAsync)",
    ),
    ("stream_ordered_kv_cache", "optimized", "baseline"): (
        "speedup >=",
        "optimized.kernels_per_iteration",
        "optimized.syncs",
    ),
    ("stream_ordered_kv_cache", "optimized", "graph"): ("optimized.kernels_per_iteration", "optimized.max_in_flight"),
    ("stream_ordered_kv_cache", "streams", "one_stream"): ("speedup(one_stream, streams)",),
    ("stream_ordered_kv_cache", "graph", "one_stream"): ("graph.concurrency", "graph.launch_calls"),
    ("adaptive_streams", "optimized", "baseline"): ("speedup >=", "speedup(best_fixed, optimized)", "hidden(h2d, d2h)"),
    ("adaptive_streams", "optimized", "best_fixed"): ("speedup(best_fixed, optimized)",),
    ("adaptive_streams", "known", "best_fixed"): ("speedup(best_fixed, known)",),
    ("warp_specialization_multistream", "optimized", "baseline"): (
        "speedup >=",
        "optimized.kernels_per_iteration",
        "optimized.max_in_flight",
    ),
    ("warp_specialization_multistream", "optimized", "cluster_pipeline"): ("optimized.max_in_flight",),
    ("warp_specialization_multistream", "fused", "baseline"): (
        "speedup(baseline, fused)",
        "fused.kernels_per_iteration",
    ),
}
"""Pair, a variant, and the one that runs in its place -> how the claims that this refutes are called."""


def refuted(evidence: Evidence) -> list[str]:
    return [claim.text for claim in evidence.claims if claim.verdict is Verdict.REFUTED]


@pytest.mark.parametrize(("case", "named"), UNDONE.items(), ids=lambda value: "-".join(map(str, value)))
def test_an_undone_optimization_refutes(case: tuple[str, str, str], named: tuple[str, ...], tmp_path: Path) -> None:
    pair, variant, instead = case
    evidence = prove_capture(exchanged(NEWEST[f"ch11.{pair}"], tmp_path, {variant: instead}))
    assert evidence.completeness.status == "complete"
    assert evidence.verdict is Verdict.REFUTED
    for name in named:
        assert [text for text in refuted(evidence) if name in text], (name, refuted(evidence))


def test_every_pair_of_the_chapter_is_undone_or_claims_no_difference() -> None:
    """Those too that a chapter's commands leave out, as they need two GPUs."""
    assert {f"ch11.{pair}" for pair, *_ in UNDONE} | {NO_DIFFERENCE} == {
        p.key for p in pairs() if p.key.startswith("ch11.")
    }


@pytest.mark.parametrize("pair", sorted({pair for pair, *_ in UNDONE}))
def test_what_ships_is_proven(pair: str) -> None:
    evidence = proven(NEWEST[f"ch11.{pair}"].id)
    assert refuted(evidence) == []
    assert evidence.verdict is Verdict.PROVEN


@pytest.mark.parametrize("pair", ["stream_ordered", "stream_ordered_kv_cache", "adaptive_streams"])
def test_one_wait_left_in_refutes(pair: str, tmp_path: Path) -> None:
    """A synchronising call more in each iteration, too short to be seen in any time."""
    capture: Capture = NEWEST[f"ch11.{pair}"]
    assert capture.trace_path is not None
    trace = copied(capture.trace_path, tmp_path / "trace.sqlite")
    with changed(trace) as export:
        export.add_sync("iter", inside=f"ch11.{pair}.optimized.measure")
    found = refuted(prove(capture.manifest, trace))
    assert [text for text in found if text.startswith("optimized.syncs_per_iteration")] == found != []


SERIAL: dict[tuple[str, str], tuple[str, ...]] = {
    ("streams", "optimized"): ("speedup", "hidden(h2d, d2h)", "hidden(compute, copy)", "overlap_ratio"),
    ("gemm_streams", "optimized"): ("speedup", "hidden(compute, copy)", "hidden(h2d, d2h)", "max_in_flight"),
    ("distributed_streams", "optimized"): ("speedup", "overlap_ratio"),
    ("stream_ordered", "optimized"): ("speedup", "overlap_ratio", "concurrency"),
    ("stream_ordered_kv_cache", "streams"): ("speedup(one_stream, streams)",),
    ("stream_ordered_kv_cache", "graph"): ("graph.concurrency",),
    ("distributed_streams_nccl", "optimized"): ("speedup", "hidden(compute, comm)"),
}
"""Pair and variant of which all work is put one after the other on one stream -> the claims that it refutes.
tensor_cores_streams needs none: its step few_blocks is that run, and takes the optimized variant's place above."""


@pytest.mark.parametrize(("case", "named"), SERIAL.items(), ids=lambda value: "-".join(map(str, value)))
def test_streams_left_serial_refute(case: tuple[str, str], named: tuple[str, ...], tmp_path: Path) -> None:
    """By the trace alone: the same operations as long as they were, so that the iteration takes longer than its manifest says."""
    pair, variant = case
    capture: Capture = NEWEST[f"ch11.{pair}"]
    declaration = capture.manifest.declaration
    assert capture.trace_path is not None
    trace = copied(capture.trace_path, tmp_path / "trace.sqlite")
    with changed(trace) as export:
        for name in declaration.names:
            export.rename("iter", f"iter {name}", f"{declaration.key}.{name}.measure")
    question = Question(declaration.claims, {name: f"iter {name}" for name in declaration.names})
    held = {one.claim.text for one in check(read_trace(trace), question).claims if one.claim.verdict is Verdict.PROVEN}
    with changed(trace) as export:
        export.serialise(f"iter {variant}")
    found = [
        one.claim.text for one in check(read_trace(trace), question).claims if one.claim.verdict is Verdict.REFUTED
    ]
    for name in named:
        assert [text for text in found if name in text and text in held], (name, found, held)
