"""The training step: variants agree with fp64 and train alike, and a step that leaves something out is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch20.training_single import PAIR, TrainingStep
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import relative_error, validate

NAMES = PAIR.declaration.names
SMALL = PAIR.declaration.sizes["small"]


def small() -> TrainingStep:
    return TrainingStep(CpuDevice(), SMALL)


def test_the_pair_runs_from_validation_to_times(notes: Notes) -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, notes=notes, seed=5)
    assert record.validation.valid
    assert record.measured is not None
    assert [timed.variant for timed in record.measured.iterations] == [*NAMES, *reversed(NAMES)]


def test_fp32_and_bf16_err_as_their_roundings_do() -> None:
    """bf16 keeps 8 bits, so an error below 1e-3 would mean that it was not used."""
    work = small()
    work.inputs(3)
    expected = work.reference()
    errors = {}
    for name in NAMES:
        work.poison()
        work.run(name)
        errors[name] = relative_error(work.output, expected)
    assert max(errors[name] for name in NAMES[:-2]) < 1e-3
    assert all(1e-3 < errors[name] < 1e-2 for name in NAMES[-2:])


def test_twenty_steps_lose_alike() -> None:
    """Over 20 steps each variant's loss stays within 1 % of the baseline's, and falls by a tenth."""
    work = small()
    work.inputs(7)
    curves = {}
    for name in NAMES:
        work.poison()
        curve = []
        for _ in range(20):
            work.run(name)
            curve.append(float(work.loss))
        curves[name] = torch.tensor(curve)
    baseline = curves["baseline"]
    assert float(baseline[-1]) < 0.9 * float(baseline[0])
    for curve in curves.values():
        assert float(((curve - baseline) / baseline).abs().max()) < 0.01


def test_a_step_goes_on_from_the_last_one_and_inputs_start_again() -> None:
    work = small()
    work.inputs(1)
    work.run("fused")
    once = work.output
    work.run("baseline")
    twice = work.output
    assert float(twice.norm()) > 1.5 * float(once.norm())
    for state in (*work._default.state.values(), *work._fused.state.values()):
        assert float(state["step"]) == 1001
    work.inputs(1)
    assert float(work.output.norm()) == 0
    work.run("fused")
    assert torch.equal(work.output, once)


def test_the_optimizers_share_their_moments() -> None:
    """Or the variants would step from different states, and memory would hold them twice."""
    work = small()
    pairs = zip(work._default.state.values(), work._fused.state.values(), strict=True)
    for a, b in pairs:
        assert a["exp_avg"] is b["exp_avg"]
        assert a["exp_avg_sq"] is b["exp_avg_sq"]


def test_only_the_baseline_reads_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    item = torch.Tensor.item

    def spy(tensor: torch.Tensor) -> Any:
        read.append(tensor.dim() == 0 and tensor.requires_grad)
        return item(tensor)

    work = small()
    work.inputs(2)
    monkeypatch.setattr(torch.Tensor, "item", spy)
    for name in NAMES:
        read.clear()
        work.run(name)
        assert any(read) == (name == "baseline")


def test_a_loss_that_is_not_finite_stops_the_baseline() -> None:
    work = small()
    work.inputs(2)
    work._x.fill_(float("inf"))
    with pytest.raises(FloatingPointError, match="the loss is"):
        work.run("baseline")


def test_the_setting_for_matrix_products_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    work = small()
    work.inputs(2)
    during = []
    step = work._fused.step
    monkeypatch.setattr(work._fused, "step", lambda: during.append(torch.backends.cuda.matmul.allow_tf32) or step())
    for name in ("fused", "tf32", "bf16", "optimized"):
        work.run(name)
    assert during == [False, True, False, False]
    assert torch.backends.cuda.matmul.allow_tf32 is False


def _much_decay(work: TrainingStep) -> None:
    """A hundred times as much: the right one is 0.2 % of an update, and its absence would not be seen."""
    for group in work._fused.param_groups:
        group["weight_decay"] = 1.0


def _no_last_bias(work: TrainingStep) -> None:
    work._params[-1].requires_grad_(False)


def _gradient_twice(work: TrainingStep) -> None:
    work._params[0].register_hook(lambda gradient: 2 * gradient)


def _no_first_layer(work: TrainingStep) -> None:
    work._params[0].register_hook(torch.zeros_like)


@pytest.mark.parametrize("wrong", [_much_decay, _no_last_bias, _gradient_twice, _no_first_layer])
def test_a_wrong_step_is_refused(wrong: Callable[[TrainingStep], None], notes: Notes) -> None:
    work = small()
    wrong(work)
    found = validate(PAIR.declaration, work, CpuDevice(), notes, 11)
    assert found.max_relative_error["optimized"] is not None
    assert found.max_relative_error["optimized"] > PAIR.declaration.tolerance


def test_a_variant_that_does_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, notes: Notes) -> None:
    work = small()
    run = work.run
    monkeypatch.setattr(work, "run", lambda asked: None if asked == "tf32" else run(asked))
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


def test_no_layers_are_refused() -> None:
    with pytest.raises(UsageError, match="0 layers"):
        TrainingStep(CpuDevice(), {**SMALL, "layers": 0})
