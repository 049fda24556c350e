"""The stencil and its GELU: the reference by a loop, all ways alike on a CPU, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from aisp_prof.kernels.stencil import gelu


def by_hand(x: list[float]) -> list[float]:
    padded = [0.0, *x, 0.0]
    sums = [sum(w * v for w, v in zip(gelu.WEIGHTS, padded[i : i + 3], strict=True)) for i in range(len(x))]
    inner = [math.sqrt(2 / math.pi) * (s + 0.044715 * s**3) for s in sums]
    return [gelu.SCALE * 0.5 * s * (1 + math.tanh(u)) for s, u in zip(sums, inner, strict=True)]


def test_the_reference_is_the_formula() -> None:
    x = torch.randn(40, dtype=torch.float64)
    assert gelu.reference(x).tolist() == pytest.approx(by_hand(x.tolist()), rel=1e-12)


def test_the_neighbours_count_unlike() -> None:
    """A mirrored stencil, and one shifted by an element, give another result."""
    x = torch.randn(64, dtype=torch.float64)
    for other in (gelu.reference(x.flip(0)).flip(0), gelu.reference(x).roll(1)):
        assert float((other - gelu.reference(x)).norm() / gelu.reference(x).norm()) > 0.05


def test_all_ways_agree_on_a_cpu() -> None:
    x = torch.randn(4 * gelu.TILE)
    results = [torch.full_like(x, float("nan")) for _ in range(3)]
    gelu.two_kernels(x, torch.empty_like(x), results[0])
    gelu.fused(x, results[1])
    gelu.by_roles(x, results[2], 4)
    for result in results:
        assert float((result - gelu.reference(x)).norm() / gelu.reference(x).norm()) < 1e-6


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (torch.empty(8), torch.empty(8), "must be contiguous fp32 on CUDA"),
        (torch.empty(8, device="meta", dtype=torch.float16), torch.empty(8), "must be contiguous fp32 on CUDA"),
    ],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, y: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        gelu._check(x, y, 4)
