"""What runs where an optimization is taken back, on a CPU: whose code, on how many streams, and how often is waited."""

from __future__ import annotations

import pytest
from aisp_prof.declaration import is_chapter
from aisp_prof.errors import UsageError
from aisp_prof.workloads.ch11.streams import PAIR, ChunkedChain
from aisp_prof.workloads.ch20.pipeline_sequential import PAIR as PIPELINE
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.registry import pairs
from aisp_prof.workloads.undone import ONE_STREAM, SYNC, forms, undone

SIZES = PAIR.declaration.sizes["small"]


def test_a_variant_runs_the_other_ones_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ChunkedChain, "run", lambda self, variant: asked.append(variant))
    workload = undone(PAIR, "optimized=baseline").build(CpuDevice(), SIZES)
    for variant in ("baseline", "optimized"):
        workload.run(variant)
    assert asked == ["baseline", "baseline"]


def test_streams_become_one_and_their_number_stays() -> None:
    plain, serial = (pair.build(CpuDevice(), SIZES).streams for pair in (PAIR, undone(PAIR, ONE_STREAM)))
    assert len(plain) == len(serial) > 1
    assert len(set(map(id, plain))) == len(plain)
    assert len(set(map(id, serial))) == 1


def test_one_wait_more_in_the_optimized_variant_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    device, waits = CpuDevice(), []
    workload = undone(PAIR, SYNC).build(device, SIZES)
    monkeypatch.setattr(CpuDevice, "synchronize", lambda self: waits.append(1))
    workload.inputs(1)
    workload.run("baseline")
    assert not waits
    workload.run("optimized")
    assert waits == [1]


@pytest.mark.parametrize("form", ["optimized=resident", "resident=baseline", ONE_STREAM, SYNC])
def test_it_runs_as_a_pair_of_its_own_with_the_claims_as_they_are(form: str) -> None:
    pair = undone(PIPELINE, form)
    record = run_pair(pair, device="cpu", iterations=2)
    assert record.validation.valid
    assert record.pair == pair.key != PIPELINE.key
    assert not is_chapter(pair.declaration.chapter)
    assert pair.declaration.claims == PIPELINE.declaration.claims
    assert {
        lang: text.partition(" — ")[0] for lang, text in pair.declaration.title.items()
    } == PIPELINE.declaration.title


def test_every_step_of_every_pair_has_a_form() -> None:
    for pair in pairs():
        for form in forms(pair.declaration):
            assert undone(pair, form).key.startswith("undone.")
    assert forms(PIPELINE.declaration) == ("optimized=baseline", "resident=baseline", "optimized=resident")


@pytest.mark.parametrize("form", ["optimised=baseline", "optimized=", "optimized=optimized", "streams"])
def test_what_nobody_can_undo_is_named(form: str) -> None:
    with pytest.raises(UsageError, match=r"ch11\.streams can undo") as refused:
        undone(PAIR, form)
    assert "optimized=baseline" in str(refused.value.mend)
