"""A product in fp8: what is refused, what it is launched with, and on a GPU fp64 over sizes that fill no tile."""

from __future__ import annotations

import pytest
import torch
from aisp_prof.kernels.gemm import fp8_tiles

E4M3 = torch.float8_e4m3fn


def operands(m: int, n: int, k: int, device: str = "cpu") -> tuple[torch.Tensor, ...]:
    a, b = (torch.randn(rows, k, device=device).to(E4M3) for rows in (m, n))
    return a, b, torch.full((m, n), float("nan"), dtype=torch.bfloat16, device=device)


@pytest.mark.parametrize(
    ("m", "n", "k", "said"),
    [(8, 8, 24, "k must be a multiple of 16"), (8, 12, 32, "n of 8"), (8, 8, 32, "current CUDA device")],
)
def test_what_does_not_fit_is_refused(m: int, n: int, k: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fp8_tiles.matmul(*operands(m, n, k))


def test_other_types_are_refused() -> None:
    a, b, c = operands(8, 8, 32)
    for wrong in ((a.float(), b, c), (a, b.view(torch.uint8), c), (a, b, c.float())):
        with pytest.raises(ValueError, match="must be matrices of e4m3"):
            fp8_tiles.matmul(*wrong)


def test_the_reference_is_of_the_values_in_e4m3() -> None:
    a, b, _ = operands(4, 3, 16)
    by_hand = [[sum(float(x) * float(y) for x, y in zip(row, column, strict=True)) for column in b] for row in a]
    assert torch.allclose(fp8_tiles.reference(a, b, 0.5), torch.tensor(by_hand, dtype=torch.float64) / 2, atol=0)


def test_what_is_declared() -> None:
    assert fp8_tiles.declared_bytes(2, 3, 5) == 2 * 5 + 3 * 5 + 2 * 2 * 3


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() != (9, 0),
    reason="no GPU of compute capability 9.0",
)
@pytest.mark.parametrize(("m", "n", "k"), [(1, 8, 16), (257, 264, 144), (300, 1000, 4096), (4096, 4096, 8192)])
def test_sizes_that_fill_no_tile_agree_with_fp64(m: int, n: int, k: int) -> None:
    a, b, _ = operands(m, n, k, "cuda")
    around = torch.full((m + 2, n + 16), 7.0, dtype=torch.bfloat16, device="cuda")
    c = around[1:-1, 8:-8]
    c.fill_(float("nan"))
    fp8_tiles.matmul(a, b, c, 0.5)
    right = fp8_tiles.reference(a, b, 0.5)
    assert float((c.double() - right).norm() / right.norm()) <= 4e-3
    around[1:-1, 8:-8] = 7.0
    assert (around == 7.0).all()
