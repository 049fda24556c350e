"""The sin/exp chain against its fp64 reference, and that its result still says which input it came from."""

from __future__ import annotations

import pytest
import torch
from aisp_prof.kernels.elementwise.sin_exp_chain import BLOCK, reference, sin_exp_chain


def normal(n: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


def chained(x: torch.Tensor, rounds: int) -> torch.Tensor:
    out = torch.full_like(x, float("nan"))
    sin_exp_chain(x, out, rounds)
    return out


def relative_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.cpu().double() - expected.cpu()).norm() / expected.cpu().norm())


@pytest.mark.parametrize("rounds", [1, 2, 16, 36, 200])
def test_fp32_stays_near_fp64_however_long_the_chain(rounds: int) -> None:
    x = normal(1 << 14)
    assert relative_error(chained(x, rounds), reference(x, rounds)) < 2e-7


def test_one_round_is_the_formula() -> None:
    x = normal(1000).double()
    torch.testing.assert_close(reference(x, 1), x + torch.exp(-(torch.sin(x) ** 2)), rtol=0, atol=1e-15)


def test_a_long_chain_still_tells_inputs_apart() -> None:
    """Without the added x, all outputs would agree to 1e-7 after 36 rounds, and no check could see a permutation."""
    result = reference(normal(1 << 14), 36)
    assert relative_error(result.roll(1), result) > 0.5


def test_input_is_left_alone() -> None:
    x = normal(100)
    kept = x.clone()
    chained(x, 3)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("chunks", [2, 3, 7, 16])
def test_chunks_equal_the_whole_bit_for_bit(chunks: int) -> None:
    x = normal(10_007)
    whole = chained(x, 5)
    assert torch.equal(torch.cat([chained(piece.clone(), 5) for piece in x.tensor_split(chunks)]), whole)


@pytest.mark.parametrize(
    ("x", "out", "rounds"),
    [
        (torch.zeros(4, dtype=torch.float64), torch.zeros(4), 1),
        (torch.zeros(4), torch.zeros(4, dtype=torch.float16), 1),
        (torch.zeros(8)[::2], torch.zeros(4), 1),
        (torch.zeros(4), torch.zeros(5), 1),
        (torch.zeros(0), torch.zeros(0), 1),
        (torch.zeros(4), torch.zeros(4), 0),
    ],
    ids=["x-fp64", "out-fp16", "strided", "sizes-differ", "empty", "no-round"],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, out: torch.Tensor, rounds: int) -> None:
    with pytest.raises(ValueError, match=r"must be|do not fit"):
        sin_exp_chain(x, out, rounds)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the Triton kernel cannot run here")
@pytest.mark.parametrize("n", [1, BLOCK - 1, BLOCK, BLOCK + 1, 1 << 20])
@pytest.mark.parametrize("rounds", [1, 36])
def test_triton_kernel_against_fp64(n: int, rounds: int) -> None:
    x = normal(n).cuda()
    guarded = torch.full((n + BLOCK,), float("nan"), device="cuda")
    sin_exp_chain(x, guarded[:n], rounds)
    assert relative_error(guarded[:n], reference(x, rounds)) < 2e-7
    assert guarded[n:].isnan().all(), "wrote past the end"
