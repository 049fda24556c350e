"""Normalised rows against fp64, both ways alike, and what they declare."""

from __future__ import annotations

import pytest
import torch
from aisp_prof.kernels.norm.l2norm import COLUMNS, EPS, declared_bytes, declared_flops, fused, reference, two_kernels


def rows(count: int, columns: int, seed: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """bf16 [count, columns] and a gain of bf16 [columns]."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(count, columns, generator=source).bfloat16(), torch.randn(columns, generator=source).bfloat16()


def both(x: torch.Tensor, gain: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    factors = torch.full((x.shape[0], 2), float("nan"), device=x.device)
    two, one = torch.full_like(x, float("nan")), torch.full_like(x, float("nan"))
    two_kernels(x, gain, factors, two)
    fused(x, gain, one)
    return two, one


def relative_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.double() - expected).norm() / expected.norm())


def test_the_reference_has_rows_of_norm_one() -> None:
    x, gain = rows(8, 256)
    torch.testing.assert_close(reference(x, torch.ones_like(gain)).norm(dim=1), torch.ones(8).double())
    torch.testing.assert_close(reference(x, gain), reference(x, torch.ones_like(gain)) * gain.double())


def test_a_row_of_zeros_stays_zero_and_a_tiny_one_is_not_blown_up() -> None:
    x = torch.zeros(2, 64, dtype=torch.bfloat16)
    x[1, 0] = EPS / 8
    gain = torch.ones(64, dtype=torch.bfloat16)
    for out in (*both(x, gain), reference(x, gain)):
        assert not out[0].any()
        assert float(out[1, 0]) == pytest.approx(0.125, rel=4e-3)


def test_both_ways_agree_with_fp64_and_with_each_other() -> None:
    x, gain = rows(32, 512)
    two, one = both(x, gain)
    assert torch.equal(two, one)
    assert relative_error(one, reference(x, gain)) < 2e-3


@pytest.mark.parametrize(
    ("x", "gain", "y"),
    [
        (torch.zeros(2, 64), torch.zeros(64), torch.zeros(2, 64)),
        (*rows(2, 64), torch.zeros(3, 64, dtype=torch.bfloat16)),
        (rows(2, 64)[0], torch.zeros(32, dtype=torch.bfloat16), torch.zeros(2, 64, dtype=torch.bfloat16)),
        (rows(2, 64)[0].T, torch.zeros(2, dtype=torch.bfloat16), torch.zeros(64, 2, dtype=torch.bfloat16)),
    ],
    ids=["fp32", "shapes-differ", "gain-too-short", "strided"],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, gain: torch.Tensor, y: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be|do not fit"):
        fused(x, gain, y)


def test_what_is_declared() -> None:
    assert declared_flops(131072, 4096) == 4 * 2**29
    assert declared_bytes(131072, 4096, fused=True) == 2**31
    assert declared_bytes(131072, 4096, fused=False) == 3 * 2**30 + 2**21


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernels cannot run here")
@pytest.mark.parametrize("magnitude", [1.0, 1e19, 1e38, 1e-19, 1e-38])
def test_the_kernels_agree_bit_for_bit_at_any_magnitude(magnitude: float) -> None:
    x, gain = rows(257, COLUMNS)
    x = (x.double().clamp(-3, 3) / 3 * magnitude).bfloat16().cuda()
    two, one = both(x, gain.cuda())
    assert torch.equal(two.view(torch.int16), one.view(torch.int16))
    assert relative_error(one, reference(x, gain.cuda())) < 2e-3
