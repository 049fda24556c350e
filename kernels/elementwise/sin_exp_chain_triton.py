"""The sin/exp chain in Triton; imported only where it is launched, because importing Triton is slow and needs a GPU build."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


# Triton's compiler also evaluates annotations, and knows no types but its own: so the pointers bear none.
@triton.jit  # type: ignore[untyped-decorator]
def sin_exp_chain_kernel(x_ptr, out_ptr, n, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """One program writes BLOCK consecutive fp32 elements; the mask makes any n right."""
    # 64-bit offsets: n may exceed 2^31 elements
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0)
    y = x
    for _ in range(ROUNDS):
        s = tl.sin(y)
        y = x + tl.exp(-(s * s))
    tl.store(out_ptr + offsets, y, mask=mask)


def launch(x: Any, out: Any, rounds: int, block: int) -> None:
    """Enqueue the kernel on PyTorch's current stream; see `sin_exp_chain` for what the tensors must be."""
    n = x.numel()
    sin_exp_chain_kernel[(triton.cdiv(n, block),)](x, out, n, ROUNDS=rounds, BLOCK=block, enable_fp_fusion=True)
