"""Attention in one pass over the keys, without the matrix of scores: a Triton kernel."""

import triton
import triton.language as tl

ROWS, KEYS = 64, 64


@triton.jit
def _one_pass(
    q, k, v, out, lse, s, scale, causal: tl.constexpr, d: tl.constexpr, rows: tl.constexpr, keys: tl.constexpr
):
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    column = tl.arange(0, d)
    head = tl.program_id(1).to(tl.int64)
    start = head * s * d
    query = tl.load(q + start + row[:, None] * d + column[None, :], mask=row[:, None] < s, other=0.0)
    most = tl.full([rows], float("-inf"), tl.float32)
    total = tl.zeros([rows], tl.float32)
    result = tl.zeros([rows, d], tl.float32)
    end = s
    if causal:
        end = tl.minimum(s, (tl.program_id(0) + 1) * rows)
    for first in range(0, end, keys):
        key = first + tl.arange(0, keys)
        there = key < s
        across = tl.load(k + start + key[None, :] * d + column[:, None], mask=there[None, :], other=0.0)
        scores = tl.dot(query, across) * scale
        seen = there[None, :]
        if causal:
            seen = seen & (key[None, :] <= row[:, None])
        scores = tl.where(seen, scores, float("-inf"))
        larger = tl.maximum(most, tl.max(scores, 1))
        weights = tl.exp(scores - larger[:, None])
        shrunk = tl.exp(most - larger)
        value = tl.load(v + start + key[:, None] * d + column[None, :], mask=there[:, None], other=0.0)
        total = total * shrunk + tl.sum(weights, 1)
        result = result * shrunk[:, None] + tl.dot(weights.to(value.dtype), value)
        most = larger
    tl.store(out + start + row[:, None] * d + column[None, :], result / total[:, None], mask=row[:, None] < s)
    tl.store(lse + head * s + row, most + tl.log(total), mask=row < s)


def attention(q, k, v, out, lse, causal, scale):
    """`out` and `lse` are outputs by name, so it fills them and returns nothing."""
    batch, heads, s, d = q.shape
    grid = (triton.cdiv(s, ROWS), batch * heads)
    _one_pass[grid](q, k, v, out, lse, s, scale, causal, d, ROWS, KEYS)
