"""On a GPU without clusters or distributed shared memory: told at once with exit code 3, and nothing else is run in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.attention import cluster_decode
from aisp_prof.kernels.driver import launch
from aisp_prof.kernels.elementwise import tile_pipeline
from aisp_prof.kernels.softmax import rows
from aisp_prof.kernels.stencil import gelu
from aisp_prof.workloads import harness
from aisp_prof.workloads.demos import demo
from aisp_prof.workloads.demos.registry import find as find_demo
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.hardware import Gpu
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.registry import find

A100 = Gpu("NVIDIA A100-SXM4-80GB", "GPU-0", "8.0", 108, 80 << 30, 40 << 20)
PAIRS = (
    "ch10:double_buffered_pipeline",
    "ch10:cluster_group",
    "ch10:cluster_group_no_dsmem",
    "ch11:warp_specialization_multistream",
)
DEMOS = ("ch10-memory-pipeline", "ch11-streams-warp-specialized", "ch11-kv-prefetch", "ch10-both")


class Pretended(CpuDevice):
    """A GPU of compute capability 8.0, as far as anyone asks."""


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (harness, demo):
        monkeypatch.setattr(module, "open_device", lambda kind: Pretended())
        monkeypatch.setattr(module, "present_gpu", lambda device: A100)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *device: (8, 0))


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_is_refused_before_anything_is_built(name: str) -> None:
    (pair,) = find(name)
    ran: list[Any] = []
    with pytest.raises(EnvironmentLacks, match=r"unsupported: .* needs cc>=9\.0") as refused:
        run_pair(replace(pair, build=lambda *anything: ran.append(anything)))
    assert refused.value.exit_code == 3
    assert "compute capability 8.0" in refused.value.mend
    assert ran == []


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_is_refused(name: str) -> None:
    with pytest.raises(EnvironmentLacks, match=r"unsupported: .* needs cc>=9\.0") as refused:
        find_demo(name).run([])
    assert refused.value.exit_code == 3
    assert "compute capability 8.0" in refused.value.mend


@pytest.fixture
def nothing_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rows, gelu, tile_pipeline, cluster_decode):
        monkeypatch.setattr(module, "loaded", lambda *anything: pytest.fail("it was looked for, to be launched"))
    monkeypatch.setattr(launch, "kernel", lambda *anything: pytest.fail("it was looked for, to be launched"))


def softmax(monkeypatch: pytest.MonkeyPatch) -> rows.Softmax:
    monkeypatch.setattr(rows, "_check", lambda *tensors: None)
    monkeypatch.setattr(rows, "sm_count", lambda: 108)
    x = torch.zeros(2, 8 * rows.SHARE)
    return rows.Softmax(x, torch.empty_like(x))


@pytest.mark.usefixtures("nothing_launched")
@pytest.mark.parametrize("way", ["cluster", "cluster_memory"])
def test_clusters_are_not_replaced(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = softmax(monkeypatch)
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 9\.0 or later, and this GPU is of 8\.0"):
        work.run(way)


@pytest.mark.usefixtures("nothing_launched")
def test_warps_with_roles_are_not_replaced() -> None:
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 9\.0, and this GPU is of 8\.0"):
        gelu.roles_kernel(torch.zeros(8))


@pytest.mark.usefixtures("nothing_launched")
def test_the_decode_kernel_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_decode, "_check", lambda *tensors: 1)
    tensor = torch.zeros(1)
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 9\.0 or later, and this GPU is of 8\.0"):
        cluster_decode.attend(*[tensor] * 6)


def test_what_needs_no_cluster_runs_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--no-cluster`: a cooperative launch of blocks whose chunks fit the smaller shared memory."""
    launched: list[tuple[Any, ...]] = []

    class Entry:
        def launch(self, *arguments: Any) -> None:
            launched.append(arguments)

    monkeypatch.setattr(rows, "loaded", lambda *anything: Entry())
    softmax(monkeypatch).run("cooperative")
    ((grid, shape, _),) = launched
    assert grid == 2 * 8  # as many teams as rows; 108 multiprocessors have room for 13
    assert shape.cooperative
    assert shape.cluster == 1
    assert shape.shared <= 163 << 10
