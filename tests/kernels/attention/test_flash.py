"""FlashAttention's forward pass: what is refused and declared, without a GPU; on Hopper every rung against fp64."""

from __future__ import annotations

import ctypes
import math
import random
from typing import Any

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.attention import flash, flash_operands
from aisp_prof.kernels.attention.flash import NAMES, STEPS, declared_bytes, declared_flops, flash_attention, reference
from aisp_prof.kernels.attention.flash_chain import flash_attention_chain
from aisp_prof.kernels.attention.flash_operands import TaskCell, pairs_seen

CHAIN = "chain"
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


@pytest.mark.parametrize("chunk", [0, 63, 100])
def test_a_chunk_that_is_no_multiple_of_a_tile_is_refused(chunk: int) -> None:
    x = heads(1, 2, 8, 64)
    with pytest.raises(ValueError, match="multiple of 64 keys"):
        flash_attention_chain(x, x, x, chunk=chunk)


def test_another_gpu_is_refused_and_nothing_runs_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_operands, "_check", lambda *tensors: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (10, 0))
    monkeypatch.setattr(flash, "run", lambda *anything: pytest.fail("it ran"))
    x = heads(1, 2, 8, 64)
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 9\.0, and this GPU is of 10\.0"):
        flash_attention(x, x, x)


def drawn(
    batch: int, heads_of: tuple[int, int], lengths: tuple[int, int], d: int, kind: torch.dtype, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k and v; as users have them where the seed is odd, [batch, length, heads, d] with heads moved to the front."""
    source = torch.Generator("cuda").manual_seed(seed)

    def one(count: int, length: int) -> torch.Tensor:
        shape = (batch, length, count, d) if seed % 2 else (batch, count, length, d)
        made = torch.randn(*shape, generator=source, device="cuda").to(kind)
        return made.transpose(1, 2) if seed % 2 else made

    return one(heads_of[0], lengths[0]), one(heads_of[1], lengths[1]), one(heads_of[1], lengths[1])


def attend(way: str, *tensors: torch.Tensor, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    if way == CHAIN:
        return flash_attention_chain(*tensors, **options, chunk=192)
    return flash_attention(*tensors, **options, rung=way)


def guarded(q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """An output as a part of something larger, all NaN."""
    batch, count, length, d = q.shape
    whole = torch.full((batch, count + 1, length + 2, d + 8), math.nan, dtype=q.dtype, device="cuda")
    return whole, whole[:, :count, 1 : length + 1, :d]


def check(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rung: str, causal: bool, scale: float | None = None
) -> None:
    what = (rung, q.dtype, tuple(q.shape), tuple(k.shape), causal)
    whole, room = guarded(q)
    out, lse = attend(rung, q, k, v, causal=causal, scale=scale, out=room)
    want, sums = reference(q, k, v, causal=causal, scale=scale)
    error = float((out.double() - want).norm() / want.norm().clamp(min=1e-30))
    assert error < (4e-3 if q.dtype is torch.bfloat16 else 6e-4), what
    unseen = sums == -math.inf
    assert torch.equal(lse == -math.inf, unseen), what
    assert not out[unseen].any(), what
    torch.testing.assert_close(lse[~unseen].double(), sums[~unseen], rtol=2e-6, atol=2e-5, msg=lambda m: f"{what}: {m}")
    again, _ = attend(rung, q, k, v, causal=causal, scale=scale)
    assert torch.equal(again, out), what
    out.fill_(math.nan)
    assert whole.isnan().all(), f"wrote outside: {what}"


EDGES = ((1, 1), (1, 500), (500, 1), (128, 128), (127, 129), (129, 127), (192, 384), (193, 383), (64, 1000), (1000, 64))


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("d", flash_operands.HEAD_DIMS)
@pytest.mark.parametrize("dtype", flash_operands.DTYPES)
@pytest.mark.parametrize("rung", [*NAMES, CHAIN])
def test_every_rung_over_many_shapes(rung: str, dtype: str, d: int) -> None:
    chance = random.Random(20)
    lengths = [*EDGES, *((chance.randint(1, 900), chance.randint(1, 900)) for _ in range(20))]
    for seed, pair in enumerate(lengths):
        shared_by, kv_heads = chance.choice((1, 1, 2, 4)), chance.randint(1, 3)
        q, k, v = drawn(1 + seed % 3, (shared_by * kv_heads, kv_heads), pair, d, KINDS[dtype], seed)
        for causal in (False, True):
            check(q, k, v, rung, causal, None if seed % 5 else 0.3)


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("rung", [*NAMES, CHAIN])
def test_more_tiles_than_the_chip_holds_at_once(rung: str) -> None:
    for d, causal in ((64, False), (128, True)):
        check(*drawn(2, (12, 4), (2500, 2500), d, torch.bfloat16, 1), rung, causal)
        check(*drawn(3, (40, 40), (700, 1500), d, torch.float16, 2), rung, causal)


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("d", flash_operands.HEAD_DIMS)
@pytest.mark.parametrize("rung", [*NAMES, CHAIN])
def test_outliers_of_a_hundred_sigma(rung: str, d: int) -> None:
    q, k, v = drawn(1, (2, 2), (700, 900), d, torch.bfloat16, 4)
    for tensor, rows in ((q, (0, 130, 699)), (k, (3, 500, 899)), (v, (7, 640))):
        tensor[0, :, list(rows), 5] *= 100
    check(q, k, v, rung, causal=False)
    check(q, k, v, rung, causal=True)


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("rung", [*NAMES, CHAIN])
def test_nan_and_infinity_stay_in_the_rows_where_arithmetic_puts_them(rung: str) -> None:
    q, k, v = drawn(1, (2, 2), (300, 300), 64, torch.bfloat16, 6)
    q[0, 0, 17, 3], q[0, 1, 200, 0], v[0, 0, 250, 9] = math.nan, math.inf, math.inf
    out, lse = attend(rung, q, k, v, causal=True)
    want, sums = reference(q, k, v, causal=True)
    assert not (out.isnan() & ~want.isnan()).any()
    finite = want.isfinite()
    assert 0 < int(finite.sum()) < want.numel()
    torch.testing.assert_close(out.double()[finite], want[finite], rtol=2e-2, atol=2e-2)
    assert not (lse.isnan() & ~want.isnan().any(3)).any()  # of an infinite score too, where PyTorch has infinity
    assert (lse.isnan() | ~sums.isnan()).all()


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("rung", [*NAMES, CHAIN])
def test_another_stream_and_a_graph(rung: str) -> None:
    q, k, v = drawn(1, (4, 2), (600, 800), 128, torch.bfloat16, 3)
    want, _ = reference(q, k, v, causal=True)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        out, _ = attend(rung, q, k, v, causal=True)
    side.synchronize()
    assert float((out.double() - want).norm() / want.norm()) < 4e-3
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        held, _ = attend(rung, q, k, v, causal=True)
    for _ in range(3):
        held.fill_(math.nan)
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(held, out)
