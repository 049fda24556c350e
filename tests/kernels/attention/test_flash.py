"""FlashAttention's forward pass: what is refused and declared, without a GPU; on Hopper every rung against fp64."""

from __future__ import annotations

import ctypes
import math

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.attention import flash, flash_operands
from aisp_prof.kernels.attention.flash import NAMES, STEPS, declared_bytes, declared_flops, flash_attention, reference
from aisp_prof.kernels.attention.flash_operands import TaskCell, pairs_seen

KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16}
ON_HOPPER = torch.cuda.is_available() and torch.cuda.get_device_capability() == (9, 0)
needs_hopper = pytest.mark.skipif(not ON_HOPPER, reason="no CUDA device of compute capability 9.0")


def test_the_task_is_laid_out_as_in_cuda() -> None:
    offsets = {name: getattr(TaskCell, name).offset for name, _ in TaskCell._fields_}
    assert list(offsets.values()) == [0, 8, 16, 24, 32, 40, 44, 48, 52, 56, 60, 64]
    assert ctypes.sizeof(TaskCell) == 72


def test_rungs_in_order() -> None:
    assert [name[:2] for name in NAMES] == [f"{number:02}" for number in range(1, len(NAMES) + 1)]
    assert all(step.source.is_file() for step in STEPS.values())


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (7, 3), (3, 7), (1, 1)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_reference_is_what_pytorch_computes_with_a_mask(queries: int, keys: int, causal: bool) -> None:
    source = torch.Generator().manual_seed(queries)
    q = torch.randn(2, 4, queries, 8, generator=source)
    k, v = (torch.randn(2, 2, keys, 8, generator=source) for _ in "kv")
    seen = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries if causal else keys)
    wide = [one.double() for one in (q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))]
    want = torch.nn.functional.scaled_dot_product_attention(*wide, attn_mask=seen)
    out, lse = reference(q, k, v, causal=causal)
    unseen = ~seen.any(1)
    torch.testing.assert_close(out[:, :, ~unseen], want[:, :, ~unseen])
    assert (out[:, :, unseen] == 0).all()
    assert (lse[:, :, unseen] == -math.inf).all()
    assert pairs_seen(queries, keys, causal) == int(seen.sum())
    scores = (wide[0] @ wide[1].transpose(2, 3) / 8**0.5).masked_fill(~seen, -math.inf)
    torch.testing.assert_close(lse, scores.logsumexp(3))


def test_what_is_declared() -> None:
    assert declared_flops(4, 16, 8192, 8192, 128) == 4 * 4 * 16 * 8192**2 * 128
    assert declared_flops(1, 1, 4, 4, 64, causal=True) == 4 * 64 * 10
    assert declared_bytes(2, 4, 2, 3, 5, 64) == 2 * 2 * 64 * (2 * 4 * 3 + 2 * 2 * 5) + 4 * 2 * 4 * 3


def heads(*shape: int, kind: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(*shape, dtype=kind)


@pytest.mark.parametrize(
    ("q", "k", "message"),
    [
        (heads(1, 2, 8, 64), heads(1, 2, 8, 64), "current CUDA device"),
        (heads(1, 2, 8, 64, kind=torch.float32), heads(1, 2, 8, 64), "must be bf16 or fp16"),
        (heads(1, 2, 8, 64), heads(1, 2, 8, 64, kind=torch.float16), "of one dtype with q"),
        (heads(2, 8, 64), heads(1, 2, 8, 64), "batch, heads, length, D"),
        (heads(1, 3, 8, 64), heads(1, 2, 8, 64), "do not fit"),
        (heads(1, 2, 8, 64), heads(2, 2, 8, 64), "do not fit"),
        (heads(1, 2, 8, 128), heads(1, 2, 8, 64), "do not fit"),
        (heads(1, 2, 8, 64), heads(1, 2, 0, 64), "do not fit"),
        (heads(1, 2, 8, 96), heads(1, 2, 8, 96), "64 or 128 wide"),
        (heads(1, 2, 8, 64), heads(1, 1, 8, 64).expand(1, 2, 8, 64), "not expanded"),
        (heads(1, 2, 64, 8).transpose(2, 3), heads(1, 2, 8, 64), "contiguous"),
    ],
)
def test_what_does_not_fit_is_refused(q: torch.Tensor, k: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flash_attention(q, k, k)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_would_turn_the_order_round_is_refused(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    monkeypatch.setattr(flash_operands, "_check", lambda *tensors: None)
    with pytest.raises(ValueError, match="above nought and finite"):
        flash_attention(heads(1, 2, 8, 64), heads(1, 2, 8, 64), heads(1, 2, 8, 64), scale=scale)


def test_a_rung_that_is_not_there_is_refused() -> None:
    x = heads(1, 2, 8, 64)
    with pytest.raises(ValueError, match=r"no rung is called 99; there are 01_"):
        flash_attention(x, x, x, rung="99")


def test_another_gpu_is_refused_and_nothing_runs_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_operands, "_check", lambda *tensors: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (10, 0))
    monkeypatch.setattr(flash, "run", lambda *anything: pytest.fail("it ran"))
    x = heads(1, 2, 8, 64)
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 9\.0, and this GPU is of 10\.0"):
        flash_attention(x, x, x)
