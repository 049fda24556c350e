"""Attention in one Triton kernel, the twin of the CUDA ladder; imported only where it is launched."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

# Triton's compiler also evaluates annotations, and knows no types but its own: so the arguments bear none. It takes any floating
# dtype: Triton's interpreter, by which tests run it on a CPU, cannot multiply bf16 matrices.


@triton.jit  # type: ignore[untyped-decorator]
def add_keys(  # type: ignore[no-untyped-def]
    sums,
    most,
    total,
    query,
    keys,
    values,
    row,
    first,
    last,
    rows,
    scale,
    BN: tl.constexpr,
    MASKED: tl.constexpr,
):
    """Go on with a tile's sums over the keys from `first` to `last`; `row` is the head's first one."""
    for at in tl.range(first, last, BN):
        scores = tl.dot(query, keys.load([row + at, 0]).T)
        if MASKED:
            scores = tl.where(rows[:, None] >= at + tl.arange(0, BN)[None, :], scores, float("-inf"))
        higher = tl.maximum(most, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - higher[:, None])
        faded = tl.exp2(most - higher)
        total = total * faded + tl.sum(weights, 1)
        value = values.load([row + at, 0])
        sums = tl.dot(weights.to(value.dtype), value, sums * faded[:, None])
        most = higher
    return sums, most, total


@triton.jit  # type: ignore[untyped-decorator]
def flash_triton(  # type: ignore[no-untyped-def]
    queries,
    keys,
    values,
    out,
    lse_ptr,
    scale,
    HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    S: tl.constexpr,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    CAUSAL: tl.constexpr,
):
    """Program (tile, head) attends from BM queries to all keys, or to those that are not later; BM is a multiple of BN, which
    divides S. GROUP heads share their keys. `scale` is log2(e) times that of the scores, so that exponentials are powers of two.

    The latest tiles come first: of a causal mask they have most to do, and the short ones fill the gaps at the end.
    """
    tile, head = tl.num_programs(0) - 1 - tl.program_id(0), tl.program_id(1)
    group = head // HEADS * (HEADS // GROUP) + head % HEADS // GROUP
    rows = tile * BM + tl.arange(0, BM)
    query = queries.load([head * S + tile * BM, 0])
    sums = tl.zeros((BM, D), tl.float32)
    most, total = tl.full((BM,), float("-inf"), tl.float32), tl.zeros((BM,), tl.float32)
    whole = tile * BM if CAUSAL else S
    sums, most, total = add_keys(sums, most, total, query, keys, values, group * S, 0, whole, rows, scale, BN, False)
    if CAUSAL:
        last = tl.minimum(whole + BM, S)
        sums, most, total = add_keys(
            sums, most, total, query, keys, values, group * S, whole, last, rows, scale, BN, True
        )
    out.store([head * S + tile * BM, 0], (sums / total[:, None]).to(out.dtype))
    tl.store(lse_ptr + head * S + rows, (most + tl.log2(total)) * 0.6931471805599453)


TILES = {"BM": 64, "BN": 64}
OPTIONS = {"num_warps": 4, "num_stages": 3, "enable_fp_fusion": True}
"""Of ten choices the fastest on an H200 (2026-11-30, 2 x 16 heads of 8192 x 128, by events): 482 TFLOP/s without a mask and 426 with
one, where tiles of 128 by eight warps gave 427 and 408 at best. Two such programs lie on a multiprocessor at once."""
_LOG2_E = 1.4426950408889634


def launch(q: Any, k: Any, v: Any, out: Any, lse: Any, causal: bool, scale: float) -> None:
    """Enqueue the kernel; see `twin.attend` for what the tensors must be."""
    batch, heads, seq, dim = q.shape
    bm, bn = TILES["BM"], TILES["BN"]
    tall, wide = ([tile, dim] for tile in (bm, bn))
    described = [
        TensorDescriptor.from_tensor(tensor.view(-1, dim), block)
        for tensor, block in ((q, tall), (k, wide), (v, wide), (out, tall))
    ]
    numbers = (heads, heads // k.shape[1], seq, dim, bm, bn, causal)
    flash_triton[(seq // bm, batch * heads)](*described, lse, _LOG2_E * scale, *numbers, **OPTIONS)
