"""Classified images end to end: what each step sends over the wire, and that two image buffers are enough."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.kernels.blocks import classifier
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch20.end_to_end_bandwidth import PAIR, ClassifiedImages
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import validate
from happens_before import OrderedDevice

SMALL = PAIR.declaration.sizes["small"]
NAMES = PAIR.declaration.names
IN_TURN, SIDE_BY_SIDE = NAMES[:3], NAMES[3:]
COPIES_IN, KERNELS, COPIES_OUT = range(3)
each_variant = pytest.mark.parametrize("variant", NAMES)


def images() -> ClassifiedImages:
    work = ClassifiedImages(CpuDevice(), SMALL)
    work.inputs(3)
    return work


def watched(variant: str, *deaf: int) -> OrderedDevice:
    device = OrderedDevice()
    work = ClassifiedImages(device, SMALL)
    with device.on(work.streams[0]):
        work.inputs(3)
        work.poison()
    device.deaf = frozenset(deaf)
    with device.watching():
        work.run(variant)
    return device


def test_it_runs_as_declared(notes: Notes) -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=5, notes=notes)
    errors = record.validation.max_relative_error
    assert record.validation.valid
    assert tuple(errors) == NAMES
    assert all((errors[name] or 1.0) < 1e-6 for name in NAMES[:-1]), "fp32 on the wire"
    assert 5e-4 < (errors["optimized"] or 0.0) < 3e-3, "the wire's rounding shows"


@each_variant
def test_a_batch_out_of_place_is_refused(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = images()
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output[:2] = work.output[:2].flip(0)

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


def test_the_data_set_is_stored_three_times_and_is_one() -> None:
    work = images()
    assert torch.equal(work._pageable_in, work._pinned_in)
    assert torch.equal(work._wire_in, work._pinned_in.bfloat16())
    assert work._wire_in.nbytes * 2 == work._pinned_in.nbytes


@each_variant
def test_what_crosses_the_wire(variant: str) -> None:
    """Bytes of the copies in from the host memory of the variant's data set: all of it, once, and of no other."""
    device = OrderedDevice()
    work = ClassifiedImages(device, SMALL)
    with device.watching() as log:
        work.run(variant)
    source = {"baseline": work._pageable_in, "optimized": work._wire_in}.get(variant, work._pinned_in)
    crossed = Counter[str]()
    for tensor, name in ((work._pageable_in, "pageable"), (work._pinned_in, "pinned"), (work._wire_in, "wire")):
        start, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
        crossed[name] = sum(b - a for access in log for a, b in access.reads if start <= a and b <= end)
        assert crossed[name] == (source.nbytes if source is tensor else 0)


@each_variant
def test_no_two_streams_race(variant: str) -> None:
    device = watched(variant)
    assert device.log
    assert device.races() == []
    assert device.unforked() == []
    assert device.unjoined() == []
    assert {access.stream for access in device.log} == ({0} if variant in IN_TURN else {0, 1, 2})


@pytest.mark.parametrize("variant", SIDE_BY_SIDE)
def test_a_buffer_filled_too_early_would_be_seen(variant: str) -> None:
    races = watched(variant, COPIES_IN).races()
    assert {(a.stream, b.stream) for a, b in races} == {(KERNELS, COPIES_IN)}
    assert {(a.stream, b.stream) for a, b in watched(variant, KERNELS).races()} >= {(COPIES_IN, KERNELS)}
    assert {(a.stream, b.stream) for a, b in watched(variant, COPIES_OUT).races()} == {(KERNELS, COPIES_OUT)}


def test_kernels_are_those_of_the_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten operators a batch, and seven: 160 and 112 kernels at full size."""
    batches = SMALL["batches"]
    log = Counter(access.name for access in watched("pinned").log)
    assert log.pop("aten.copy_.default") == 2 * batches
    assert log.total() == 10 * batches
    fused: Counter[str] = Counter()
    monkeypatch.setattr(classifier, "bias_relu", lambda *_: fused.update(["bias_relu"]))
    monkeypatch.setattr(classifier.Classifier, "normalise", lambda *_: fused.update(["normalise"]))
    fused["mm"] = Counter(access.name for access in watched("fused").log)["aten.mm.out"]
    assert fused == {"normalise": batches, "mm": 3 * batches, "bias_relu": 3 * batches}


@each_variant
def test_poison_reaches_all_that_a_variant_writes(variant: str) -> None:
    work = images()
    work.poison()
    written = (work._pageable_out, work._pinned_out, work._logits, work._normal, *work._slots.values(), *work._between)
    assert all(buffer.isnan().all() for buffer in written)
    work.run(variant)
    assert work.output.isfinite().all()


@pytest.mark.parametrize("sizes", [{**SMALL, "batches": 0}, {**SMALL, "rows": 3, "pixels": 5}])
def test_sizes_that_make_no_batches_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="no batches"):
        ClassifiedImages(CpuDevice(), sizes)
