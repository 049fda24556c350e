"""The pipeline: both variants run the same kernels, copies differ as claimed, and events order all that touches one buffer."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch20.pipeline_sequential import PAIR, FfnPipeline
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import validate
from happens_before import OrderedDevice

NAMES = PAIR.declaration.names
SMALL = PAIR.declaration.sizes["small"]
COPIES_IN, KERNELS, COPIES_OUT = range(3)


def watched(variant: str, *deaf: int) -> OrderedDevice:
    device = OrderedDevice()
    work = PAIR.build(device, SMALL)
    with device.on(work.streams[0]):
        work.inputs(3)
        work.poison()
    device.deaf = frozenset(deaf)
    with device.watching():
        work.run(variant)
    return device


def test_it_runs_as_declared(notes: Notes) -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=5, notes=notes)
    assert record.validation.valid
    assert record.measured is not None
    assert list(record.measured.warmup) == list(NAMES)


def test_the_variants_agree_bit_for_bit() -> None:
    work = PAIR.build(CpuDevice(), SMALL)
    work.inputs(3)
    outputs = []
    for variant in NAMES:
        work.poison()
        work.run(variant)
        outputs.append(work.output.clone())
    assert outputs[0].isfinite().all()
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])


@pytest.mark.parametrize("variant", NAMES)
def test_a_micro_batch_out_of_place_is_refused(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = PAIR.build(CpuDevice(), SMALL)
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output[:2] = work.output[:2].flip(0)

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


def test_a_skipped_stage_is_refused(notes: Notes) -> None:
    work = FfnPipeline(CpuDevice(), SMALL)
    resident = FfnPipeline._through_all_stages

    def short(batch: int) -> None:
        stages, work._stages = work._stages, work._stages[:-1]
        resident(work, batch)
        work._stages = stages

    work._through_all_stages = short  # type: ignore[method-assign]
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


@pytest.mark.parametrize("variant", NAMES)
def test_no_two_streams_race(variant: str) -> None:
    device = watched(variant)
    assert device.log
    assert device.races() == []
    assert device.unforked() == []
    assert device.unjoined() == []


def test_races_would_be_seen() -> None:
    device = watched("optimized", COPIES_IN, KERNELS, COPIES_OUT)
    assert {(a.stream, b.stream) for a, b in device.races()} == {(COPIES_IN, KERNELS), (KERNELS, COPIES_OUT)}
    assert {access.stream for access in device.unjoined()} == {KERNELS, COPIES_OUT}


def test_copies_are_those_of_the_claims() -> None:
    """Each stage's input and output against the two ends alone: 64 and 16 at full size."""
    batches, stages = SMALL["batches"], SMALL["stages"]
    baseline, resident, optimized = (Counter((access.stream, access.name) for access in watched(v).log) for v in NAMES)
    in_epilogue = batches * stages  # on a CPU a stage's GELU ends in a copy
    assert baseline[0, "aten.copy_.default"] == 2 * batches * stages + in_epilogue
    assert optimized[COPIES_IN, "aten.copy_.default"] == optimized[COPIES_OUT, "aten.copy_.default"] == batches
    assert optimized[KERNELS, "aten.copy_.default"] == in_epilogue
    assert resident[0, "aten.copy_.default"] == 2 * batches + in_epilogue
    assert {stream for stream, _ in resident} == {0}
    assert baseline[0, "aten.mm.out"] == optimized[KERNELS, "aten.mm.out"] == batches * stages
    assert {stream for stream, _ in baseline} == {0}


@pytest.mark.parametrize("sizes", [{**SMALL, "batches": 0}, {**SMALL, "stages": 0}, {**SMALL, "width": 33}])
def test_sizes_that_make_no_pipeline_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="no pipeline"):
        PAIR.build(CpuDevice(), sizes)
