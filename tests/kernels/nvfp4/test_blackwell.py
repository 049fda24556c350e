"""NVFP4 on Blackwell: refused on any other GPU before anything is built; a trap elsewhere; where each scale goes."""

from __future__ import annotations

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.building.contract import disassemble, find_tools
from aisp_prof.kernels.building.nvcc import cubin, find_nvcc
from aisp_prof.kernels.nvfp4 import blackwell
from aisp_prof.kernels.nvfp4 import format as nvfp4


@pytest.mark.parametrize("capability", [(9, 0), (12, 0)])
def test_a_gpu_that_knows_no_nvfp4_is_refused_at_once(
    capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(blackwell, "loaded", lambda *anything: pytest.fail("it was built"))
    packed = nvfp4.pack(torch.randn(128, 256))
    with pytest.raises(EnvironmentLacks, match=r"unsupported: needs compute capability 10\.x") as refused:
        blackwell.matmul(packed, packed, torch.empty(128, 128, dtype=torch.bfloat16))
    assert refused.value.exit_code == 3
    assert "ch09:cute_dsl_nvfp4_gemm" in refused.value.mend


def test_what_it_is_launched_with_on_blackwell(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that can be seen without one: maps of whole rows of codes, the product of both scales, a block a tile."""
    launched: list[tuple[object, ...]] = []

    class Entry:
        def launch(self, grid: object, shape: object, arguments: tuple[object, ...]) -> None:
            launched.append((grid, shape, *arguments))

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (10, 0))
    monkeypatch.setattr(blackwell, "loaded", lambda source, name: Entry())
    monkeypatch.setattr(blackwell, "tiled", lambda tensor, rows, columns: (tuple(tensor.shape), rows, columns))
    a, b = (nvfp4.pack(torch.randn(rows, 512), scale) for rows, scale in ((256, 0.5), (384, 0.25)))
    blackwell.matmul(a, b, torch.empty(256, 384, dtype=torch.bfloat16), "in_turn")
    ((grid, shape, of_a, of_b, operands, _),) = launched
    assert (grid, shape) == ((2, 3), blackwell.SHAPES["in_turn"])
    assert (of_a, of_b) == (((256, 128), 128, 64), ((384, 128), 128, 64))
    assert isinstance(operands, blackwell.Operands)
    assert (operands.blocks, operands.scale) == (2, 0.125)
    with pytest.raises(ValueError, match="multiple of 128"):
        blackwell.matmul(nvfp4.pack(torch.zeros(64, 256)), nvfp4.pack(torch.zeros(128, 256)), torch.empty(64, 128))


def test_every_scale_lies_where_tensor_memory_takes_it() -> None:
    """By the layout of PTX's manual for tcgen05.cp.32x128b.warpx4, one scale after the other."""
    scales = torch.randint(256, (256, 16), dtype=torch.uint8)
    tiles = blackwell.scale_tiles(scales).flatten().tolist()
    for row in range(256):
        for column in range(16):
            tile = row // 128 * 4 + column // 4
            at = 512 * tile + row % 32 * 16 + row % 128 // 32 * 4 + column % 4
            assert tiles[at] == int(scales[row, column])


def test_the_reference_is_the_product_of_what_was_packed() -> None:
    a, b = nvfp4.pack(torch.randn(4, 32), 0.5), nvfp4.pack(torch.randn(3, 32), 2.0)
    wide = [nvfp4.unpack(one).double() * one.scale for one in (a, b)]
    assert torch.equal(blackwell.reference(a, b), wide[0] @ wide[1].t())


@pytest.mark.skipif(
    find_nvcc() is None or find_tools() is None, reason="nvcc, cuobjdump and nvdisasm are not all there"
)
def test_for_hopper_the_source_is_a_trap() -> None:
    for code in disassemble(cubin(blackwell.SOURCE, "90a")).values():
        assert "BPT.TRAP" in code.sass
        assert "UTMALDG" not in code.sass
