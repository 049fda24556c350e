"""Runs the Triton twin of the attention ladder in Triton's interpreter, in fp32, and prints how far it is from fp64.

A program of its own, because Triton decides when it is imported whether it compiles or interprets.
"""

from __future__ import annotations

import json
import sys

import torch
from aisp_prof.kernels.attention import flash_triton
from aisp_prof.kernels.attention.flash_operands import reference
from interpreted_attention import mend_the_interpreter

CASES = ((1, 4, 1, 128, 64, False), (2, 2, 1, 256, 64, True))
"""Batch, heads, heads of keys, length, d, causal."""


def errors(batch: int, heads: int, kv_heads: int, seq: int, dim: int, causal: bool) -> dict[str, float]:
    """Relative error of the result, and the largest difference of the logarithms."""
    source = torch.Generator().manual_seed(seq + dim)
    q, k, v = (torch.randn(batch, n, seq, dim, generator=source) for n in (heads, kv_heads, kv_heads))
    out, lse = torch.full_like(q, float("nan")), torch.full(q.shape[:3], float("nan"))
    flash_triton.launch(q, k, v, out, lse, causal, dim**-0.5)
    wanted, sums = reference(q, k, v, causal=causal)
    return {
        "out": float((out.double() - wanted).norm() / wanted.norm()),
        "lse": float((lse - sums).abs().max()),
    }


if __name__ == "__main__":
    mend_the_interpreter()
    json.dump([errors(*case) for case in CASES], sys.stdout)
