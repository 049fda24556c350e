"""Hardware keys, sizes and capabilities, and what is said where one is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.workloads import hardware
from aisp_prof.workloads.ch11.streams import PAIR
from aisp_prof.workloads.device import enough_memory, open_device
from aisp_prof.workloads.hardware import Gpu, check_needs, choose_size, hardware_key, shrunk
from aisp_prof.workloads.pair import Memory, Pair
from aisp_prof.workloads.registry import find, pairs

H200 = Gpu("NVIDIA H200", "GPU-0", "9.0", 132, 150_000_000_000, 62_914_560)
A100 = replace(H200, name="NVIDIA A100-SXM4-80GB", compute_capability="8.0")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H200 NVL", "h200_nvl"),
        ("NVIDIA H100 80GB HBM3", "h100_sxm"),
        ("NVIDIA H100 PCIe", "h100_pcie"),
        ("NVIDIA A100-SXM4-40GB", "a100_sxm_40gb"),
        ("NVIDIA A100-SXM4-80GB", "a100_sxm_80gb"),
        ("NVIDIA A100 80GB PCIe", "a100_pcie_80gb"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA GH200 480GB", "gh200"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 4090", "rtx_4090"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx_6000_ada_generation"),
        ("NVIDIA H200 MIG 1g.18gb", "h200_mig_1g_18gb"),
        ("Some <New> GPU/2", "some_new_gpu_2"),
        ("", "unknown"),
    ],
)
def test_hardware_key(name: str, key: str) -> None:
    assert hardware_key(name) == key


def test_size_is_the_hardwares_own_then_default_then_small_on_a_cpu() -> None:
    declaration = PAIR.declaration
    assert choose_size(declaration, H200, None)[0] == "h200"
    assert choose_size(declaration, A100, None)[0] == "default"
    assert choose_size(declaration, None, None)[0] == "small"
    assert choose_size(declaration, H200, "small") == ("small", declaration.sizes["small"])


RTX_4090 = replace(H200, name="NVIDIA GeForce RTX 4090", compute_capability="8.9", memory_bytes=25_250_627_584)
L4 = replace(H200, name="NVIDIA L4", compute_capability="8.9", memory_bytes=23_609_475_072)
H100 = replace(H200, name="NVIDIA H100 80GB HBM3", memory_bytes=84_930_000_000)


def halved() -> Pair:
    """20 bytes an element of 131072 rows of 4096 numbers in four sets: 40 GiB."""
    memory = Memory(lambda sizes: 20 * sizes["sets"] * sizes["rows"] * sizes["columns"], "rows", 4)
    return replace(find("ch09:fused_l2norm")[0], memory=memory)


def test_a_pair_that_memory_cannot_hold_gets_half_and_says_so() -> None:
    pair = halved()
    full = pair.declaration.sizes["default"]
    for gpu, rows in ((RTX_4090, 65536), (L4, 32768)):
        key, sizes = choose_size(pair.declaration, gpu, None, pair.memory)
        assert sizes == {**full, "rows": rows}
        assert (key, sizes) == choose_size(pair.declaration, gpu, key, pair.memory), "what capture hands to its child"
        said = shrunk(pair.declaration, key, pair.memory, gpu.memory_bytes)
        assert said.startswith(f"rows {rows} instead of 131072, which take 40 GiB of this GPU's 2"), said
        assert choose_size(pair.declaration, gpu, "default", pair.memory) == ("default", full), "as asked"
    with pytest.raises(
        EnvironmentLacks, match=r"takes 2\.5 GiB of device memory at rows 8192, and this GPU has 2"
    ) as caught:
        choose_size(pair.declaration, replace(L4, memory_bytes=2 << 30), None, pair.memory)
    assert "--size small" in caught.value.mend


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.key)
def test_with_80_gb_every_pair_runs_whole(pair: Pair) -> None:
    for gpu in (H100, A100, H200):
        key, sizes = choose_size(pair.declaration, gpu, None, pair.memory)
        assert (key, sizes) == choose_size(pair.declaration, gpu, None)
        assert not shrunk(pair.declaration, key, pair.memory, gpu.memory_bytes)


def test_an_unknown_size_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no size 'huge'") as caught:
        choose_size(PAIR.declaration, H200, "huge")
    assert "h200" in caught.value.mend


def test_a_missing_capability_is_named() -> None:
    needy = replace(PAIR.declaration, needs=("cuda", "cc>=9.0"))
    check_needs(needy, H200)
    with pytest.raises(EnvironmentLacks, match=r"unsupported: ch11.streams needs cc>=9.0") as caught:
        check_needs(needy, A100)
    assert "compute capability 8.0" in caught.value.mend
    assert caught.value.exit_code == 3


def test_capabilities_are_compared_as_numbers() -> None:
    check_needs(replace(PAIR.declaration, needs=("cc>=9.0",)), replace(H200, compute_capability="10.0"))


def test_a_capability_may_be_too_new() -> None:
    old = replace(PAIR.declaration, needs=("cc>=9.0", "cc<10.0"))
    check_needs(old, H200)
    with pytest.raises(EnvironmentLacks, match=r"needs cc<10\.0"):
        check_needs(old, replace(H200, compute_capability="10.0"))


def test_missing_triton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentLacks, match="needs triton"):
        check_needs(PAIR.declaration, H200)


def test_a_pair_of_two_gpus_is_refused_where_one_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    needy = replace(PAIR.declaration, needs=("cuda", "gpus>=2"))
    monkeypatch.setattr(hardware, "_visible_gpus", lambda: 1)
    with pytest.raises(EnvironmentLacks, match=r"unsupported: ch11.streams needs gpus>=2") as caught:
        check_needs(needy, H200)
    assert "a machine with 2 GPUs; 1 is visible" in caught.value.mend
    monkeypatch.setattr(hardware, "_visible_gpus", lambda: 2)
    check_needs(needy, H200)


def test_an_unknown_need_is_an_error_and_no_silent_pass() -> None:
    with pytest.raises(UsageError, match="unknown need 'warp drive'"):
        check_needs(replace(PAIR.declaration, needs=("warp drive",)), H200)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_says_what_to_do() -> None:
    with pytest.raises(EnvironmentLacks, match="no CUDA device") as caught:
        open_device("cuda")
    assert "--device cpu" in caught.value.mend


def test_memory_that_does_not_suffice_is_no_traceback() -> None:
    with pytest.raises(EnvironmentLacks, match="out of memory: CUDA out of memory"), enough_memory():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB\nmore")


def test_sizes_by_position() -> None:
    declaration = PAIR.declaration
    key, sizes = choose_size(declaration, None, "2x8x3")
    assert (key, sizes) == ("2x8x3", {"mib": 2, "chunks": 8, "rounds": 3})
    for asked in ("2x8", "2x8x3x4", "2x0x3"):
        with pytest.raises(UsageError, match="takes 3 sizes above 0") as caught:
            choose_size(declaration, None, asked)
        assert caught.value.mend == "--sizes MIB CHUNKS ROUNDS"
