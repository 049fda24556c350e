"""The Blackwell kernel: refused on any other GPU before anything is built; the same source is a trap elsewhere."""

from __future__ import annotations

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.building.contract import disassemble, find_tools
from aisp_prof.kernels.building.nvcc import cubin, find_nvcc
from aisp_prof.kernels.gemm import ladder, tcgen05


@pytest.mark.parametrize("capability", [(9, 0), (8, 0), (12, 0)])
def test_a_gpu_without_tcgen05_is_refused_at_once(capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(ladder, "loaded", lambda *anything: pytest.fail("it was built"))
    empty = torch.empty(8, 8, dtype=torch.bfloat16)
    with pytest.raises(EnvironmentLacks, match=r"unsupported: needs compute capability 10\.x") as refused:
        tcgen05.matmul(empty, empty, empty)
    assert refused.value.exit_code == 3
    assert f"{capability[0]}.{capability[1]}" in str(refused.value)


def test_blackwell_is_not_refused() -> None:
    tcgen05.require(10, 0)


@pytest.mark.skipif(
    find_nvcc() is None or find_tools() is None, reason="nvcc, cuobjdump and nvdisasm are not all there"
)
def test_for_hopper_the_source_is_a_trap() -> None:
    sass = disassemble(cubin(tcgen05.SOURCE, "90a"))[tcgen05.CONTRACT.kernel].sass
    assert "BPT.TRAP" in sass
    assert "HGMMA" not in sass
    assert "UTMALDG" not in sass
