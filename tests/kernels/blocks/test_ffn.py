"""A feed-forward stage against fp64 and against its formula."""

from __future__ import annotations

import torch
from aisp_prof.kernels.blocks.ffn import Stage


def stage(width: int, hidden: int) -> Stage:
    source = torch.Generator().manual_seed(5)
    shapes = (width, hidden), (hidden,), (hidden, width)
    up, bias, down = (torch.randn(shape, generator=source) for shape in shapes)
    return Stage((up * width**-0.5).bfloat16(), bias.bfloat16(), (down * hidden**-0.5).bfloat16())


def test_the_reference_is_the_formula() -> None:
    weights, x = stage(8, 24), torch.randn(4, 8)
    u = x.double() @ weights.up.double() + weights.bias.double()
    inner = (2 / torch.pi) ** 0.5 * (u + 0.044715 * u**3)
    expected = (u / 2 * (1 + torch.tanh(inner))) @ weights.down.double()
    torch.testing.assert_close(weights.reference(x), expected)


def test_against_fp64() -> None:
    weights, x = stage(32, 128), torch.randn(16, 32, generator=torch.Generator().manual_seed(6)).bfloat16()
    kept, hidden, y = x.clone(), torch.empty(16, 128).bfloat16(), torch.full((16, 32), float("nan")).bfloat16()
    weights.run(x, hidden, y)
    expected = weights.reference(x)
    assert float((y.double() - expected).norm() / expected.norm()) < 6e-3
    assert torch.equal(x, kept)
