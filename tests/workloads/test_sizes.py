"""Sizes that the kernels of a pair take: a CPU takes any, so that only a run on a GPU would tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from aisp_prof.kernels.attention.flash_operands import HEAD_DIMS
from aisp_prof.kernels.gemm import fp32_tiles, products
from aisp_prof.workloads.registry import find

TAKES: Mapping[str, Callable[[Mapping[str, int]], bool]] = {
    "ch09:micro_tiling_matmul": lambda of: fp32_tiles.whole_tiles(of["m"], of["n"], of["k"]),
    "ch10:cooperative_persistent": lambda of: products.whole_tiles(of["edge"], of["edge"], of["edge"]),
    "ch11:tensor_cores_streams": lambda of: products.whole_tiles(of["rows"], of["width"], of["width"]),
    "ch10:attention": lambda of: of["dim"] in HEAD_DIMS,
    "ch10:flash_attention": lambda of: of["dim"] in HEAD_DIMS,
    "ch10:flash_attn_tma_micro_pipeline": lambda of: of["dim"] in HEAD_DIMS,
}


@pytest.mark.parametrize("pair", TAKES)
def test_the_kernels_take_every_size_that_is_declared(pair: str) -> None:
    refused = {name: of for name, of in find(pair)[0].declaration.sizes.items() if not TAKES[pair](of)}
    assert not refused


def test_what_is_no_whole_tile() -> None:
    assert fp32_tiles.whole_tiles(256, 512, 16)
    for m, n, k in ((64, 256, 16), (256, 96, 16), (256, 256, 24), (0, 256, 16), (256, 256, 0)):
        assert not fp32_tiles.whole_tiles(m, n, k)
    assert products.whole_tiles(128, 256, 8)
    for m, n, k in ((64, 256, 8), (128, 128, 8), (128, 256, 4), (128, 0, 8)):
        assert not products.whole_tiles(m, n, k)
