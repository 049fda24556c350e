"""The cubic: passes and one pass against fp64 and against each other, and that temporaries come and go as promised."""

from __future__ import annotations

import pytest
import torch
from aisp_prof.kernels.driver.temporaries import Arena, FreshMemory
from aisp_prof.kernels.elementwise.cubic_passes import (
    A,
    Access,
    declared_bytes,
    declared_flops,
    fused,
    in_passes,
    in_torch,
    reference,
)


def normal(n: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


class Counting:
    """A memory that writes down how many arrays are out, and hands out arrays of NaN."""

    def __init__(self, n: int) -> None:
        self.n, self.log = n, []  # type: ignore[var-annotated]

    def take(self) -> torch.Tensor:
        self.log.append(1)
        return torch.full((self.n,), float("nan"))

    def give(self, array: torch.Tensor | int) -> None:
        assert isinstance(array, torch.Tensor)
        array.fill_(float("nan"))
        self.log.append(-1)


def test_the_reference_is_the_formula() -> None:
    x = normal(1000)
    wide = x.double()
    torch.testing.assert_close(reference(x), wide * (1 + A * wide**2), rtol=1e-14, atol=0)
    assert x.dtype is torch.float32


@pytest.mark.parametrize("access", ["strided", "coalesced"])
def test_passes_and_the_one_pass_agree_bit_for_bit(access: Access) -> None:
    x = normal(1 << 14)
    passes, once, expected = (torch.full_like(x, float("nan")) for _ in range(3))
    in_passes(x, passes, Counting(x.numel()), access)
    fused(x, once)
    in_torch(x, expected)
    assert torch.equal(passes, expected)
    assert torch.equal(once, expected)
    wide = reference(x)
    assert float((expected.double() - wide).norm() / wide.norm()) < 2e-7


def test_three_temporaries_are_taken_and_at_most_two_are_out() -> None:
    x = normal(64)
    memory = Counting(64)
    in_passes(x, torch.empty_like(x), memory, "coalesced")
    assert memory.log == [1, 1, -1, 1, -1, -1]


def test_an_arena_hands_out_what_came_back_and_no_more() -> None:
    arena = Arena(8, "cpu", 2)
    first, second = arena.take(), arena.take()
    assert {id(first), id(second)} == {id(array) for array in arena.arrays}
    with pytest.raises(ValueError, match="all 2 arrays"):
        arena.take()
    arena.give(first)
    assert arena.take() is first


def test_fresh_memory_is_another_array_each_time() -> None:
    fresh = FreshMemory(8, "cpu")
    first, second = fresh.take(), fresh.take()
    assert isinstance(first, torch.Tensor)
    assert isinstance(second, torch.Tensor)
    assert first.data_ptr() != second.data_ptr()
    assert first.shape == (8,)


@pytest.mark.parametrize(
    ("x", "out"),
    [
        (torch.zeros(4, dtype=torch.float64), torch.zeros(4)),
        (torch.zeros(8)[::2], torch.zeros(4)),
        (torch.zeros(9)[1:], torch.zeros(8)),
        (torch.zeros(4), torch.zeros(5)),
        (torch.zeros(0), torch.zeros(0)),
    ],
    ids=["x-fp64", "strided", "unaligned", "sizes-differ", "empty"],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, out: torch.Tensor) -> None:
    for call in (lambda: fused(x, out), lambda: in_passes(x, out, Counting(4), "strided")):
        with pytest.raises(ValueError, match=r"must be|do not fit"):
            call()


def test_what_is_declared() -> None:
    n = 1 << 29
    assert declared_flops(n) == 4 * n
    assert declared_bytes(n, fused=False) == 9 * 4 * n
    assert declared_bytes(n, fused=True) == 2 * 4 * n


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernels cannot run here")
@pytest.mark.parametrize("n", [1, 3, 4, 2047, 2048, 2049, (1 << 20) + 7])
@pytest.mark.parametrize("access", ["strided", "coalesced"])
def test_the_kernels_equal_pytorch_bit_for_bit(n: int, access: Access) -> None:
    x = normal(n).cuda()
    expected = torch.empty_like(x)
    in_torch(x, expected)
    for compute in (
        lambda out: in_passes(x, out, FreshMemory(n, "cuda"), access),
        lambda out: in_passes(x, out, Arena(n, "cuda", 2), access),
        lambda out: fused(x, out),
    ):
        guarded = torch.full((n + 64,), float("nan"), device="cuda")
        compute(guarded[:n])
        torch.cuda.synchronize()
        assert torch.equal(guarded[:n], expected)
        assert guarded[n:].isnan().all(), "wrote past the end"
