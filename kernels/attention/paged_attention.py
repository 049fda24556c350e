"""Decode attention with grouped queries over a paged cache of keys and values, its append, and both in fp64.

Pages lie in a pool [pages, kv_heads, page, d]; a table row names a sequence's pages in order. The positions come from device
memory, so that a CUDA graph that holds these kernels serves every token.

Rotary positions in the half-split form: t·cosine + roll(t, d/2)·sine, with the sine's first half negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

GROUP_LIMIT = 16
"""Queries that may share a key on CUDA: the height of a tensor core's tile."""

_BASE = 10_000.0


def rotary_tables(positions: int, d: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines in fp64 on the host, [positions, d] each; the two halves of a head turn by equal angles."""
    import torch

    frequencies = _BASE ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * frequencies
    return torch.cat((angles.cos(), angles.cos()), 1), torch.cat((-angles.sin(), angles.sin()), 1)


def rotate(t: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """`t` [..., d] turned by PyTorch's operators in its own dtype; the tables broadcast to its shape."""
    return t * cosine + t.roll(t.shape[-1] // 2, -1) * sine


def append(
    qkv: Tensor,
    cosine: Tensor,
    sine: Tensor,
    lengths: Tensor,
    table: Tensor,
    q: Tensor,
    k_pages: Tensor,
    v_pages: Tensor,
) -> None:
    """Write each sequence's new key (rotated) and value after its last ones, and its rotated queries into `q`.

    Args:
        qkv: bf16 [sequences, heads + 2·kv_heads, d]: queries, then keys, then values.
        cosine, sine: bf16 [positions, d].
        lengths: int64 [sequences]: tokens present, and so the position of the new one; not changed here.
        table: int32 [sequences, n]: the pages of each sequence; no page twice.
        q: bf16 [sequences, heads, d]; written.
        k_pages, v_pages: bf16 [pages, kv_heads, page, d]; one slot of each is written per sequence and head.

    All contiguous and on one device; enqueued on the current stream without waiting. `d` and `page` are powers of two, `d`
    and `page` at least 16 on CUDA. On a CPU PyTorch's operators run in fp32.

    Raises:
        ValueError: dtype, layout or shape is not as above. What is in `lengths` and `table` is not checked.
    """
    _check(q, k_pages, v_pages, table, lengths)
    heads, kv_heads = q.shape[1], k_pages.shape[1]
    if qkv.shape != (q.shape[0], heads + 2 * kv_heads, q.shape[2]) or not qkv.is_contiguous():
        raise ValueError(f"qkv {tuple(qkv.shape)} does not fit {heads} heads and {kv_heads} of keys and values")
    if qkv.device.type == "cuda":
        from .paged_attention_triton import launch_append

        return launch_append(qkv, cosine, sine, lengths, table, q, k_pages, v_pages)
    turned = rotate(qkv.float(), cosine[lengths][:, None].float(), sine[lengths][:, None].float())
    page = k_pages.shape[2]
    pages = table.gather(1, (lengths // page)[:, None])[:, 0].long()
    q.copy_(turned[:, :heads])
    k_pages[pages, :, lengths % page] = turned[:, heads : heads + kv_heads].to(k_pages.dtype)
    v_pages[pages, :, lengths % page] = qkv[:, heads + kv_heads :]


def parts(sequences: int, kv_heads: int, group: int, d: int, splits: int, kind: str) -> tuple[Tensor, Tensor]:
    """Scratch memory for `attend`, fp32: the splits' means and the logarithms of their weights."""
    import torch

    shape = (sequences * kv_heads, splits, group)
    return torch.empty((*shape, d), device=kind), torch.empty(shape, device=kind)


def attend(
    q: Tensor,
    k_pages: Tensor,
    v_pages: Tensor,
    table: Tensor,
    lengths: Tensor,
    scratch: tuple[Tensor, Tensor],
    out: Tensor,
) -> None:
    """softmax(q·kᵀ / sqrt(d))·v over each sequence's first lengths + 1 tokens, into `out` bf16 [sequences, heads, d].

    Each key and value is read once for its group's heads / kv_heads queries. A sequence's pages are split among programs, as
    many as `scratch`, of `parts`, has splits (a power of two); the same inputs give the same bits. Tensors, device and errors
    otherwise as `append`.
    """
    _check(q, k_pages, v_pages, table, lengths)
    if out.shape != q.shape or out.dtype is not q.dtype or not out.is_contiguous():
        raise ValueError(f"out {tuple(out.shape)} does not fit q {tuple(q.shape)}")
    if q.device.type == "cuda":
        from .paged_attention_triton import launch_attend

        return launch_attend(q, k_pages, v_pages, table, lengths, scratch, out)
    for sequence, tokens in enumerate((lengths + 1).tolist()):
        k, v = (gathered(pool, table[sequence], tokens).float() for pool in (k_pages, v_pages))
        out[sequence] = dense(q[sequence].float()[:, None], k, v)[:, 0].to(out.dtype)


def gathered(pool: Tensor, row: Tensor, tokens: int) -> Tensor:
    """The first `tokens` keys or values of one sequence out of its pages: [kv_heads, tokens, d]."""
    kv_heads, d = pool.shape[1], pool.shape[3]
    return pool[row.long()].transpose(0, 1).reshape(kv_heads, -1, d)[:, :tokens]


def dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention by its formula in the dtype given: q [..., heads, new, d], k and v [..., kv_heads, tokens, d].

    The new tokens are the last of the keys: each sees itself and what is before it.
    """
    import torch

    new, tokens = q.shape[-2], k.shape[-2]
    k, v = (t.repeat_interleave(q.shape[-3] // k.shape[-3], dim=-3) for t in (k, v))
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    later = torch.ones((new, tokens), dtype=torch.bool, device=q.device).triu(tokens - new + 1)
    return scores.masked_fill_(later, float("-inf")).softmax(-1) @ v


def _check(q: Tensor, k_pages: Tensor, v_pages: Tensor, table: Tensor, lengths: Tensor) -> None:
    import torch

    for name, tensor in (("q", q), ("k_pages", k_pages), ("v_pages", v_pages)):
        if tensor.dtype is not torch.bfloat16 or not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous bf16, not {tensor.dtype}")
    if table.dtype is not torch.int32 or lengths.dtype is not torch.int64 or not table.is_contiguous():
        raise ValueError(f"table must be contiguous int32 and lengths int64, not {table.dtype} and {lengths.dtype}")
    fits = (
        q.dim() == 3
        and k_pages.dim() == 4
        and k_pages.shape == v_pages.shape
        and k_pages.shape[3] == q.shape[2]
        and q.shape[1] % k_pages.shape[1] == 0
        and len(table) == len(lengths) == len(q)
    )
    if not fits:
        raise ValueError(f"q {tuple(q.shape)}, pages {tuple(k_pages.shape)} and table {tuple(table.shape)} do not fit")
    group, d, page = q.shape[1] // k_pages.shape[1], q.shape[2], k_pages.shape[2]
    sizes_fit = group <= GROUP_LIMIT and min(d, page) >= 16 and not (d & (d - 1) or page & (page - 1))
    if q.device.type == "cuda" and not sizes_fit:
        raise ValueError(f"groups of {group} queries, {d} elements a head, {page} tokens a page: the kernels cannot")
