"""Rotation, append and decode attention over a paged cache in Triton; imported where launched.

Every sum has one order, so results repeat bit for bit: a split adds its pages in turn, and the splits are added in turn.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

# They take any floating dtype: Triton's interpreter, by which tests run them on a CPU, cannot multiply bf16 matrices.
# Triton's compiler also evaluates annotations, and knows no types but its own: so the pointers bear none.


@triton.jit  # type: ignore[untyped-decorator]
def rotate_and_append(  # type: ignore[no-untyped-def]
    qkv_ptr,
    cosine_ptr,
    sine_ptr,
    lengths_ptr,
    table_ptr,
    q_ptr,
    k_pages_ptr,
    v_pages_ptr,
    table_width,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
):
    """A program handles one head of one sequence: rotates a query to `q`, a key into its page, or copies a value there."""
    sequence, head = tl.program_id(0), tl.program_id(1)
    position = tl.load(lengths_ptr + sequence)
    at = tl.arange(0, D)
    source = qkv_ptr + (sequence * (HEADS + 2 * KV_HEADS) + head) * D
    t = tl.load(source + at).to(tl.float32)
    if head < HEADS + KV_HEADS:
        other = tl.load(source + (at + D // 2) % D).to(tl.float32)
        t = t * tl.load(cosine_ptr + position * D + at).to(tl.float32) + other * tl.load(
            sine_ptr + position * D + at
        ).to(tl.float32)
    if head < HEADS:
        tl.store(q_ptr + (sequence * HEADS + head) * D + at, t.to(q_ptr.dtype.element_ty))
    else:
        page = tl.load(table_ptr + sequence * table_width + position // PAGE).to(tl.int64)
        kv_head = (head - HEADS) % KV_HEADS
        slot = ((page * KV_HEADS + kv_head) * PAGE + position % PAGE) * D + at
        if head < HEADS + KV_HEADS:
            tl.store(k_pages_ptr + slot, t.to(k_pages_ptr.dtype.element_ty))
        else:
            tl.store(v_pages_ptr + slot, t.to(v_pages_ptr.dtype.element_ty))


@triton.jit  # type: ignore[untyped-decorator]
def attend_split(  # type: ignore[no-untyped-def]
    q_ptr,
    k_pages_ptr,
    v_pages_ptr,
    table_ptr,
    lengths_ptr,
    sums_ptr,
    weights_ptr,
    table_width,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
    SPLITS: tl.constexpr,
    ROWS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """A program attends from a group's GROUP queries to one split of a sequence's pages, reading every key and value once.

    It writes the weighted mean of the values to `sums` and the logarithm, to base 2, of the weights' sum to `weights`.
    """
    group, split = tl.program_id(0), tl.program_id(1)
    sequence, kv_head = group // KV_HEADS, group % KV_HEADS
    length = tl.load(lengths_ptr + sequence) + 1  # with the token just appended
    pages = (length + PAGE - 1) // PAGE
    rows, at, slots = tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, PAGE)
    real = rows < GROUP
    q = tl.load(q_ptr + (group * GROUP + rows[:, None]) * D + at[None, :], mask=real[:, None], other=0.0)
    scale = 1.4426950408889634 / tl.sqrt(D * 1.0)
    highest = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    sums = tl.zeros((ROWS, D), tl.float32)
    for number in tl.range(pages * split // SPLITS, pages * (split + 1) // SPLITS, num_stages=STAGES):
        page = tl.load(table_ptr + sequence * table_width + number).to(tl.int64)
        inside = slots < length - number * PAGE  # beyond it the page holds anything, NaN too
        tile = (page * KV_HEADS + kv_head) * PAGE * D + slots[:, None] * D + at[None, :]
        k = tl.load(k_pages_ptr + tile, mask=inside[:, None], other=0.0)
        v = tl.load(v_pages_ptr + tile, mask=inside[:, None], other=0.0)
        scores = tl.where(inside[None, :], tl.dot(q, tl.trans(k)) * scale, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, 1))
        shrink, weights = tl.exp2(highest - higher), tl.exp2(scores - higher[:, None])
        total = total * shrink + tl.sum(weights, 1)
        sums = tl.dot(weights.to(v.dtype), v, sums * shrink[:, None])
        highest = higher
    # a split without pages has no weight: its logarithm is -inf, and its mean is not NaN
    mean = sums / tl.where(total > 0, total, 1.0)[:, None]
    part = (group * SPLITS + split) * GROUP + rows
    tl.store(sums_ptr + part[:, None] * D + at[None, :], mean, mask=real[:, None])
    tl.store(weights_ptr + part, highest + tl.log2(total), mask=real)


@triton.jit  # type: ignore[untyped-decorator]
def combine_splits(  # type: ignore[no-untyped-def]
    sums_ptr, weights_ptr, out_ptr, GROUP: tl.constexpr, D: tl.constexpr, SPLITS: tl.constexpr
):
    """A program adds up one head's splits by their weights."""
    head = tl.program_id(0)
    first = head // GROUP * SPLITS * GROUP + head % GROUP
    parts, at = first + tl.arange(0, SPLITS) * GROUP, tl.arange(0, D)
    logarithms = tl.load(weights_ptr + parts)
    weights = tl.exp2(logarithms - tl.max(logarithms, 0))
    sums = tl.load(sums_ptr + parts[:, None] * D + at[None, :])
    mean = tl.sum(sums * weights[:, None], 0) / tl.sum(weights, 0)
    tl.store(out_ptr + head * D + at, mean.to(out_ptr.dtype.element_ty))


ROWS = 16
"""The least height of a tensor core's tile: a group's queries are padded to it."""
ATTEND = {"ROWS": ROWS, "STAGES": 3, "num_warps": 4, "enable_fp_fusion": True}


def launch_append(
    qkv: Any, cosine: Any, sine: Any, lengths: Any, table: Any, q: Any, k_pages: Any, v_pages: Any
) -> None:
    """Enqueue the rotation and append; see `paged_attention.append` for what the tensors must be."""
    _, kv_heads, page, d = k_pages.shape
    sequences, heads = q.shape[:2]
    tensors = (qkv, cosine, sine, lengths, table, q, k_pages, v_pages)
    grid = (sequences, heads + 2 * kv_heads)
    rotate_and_append[grid](*tensors, table.shape[1], heads, kv_heads, d, page, num_warps=1, enable_fp_fusion=True)


def launch_attend(
    q: Any, k_pages: Any, v_pages: Any, table: Any, lengths: Any, parts: tuple[Any, Any], out: Any
) -> None:
    """Enqueue attention to the splits, then their sum; see `paged_attention.attend` for what the tensors must be."""
    _, kv_heads, page, d = k_pages.shape
    sequences, heads = q.shape[:2]
    group, splits = heads // kv_heads, parts[0].shape[1]
    attend_split[(sequences * kv_heads, splits)](
        q, k_pages, v_pages, table, lengths, *parts, table.shape[1], kv_heads, group, d, page, splits, **ATTEND
    )
    combine_splits[(sequences * heads,)](*parts, out, group, d, splits, num_warps=2, enable_fp_fusion=True)
