"""The Triton product's pair on a CPU, and that it tells what was compiled rather than what was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from aisp_prof.kernels.gemm.warp_specialized_matmul import Compiled
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11 import warp_specialized_triton
from aisp_prof.workloads.ch11.warp_specialized_triton import PAIR, SpecializedProduct, found
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import validate

SMALL = PAIR.declaration.sizes["small"]
NAMES = PAIR.declaration.names
PLAIN, SPECIALIZED = Compiled(8, b"aa"), Compiled(12, b"bb")


def test_the_pair_runs_on_a_cpu() -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=3)
    assert record.validation.valid
    assert tuple(record.validation.max_relative_error) == NAMES == ("baseline", "optimized")
    assert all(error is not None and 1e-4 < error < 3e-3 for error in record.validation.max_relative_error.values())


@pytest.mark.parametrize(
    ("asked", "told"), [(PLAIN, "8 warps same machine code"), (SPECIALIZED, "12 warps other machine code")]
)
def test_what_is_told_follows_the_machine_code(asked: Compiled, told: str) -> None:
    assert found({"baseline": PLAIN, "optimized": asked}) == {"baseline": "8 warps", "optimized": told}


def test_every_launch_stands_in_a_range_that_tells(monkeypatch: pytest.MonkeyPatch, domain: Any, notes: Notes) -> None:
    made = {"plain": PLAIN, "asked": PLAIN}
    launched = []

    def launch(x: Any, w: Any, y: Any, form: str) -> Compiled:
        launched.append(form)
        return made[form]

    monkeypatch.setattr(warp_specialized_triton, "matmul", launch)
    work = SpecializedProduct(CpuDevice(), SMALL, notes)
    launched.clear()
    for variant in NAMES:
        work.run(variant)
    assert launched == ["plain", "asked"]
    assert [name for event, name, *_ in domain.calls if event == "push"] == [
        "stage:8 warps",
        "stage:8 warps same machine code",
    ]


def test_on_a_cpu_nothing_is_said_to_be_compiled() -> None:
    assert set(SpecializedProduct(CpuDevice(), SMALL)._found.values()) == {"nothing compiled"}


@pytest.mark.parametrize("variant", NAMES)
def test_a_wrong_tile_is_seen(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = SpecializedProduct(CpuDevice(), SMALL)
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output[:4, :8] = 0

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid
