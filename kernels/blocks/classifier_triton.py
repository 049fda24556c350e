"""What lies between an image classifier's matrix products, in Triton; imported only where it is launched."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

# Triton's compiler also evaluates annotations, and knows no types but its own: so the pointers bear none.


@triton.jit  # type: ignore[untyped-decorator]
def normalise_images_kernel(  # type: ignore[no-untyped-def]
    images_ptr, mean_ptr, scale_ptr, out_ptr, n, COLUMNS: tl.constexpr, BLOCK: tl.constexpr
):
    """One program writes BLOCK consecutive elements of fp32; images are fp32 or bf16."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask, column = at < n, at % COLUMNS
    image = tl.load(images_ptr + at, mask=mask, other=0.0).to(tl.float32)
    mean = tl.load(mean_ptr + column, mask=mask, other=0.0)
    tl.store(out_ptr + at, (image - mean) * tl.load(scale_ptr + column, mask=mask, other=0.0), mask=mask)


@triton.jit  # type: ignore[untyped-decorator]
def bias_relu_kernel(  # type: ignore[no-untyped-def]
    u_ptr, bias_ptr, n, COLUMNS: tl.constexpr, BLOCK: tl.constexpr, RELU: tl.constexpr
):
    """One program changes BLOCK consecutive elements of fp32 in place; NaN stays NaN."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    u = tl.load(u_ptr + at, mask=mask, other=0.0) + tl.load(bias_ptr + at % COLUMNS, mask=mask, other=0.0)
    if RELU:
        u = tl.where(u < 0.0, 0.0, u)
    tl.store(u_ptr + at, u, mask=mask)


BLOCK = 2048
"""Elements that one program handles: four accesses of 16 bytes a thread."""


def launch_normalise(images: Any, mean: Any, scale: Any, out: Any) -> None:
    """Enqueue on PyTorch's current stream; see `Classifier.normalise` for what the tensors must be."""
    n = out.numel()
    normalise_images_kernel[(triton.cdiv(n, BLOCK),)](
        images, mean, scale, out, n, out.shape[1], BLOCK, enable_fp_fusion=True
    )


def launch_bias_relu(u: Any, bias: Any, relu: bool) -> None:
    """Enqueue on PyTorch's current stream; see `classifier.bias_relu`."""
    n = u.numel()
    bias_relu_kernel[(triton.cdiv(n, BLOCK),)](u, bias, n, u.shape[1], BLOCK, relu, enable_fp_fusion=True)
