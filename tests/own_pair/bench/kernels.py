"""Add a residual and divide each row by its root mean square, in one Triton kernel."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _add_rms_norm(x, residual, gain, out, columns, eps, WIDTH: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, WIDTH)
    inside = at < columns
    total = tl.load(x + row * columns + at, inside, 0.0) + tl.load(residual + row * columns + at, inside, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(total * total, 0) / columns + eps)
    tl.store(out + row * columns + at, total * scale * tl.load(gain + at, inside, 0.0), inside)


def add_rms_norm(
    x: torch.Tensor, residual: torch.Tensor, gain: torch.Tensor, out: torch.Tensor, eps: float
) -> torch.Tensor:
    """fp32 [rows, columns], each row by one program that holds it in registers."""
    rows, columns = x.shape
    _add_rms_norm[(rows,)](x, residual, gain, out, columns, eps, WIDTH=triton.next_power_of_2(columns), num_warps=8)
    return out
