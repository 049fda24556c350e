"""Layers of matrix product, bias and GELU: both ways against fp64, and what they declare."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from aisp_prof.kernels.gemm.gelu_layers import declared_bytes, declared_flops, eager, fused, reference


@pytest.mark.parametrize("chain", [eager, fused])
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_against_fp64(chain: Any, layers: int) -> None:
    source = torch.Generator().manual_seed(5)
    x = torch.randn(32, 64, generator=source).bfloat16()
    weights = (torch.randn(layers, 64, 64, generator=source) * 1.5 / 8).bfloat16().unbind()
    biases = torch.randn(layers, 64, generator=source).bfloat16().unbind()
    kept = x.clone()
    out = chain(x, weights, biases, (torch.empty_like(x), torch.empty_like(x)))
    expected = reference(x, weights, biases)
    assert float((out.double() - expected).norm() / expected.norm()) < 1e-2
    assert torch.equal(x, kept)


def test_what_is_declared() -> None:
    assert declared_flops(8192, 4096, 16) == 4_398_046_511_104
    assert declared_bytes(8192, 4096, 16, operators=1) == 16 * (2**25 + 2 * 2**26)
    assert declared_bytes(8192, 4096, 16, operators=2) == 16 * (2**25 + 4 * 2**26)
    assert declared_bytes(8192, 4096, 16, operators=3) == 16 * (2**25 + 6 * 2**26)
