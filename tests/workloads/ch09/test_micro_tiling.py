"""ch09:micro_tiling_matmul: sizes that its kernels take."""

from __future__ import annotations

import pytest
from aisp_prof.kernels.gemm import fp32_tiles
from aisp_prof.workloads.ch09.micro_tiling_matmul import PAIR


@pytest.mark.parametrize("size", PAIR.declaration.sizes)
def test_every_size_is_whole_tiles_of_every_kernel(size: str) -> None:
    """A CPU takes any size, so only a GPU's run would tell."""
    sizes = PAIR.declaration.sizes[size]
    assert fp32_tiles.whole_tiles(sizes["m"], sizes["n"], sizes["k"])


def test_what_is_no_whole_tile() -> None:
    assert fp32_tiles.whole_tiles(256, 512, 16)
    for m, n, k in ((64, 256, 16), (256, 96, 16), (256, 256, 24), (0, 256, 16), (256, 256, 0)):
        assert not fp32_tiles.whole_tiles(m, n, k)
