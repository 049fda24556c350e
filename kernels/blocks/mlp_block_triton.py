"""The fused parts of an MLP block in Triton; imported only where they are launched."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

# Triton's compiler also evaluates annotations, and knows no types but its own: so the pointers bear none.


@triton.jit
def _raise_peak(peak_bits_ptr, values, mask):  # type: ignore[no-untyped-def]
    """Magnitudes are compared as integers: their order is that of the floats, and NaN is above infinity."""
    bits = values.to(tl.int32, bitcast=True) & 0x7FFFFFFF
    tl.atomic_max(peak_bits_ptr, tl.max(tl.where(mask, bits, 0), axis=0), sem="relaxed")


@triton.jit  # type: ignore[untyped-decorator]
def normalise_kernel(  # type: ignore[no-untyped-def]
    x_ptr, gain_ptr, shift_ptr, out_ptr, peak_bits_ptr, eps, COLUMNS: tl.constexpr, BLOCK: tl.constexpr
):
    """One program a row, which stays in registers: BLOCK >= COLUMNS."""
    at = tl.arange(0, BLOCK)
    mask = at < COLUMNS
    row = tl.program_id(0).to(tl.int64) * COLUMNS
    x = tl.load(x_ptr + row + at, mask=mask, other=0.0)
    centred = tl.where(mask, x - tl.sum(x, axis=0) / COLUMNS, 0.0)
    factor = tl.rsqrt(tl.sum(centred * centred, axis=0) / COLUMNS + eps)
    gain = tl.load(gain_ptr + at, mask=mask, other=0.0)
    normal = centred * factor * gain + tl.load(shift_ptr + at, mask=mask, other=0.0)
    tl.store(out_ptr + row + at, normal.to(out_ptr.dtype.element_ty), mask=mask)
    _raise_peak(peak_bits_ptr, normal, mask)


@triton.jit  # type: ignore[untyped-decorator]
def bias_gelu_kernel(u_ptr, bias_ptr, peak_bits_ptr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """One program a piece of a row, in place; gelu(u) = u / (1 + exp(-2z)) with z = sqrt(2/pi) (u + 0.044715 u^3)."""
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = at < COLUMNS
    place = u_ptr + tl.program_id(0).to(tl.int64) * COLUMNS + at
    u = tl.load(place, mask=mask, other=0.0).to(tl.float32) + tl.load(bias_ptr + at, mask=mask, other=0.0)
    activated = u / (1.0 + tl.exp(-1.5957691216057308 * (u + 0.044715 * u * u * u)))
    tl.store(place, activated.to(u_ptr.dtype.element_ty), mask=mask)
    _raise_peak(peak_bits_ptr, activated, mask)


@triton.jit  # type: ignore[untyped-decorator]
def add_residual_kernel(  # type: ignore[no-untyped-def]
    product_ptr, bias_ptr, x_ptr, y_ptr, peak_bits_ptr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr
):
    """One program a piece of a row."""
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = at < COLUMNS
    place = tl.program_id(0).to(tl.int64) * COLUMNS + at
    product = tl.load(product_ptr + place, mask=mask, other=0.0).to(tl.float32)
    product += tl.load(bias_ptr + at, mask=mask, other=0.0)
    y = tl.load(x_ptr + place, mask=mask, other=0.0) + product
    tl.store(y_ptr + place, y, mask=mask)
    _raise_peak(peak_bits_ptr, y, mask)


PIECE = 4096
WARPS = 8


def launch_normalise(x: Any, gain: Any, shift: Any, out: Any, peak: Any, eps: float) -> None:
    """Enqueue on PyTorch's current stream; see `mlp_block.normalise` for what the tensors must be."""
    rows, columns = x.shape
    block = triton.next_power_of_2(columns)
    normalise_kernel[(rows,)](
        x, gain, shift, out, _bits(peak), eps, columns, block, num_warps=WARPS, enable_fp_fusion=True
    )


def launch_bias_gelu(u: Any, bias: Any, peak: Any) -> None:
    """Enqueue on PyTorch's current stream; see `mlp_block.bias_gelu`."""
    grid, columns, block = _pieces(u)
    bias_gelu_kernel[grid](u, bias, _bits(peak), columns, block, num_warps=WARPS, enable_fp_fusion=True)


def launch_add_residual(product: Any, bias: Any, x: Any, y: Any, peak: Any) -> None:
    """Enqueue on PyTorch's current stream; see `mlp_block.add_residual`."""
    grid, columns, block = _pieces(x)
    add_residual_kernel[grid](product, bias, x, y, _bits(peak), columns, block, num_warps=WARPS, enable_fp_fusion=True)


def _pieces(matrix: Any) -> tuple[tuple[int, int], int, int]:
    """Grid, columns and block for a program a piece of a row."""
    rows, columns = matrix.shape
    block = min(PIECE, triton.next_power_of_2(columns))
    return (rows, triton.cdiv(columns, block)), columns, block


def _bits(peak: Any) -> Any:
    import torch

    return peak.view(torch.int32)
