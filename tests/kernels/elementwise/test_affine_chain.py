"""The affine chain: eager against fp64 and against fused multiply-adds taken one by one, and what it declares."""

from __future__ import annotations

import pytest
import torch
from aisp_prof.kernels.elementwise.affine_chain import declared_bytes, declared_flops, eager, fused, reference

A, B = 0.984375, 0.125


def normal(n: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


def chained(x: torch.Tensor, steps: int) -> torch.Tensor:
    out = torch.full_like(x, float("nan"))
    fused(x, out, A, B, steps)
    return out


def test_the_reference_is_the_closed_form_and_leaves_its_input() -> None:
    x = normal(1000).double()
    kept = x.clone()
    closed = x * A**16 + B * (1 - A**16) / (1 - A)
    torch.testing.assert_close(reference(x, A, B, 16), closed, rtol=1e-14, atol=1e-14)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("steps", [1, 16, 100])
def test_fp32_stays_near_fp64(steps: int) -> None:
    x = normal(1 << 14)
    expected = reference(x, A, B, steps)
    assert float((chained(x, steps).double() - expected).norm() / expected.norm()) < 2e-7


def test_a_step_rounds_once() -> None:
    """(1 + 2^-12)^2 - 1: with the product rounded by itself, its last bit, 2^-24, would be lost."""
    x = torch.full((1024,), 1 + 2.0**-12)
    out = torch.empty_like(x)
    eager(x, out, 1 + 2.0**-12, -1.0, 1)
    assert out.tolist() == [2.0**-11 + 2.0**-24] * 1024


@pytest.mark.parametrize(
    ("x", "out", "steps"),
    [
        (torch.zeros(4, dtype=torch.float64), torch.zeros(4), 1),
        (torch.zeros(8)[::2], torch.zeros(4), 1),
        (torch.zeros(9)[1:], torch.zeros(8), 1),
        (torch.zeros(4), torch.zeros(5), 1),
        (torch.zeros(0), torch.zeros(0), 1),
        (torch.zeros(4), torch.zeros(4), 0),
    ],
    ids=["x-fp64", "strided", "unaligned", "sizes-differ", "empty", "no-step"],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, out: torch.Tensor, steps: int) -> None:
    with pytest.raises(ValueError, match=r"must be|do not fit"):
        fused(x, out, A, B, steps)


def test_what_is_declared() -> None:
    n = 1 << 29
    assert declared_flops(n, 16) == 17_179_869_184
    assert declared_bytes(n, passes=16) == 68_719_476_736
    assert declared_bytes(n, passes=1) == 4_294_967_296


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernel cannot run here")
@pytest.mark.parametrize("n", [1, 3, 4, 1023, 1024, 1025, (1 << 20) + 7])
def test_the_kernel_equals_eager_bit_for_bit(n: int) -> None:
    x = normal(n).cuda()
    guarded, expected = torch.full((n + 64,), float("nan"), device="cuda"), torch.empty_like(x)
    fused(x, guarded[:n], A, B, 16)
    eager(x, expected, A, B, 16)
    assert torch.equal(guarded[:n], expected)
    assert guarded[n:].isnan().all(), "wrote past the end"
