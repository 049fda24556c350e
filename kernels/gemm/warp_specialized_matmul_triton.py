"""x·Wᵀ in Triton, with a loop that may ask for warp specialization; imported only where it is launched or compiled."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from .matmul_gelu_triton import tile_at
from .warp_specialized_matmul import Compiled, Form

# Triton's compiler also evaluates annotations, and knows no types but its own: so the pointers bear none.


@triton.jit  # type: ignore[untyped-decorator]
def warp_specialized_matmul(  # type: ignore[no-untyped-def]
    x,
    w,
    y_ptr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    GROUP: tl.constexpr,
    SPECIALIZE: tl.constexpr,
):
    """One program computes one BM x BN tile, which the copy engine (TMA) feeds; the tile sizes divide M, N and K.

    The tile is stored through pointers: in Triton 3.6 a store through a descriptor fails to compile where specialization for
    Hopper halves the tile.
    """
    tile_m, tile_n = tile_at(tl.program_id(0), M // BM, N // BN, GROUP)
    sums = tl.zeros((BM, BN), dtype=tl.float32)
    for k in tl.range(0, K // BK, warp_specialize=SPECIALIZE):
        sums = tl.dot(x.load([tile_m * BM, k * BK]), w.load([tile_n * BN, k * BK]).T, sums)
    rows, columns = tile_m * BM + tl.arange(0, BM), tile_n * BN + tl.arange(0, BN)
    tl.store(y_ptr + rows[:, None] * N + columns[None, :], sums.to(tl.bfloat16))


TILES = {"BM": 128, "BN": 256, "BK": 64, "GROUP": 16}
STAGES = 4


def launch(x: Any, w: Any, y: Any, form: Form) -> Compiled:
    """Enqueue the kernel on PyTorch's current stream; see `matmul` for what the tensors must be."""
    (m, k), n = x.shape, w.shape[0]
    bm, bn, bk = (TILES[name] for name in ("BM", "BN", "BK"))
    operands = (TensorDescriptor.from_tensor(x, [bm, bk]), TensorDescriptor.from_tensor(w, [bn, bk]), y)
    options = {"SPECIALIZE": form.specialize, "num_warps": form.warps, "num_stages": STAGES, "enable_fp_fusion": True}
    return described(warp_specialized_matmul[(m // bm * (n // bn),)](*operands, m, n, k, **TILES, **options))


def described(compiled: Any) -> Compiled:
    """What is told of a kernel that Triton has compiled."""
    return Compiled(int(compiled.metadata.num_warps), compiled.asm["cubin"])
