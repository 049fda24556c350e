"""With its optimization undone, or a single step of it, each pair of chapters 9, 10 and 20 is refuted: from shipped captures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from aisp_prof.benchmarks.undone import NOTHING_GAINED
from aisp_prof.profiler.evidence import Evidence, Verdict
from aisp_prof.profiler.proof.prove import prove_capture
from aisp_prof.profiler.store.captures import Capture, shipped_store
from exchanged import exchanged
from rewritten import a_sync_more, rewritten

CHAPTERS = ("ch09", "ch10", "ch20")
NEWEST = {
    pair: newest
    for pair in sorted({capture.manifest.pair for capture in shipped_store().captures()})
    if pair.startswith(CHAPTERS) and (newest := shipped_store().newest(pair))
}


def steps() -> Iterator[tuple[str, str, str]]:
    """Pair, a variant, and the one before it."""
    for pair, capture in NEWEST.items():
        yield from ((pair, after, before) for before, after in pairwise(capture.manifest.declaration.names))


def gains_nothing(pair: str, variant: str, before: str) -> bool:
    return (pair, f"{variant}={before}") in NOTHING_GAINED


def with_steps() -> list[str]:
    """Pairs of more than two variants: of the others the only step is the whole."""
    return [pair for pair, capture in NEWEST.items() if capture.manifest.declaration.staged]


def judged(capture: Capture, folder: Path, variant: str, instead: str) -> Evidence:
    evidence = prove_capture(exchanged(capture, folder, {variant: instead}))
    assert evidence.completeness.status == "complete", "the rewritten trace is whole: nothing but the code is another"
    return evidence


WRITTEN_ONLY = {
    "ch09.cute_dsl_nvfp4_gemm",
    "ch10.tcgen05_warp_specialization_cutlass",
}
"""Pairs that docs/results.md names as not captured: nothing of them is proven, and a capture takes them off this list."""


def test_every_pair_of_these_chapters_ships_a_capture() -> None:
    from aisp_prof.workloads.registry import pairs

    assert set(NEWEST) == {pair.key for pair in pairs() if pair.key.startswith(CHAPTERS)} - WRITTEN_ONLY


@pytest.mark.parametrize("pair", with_steps())
def test_with_all_of_it_undone_a_pair_is_refuted(pair: str, tmp_path: Path) -> None:
    evidence = judged(NEWEST[pair], tmp_path, "optimized", "baseline")
    assert evidence.verdict is Verdict.REFUTED
    assert evidence.speedup is not None
    assert evidence.speedup.value == pytest.approx(1, abs=1e-9), "the baseline's runs under both names"


@pytest.mark.parametrize(
    ("pair", "variant", "before"), [one for one in steps() if not gains_nothing(*one)], ids=lambda one: one
)
def test_with_a_step_undone_a_pair_is_refuted(pair: str, variant: str, before: str, tmp_path: Path) -> None:
    evidence = judged(NEWEST[pair], tmp_path, variant, before)
    refuted = [claim for claim in evidence.claims if claim.verdict is Verdict.REFUTED]
    assert evidence.verdict is Verdict.REFUTED
    assert any(variant in claim.text or claim.metric == "speedup" for claim in refuted)


@pytest.mark.parametrize(("pair", "variant", "before"), [one for one in steps() if gains_nothing(*one)])
def test_a_step_that_gains_nothing_may_be_undone(pair: str, variant: str, before: str, tmp_path: Path) -> None:
    assert judged(NEWEST[pair], tmp_path, variant, before).verdict is Verdict.PROVEN


def test_steps_that_gain_nothing_are_steps() -> None:
    """A name that is no step's would excuse nothing, and one of a pair that is not captured would not be tried."""
    mine = {(pair, form) for pair, form in NOTHING_GAINED if pair.startswith(CHAPTERS)}
    assert mine == {
        (pair, f"{after}={before}") for pair, after, before in steps() if gains_nothing(pair, after, before)
    }


@pytest.mark.parametrize("pair", ["ch20.pipeline_sequential", "ch20.integrated_kv_cache", "ch20.training_single"])
def test_with_one_sync_left_in_a_pair_is_refuted(pair: str, tmp_path: Path) -> None:
    evidence = prove_capture(rewritten(NEWEST[pair], tmp_path, a_sync_more, fit=False))
    refuted = {claim.text for claim in evidence.claims if claim.verdict is Verdict.REFUTED}
    assert refuted == {"optimized.syncs_per_iteration == 1"}
