"""Finding kernels, what a device must have for them, and on a GPU what each computes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.kernels import rung as room
from aisp_prof.kernels.building.nvcc import architecture
from aisp_prof.kernels.rung import Rung, Trial, rungs

RUNGS = rungs()


def test_kernels_are_found_by_walking() -> None:
    found = {(rung.operation, rung.name): rung for rung in RUNGS}
    assert len(found) == len(RUNGS)
    assert found["l2norm", "fused"].entry == "l2norm_fused"
    assert {rung.source.parent.name for rung in RUNGS} >= {"norm", "elementwise"}
    assert all(rung.source.is_file() for rung in RUNGS)


def test_two_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_modules", lambda: ["aisp_prof.kernels.norm.l2norm"] * 2)
    with pytest.raises(UsageError, match="two rungs are called l2norm"):
        rungs()


@pytest.mark.parametrize(
    ("needs", "arch", "runs"),
    [
        ("70", "75", True),
        ("70", "90a", True),
        ("80", "75", False),
        ("90", "100a", True),
        ("90a", "90a", True),
        ("90a", "100a", False),
        ("100a", "90a", False),
    ],
)
def test_what_a_kernel_needs(needs: str, arch: str, runs: bool) -> None:
    rung = replace(RUNGS[0], needs=needs)
    assert rung.runs_on(arch) is runs
    if runs:
        rung.require(arch)
    else:
        with pytest.raises(EnvironmentLacks, match=r"needs compute capability \d+\.\d"):
            rung.require(arch)


def test_the_lack_is_said_in_compute_capabilities() -> None:
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 10\.0, and this GPU is of 9\.0"):
        replace(RUNGS[0], needs="100a").require("90a")
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 8\.0 or later, and this GPU is of 7\.5"):
        replace(RUNGS[0], needs="80").require("75")


def test_an_element_that_was_not_written_is_no_small_error() -> None:
    right = torch.ones(8)
    assert Trial(right.clone(), right, 0).error() == 0
    assert math.isnan(Trial(torch.where(torch.arange(8) < 7, right, math.nan), right, 0).error())
    assert Trial(torch.where(torch.arange(8) < 7, right, 2), right, 0).error() == pytest.approx(math.sqrt(1 / 8))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernels cannot run here")
@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: f"{rung.operation}-{rung.name}")
def test_every_kernel_against_fp64(rung: Rung) -> None:
    if not rung.runs_on(architecture(*torch.cuda.get_device_capability())):
        pytest.skip(f"needs {rung.needs}")
    for seed in (1, 2, 3):
        trial = rung.trial(seed)
        assert trial.error() <= trial.tolerance
