"""The staged MLP block: each step changes one thing, all compute the same, and the guards see what they should."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.kernels.blocks import mlp_block
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch20.multiple_unoptimized import PAIR, STEPS, MlpBlock
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import validate
from happens_before import OrderedDevice
from torch.utils._python_dispatch import TorchDispatchMode

SMALL = PAIR.declaration.sizes["small"]
NAMES = PAIR.declaration.names
each_variant = pytest.mark.parametrize("variant", NAMES)


def block() -> MlpBlock:
    work = MlpBlock(CpuDevice(), SMALL)
    work.inputs(3)
    return work


def test_it_runs_as_declared(notes: Notes) -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=5, notes=notes)
    assert record.validation.valid
    errors = record.validation.max_relative_error
    assert tuple(errors) == NAMES
    exact = [name for name, step in STEPS.items() if step.products == "fp32"]
    assert all((errors[name] or 1.0) < 1e-6 for name in exact)
    assert record.measured is not None
    assert Counter(timed.variant for timed in record.measured.iterations) == dict.fromkeys(NAMES, 2)


def test_each_step_changes_one_thing() -> None:
    assert tuple(STEPS) == NAMES
    for before, after in pairwise(asdict(step) for step in STEPS.values()):
        assert len([field for field in before if before[field] != after[field]]) == 1


@each_variant
def test_a_wrong_row_is_seen(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = block()
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output[3] *= 1.25

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


@each_variant
def test_peaks_are_the_largest_magnitudes(variant: str) -> None:
    work = block()
    work.run(variant)
    normal = torch.nn.functional.layer_norm(
        work._x.double(), (SMALL["width"],), *(t.double() for t in work._norm), 1e-5
    )
    hidden = normal @ work._up[0].double() + work._up[1]
    activated = torch.nn.functional.gelu(hidden, approximate="tanh")
    expected = [float(values.abs().max()) for values in (normal, activated, work.reference())]
    assert work.peaks.tolist() == pytest.approx(expected, rel=1e-2 if variant in ("bf16", "optimized") else 1e-5)


@each_variant
@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_guards_see_what_is_not_finite(variant: str, bad: float) -> None:
    work = block()
    work._x[1, 2] = bad
    if STEPS[variant].waits:
        with pytest.raises(FloatingPointError, match="guard 0"):
            work.run(variant)
    else:
        work.run(variant)
    assert not work.peaks[0].isfinite()


def operators(variant: str) -> Counter[str]:
    """What one iteration enqueues, by operator; on a GPU each is a kernel, or the copy that an `.item()` is."""
    device = OrderedDevice()
    work = MlpBlock(device, SMALL)
    with device.on(work.streams[0]):
        work.inputs(3)
    with device.watching() as log:
        work.run(variant)
    return Counter(access.name for access in log)


def test_operators_are_those_of_the_claims() -> None:
    counts = {variant: operators(variant) for variant in NAMES[:4]}
    reads = {variant: found.pop("aten._local_scalar_dense.default", 0) for variant, found in counts.items()}
    assert reads == {"baseline": 3, "kept": 3, "no_sync": 0, "once": 0}
    assert {variant: found.total() for variant, found in counts.items()} == {
        "baseline": 45,
        "kept": 45,
        "no_sync": 45,
        "once": 28,
    }


@each_variant
def test_fused_steps_call_each_part_once(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: Counter[str] = Counter()
    for name in ("normalise", "bias_gelu", "add_residual", "normalise_in_steps", "gelu_in_steps", "peak_in_steps"):
        part = getattr(mlp_block, name)

        def spy(*arguments: Any, name: str = name, part: Any = part) -> Any:
            called[name] += 1
            return part(*arguments)

        monkeypatch.setattr(mlp_block, name, spy)
    block().run(variant)
    step = STEPS[variant]
    times = 2 if step.repeats else 1
    fused = {"normalise": 1, "bias_gelu": 1, "add_residual": 1}
    in_steps = {"normalise_in_steps": times, "gelu_in_steps": times, "peak_in_steps": 3}
    assert called == (fused if step.fused else in_steps)


class Allocations(TorchDispatchMode):
    """Counts tensors of 1 KiB or more that are made while it is on; a scalar or a view is none."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.name().startswith("aten::empty"):
            self.count += result.nbytes >= 1024
        return result


@pytest.mark.parametrize("variant", NAMES[:4])
def test_only_the_baseline_takes_memory_in_an_iteration(variant: str) -> None:
    work = block()
    work.run(variant)
    with Allocations() as made:
        work.run(variant)
    # twice three for the norm and one for the GELU, three magnitudes, hidden columns and product
    assert made.count == (13 if variant == "baseline" else 0)


def test_the_products_number_format_is_put_back() -> None:
    before = torch.get_float32_matmul_precision()
    block().run("tf32")
    assert torch.get_float32_matmul_precision() == before


@each_variant
def test_poison_reaches_all_that_a_variant_writes(variant: str) -> None:
    work = block()
    work.run(variant)
    work.poison()
    written = [work.output, work.peaks, *work._taken.values()]
    assert all(buffer.isnan().all() for buffer in written)
    work.run(variant)
    assert work.output.isfinite().all()


def test_sizes_that_make_no_block_are_refused() -> None:
    with pytest.raises(UsageError, match="no block"):
        MlpBlock(CpuDevice(), {**SMALL, "hidden": 0})
