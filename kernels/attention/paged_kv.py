"""Decoding with a paged KV cache: append a token's keys and values to its sequence, then attend to all that the sequence has.

A sequence's tokens lie in pages of equal size; a table says which page of the cache holds each stretch of it. Query heads come
in groups that share a key/value head (grouped-query attention).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Step = Callable[[int, int], None]
"""Enqueue the work of (step, sequence): that sequence's, or that of several from it on."""


@dataclass(frozen=True, slots=True)
class Decode:
    """The tensors of `steps` decode steps of some sequences that have `tokens` tokens each before the first step.

    k_cache, v_cache   bf16 [pages, kv_heads, page, dim]
    table              int32 [sequences, pages of a sequence], rows of `k_cache`; no page serves two sequences
    k_new, v_new       bf16 [steps, sequences, kv_heads, dim]: the tokens that are appended
    q, out             bf16 [steps, sequences, kv_heads, group, dim]

    All contiguous on one device. dim and page are powers of two >= 16, a group at most 16.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, or the pages cannot hold tokens + steps.
    """

    k_cache: Tensor
    v_cache: Tensor
    table: Tensor
    k_new: Tensor
    v_new: Tensor
    q: Tensor
    out: Tensor
    tokens: int

    def __post_init__(self) -> None:
        import torch

        steps, sequences, heads, group, dim = self.q.shape
        page = self.k_cache.shape[2]
        new = (steps, sequences, heads, dim)
        fits = self.k_cache.shape == self.v_cache.shape and self.k_cache.shape[1::2] == (heads, dim)
        fits = fits and self.out.shape == self.q.shape and self.k_new.shape == self.v_new.shape == new
        if not fits or self.table.shape[0] != sequences or self.table.shape[1] * page < self.tokens + steps:
            raise ValueError("the shapes of cache, table, new tokens and queries do not fit")
        if group > 16 or any(size < 16 or size & (size - 1) for size in (dim, page)):
            raise ValueError(f"group {group} must be at most 16, dim {dim} and page {page} powers of two >= 16")
        for tensor in (self.k_cache, self.v_cache, self.k_new, self.v_new, self.q, self.out, self.table):
            wanted = torch.int32 if tensor is self.table else torch.bfloat16
            if tensor.dtype is not wanted or not tensor.is_contiguous() or tensor.device != self.q.device:
                raise ValueError(f"tensors must be contiguous bf16 (the table int32) on one device, not {tensor.dtype}")


def on_host(decode: Decode, together: int = 1) -> tuple[Step, Step]:
    """Append and attend by PyTorch's operators, in fp32 and in place, on any device; each for `together` sequences in turn."""
    page = decode.k_cache.shape[2]

    def append(step: int, sequence: int) -> None:
        position = decode.tokens + step
        row = int(decode.table[sequence, position // page])
        decode.k_cache[row, :, position % page] = decode.k_new[step, sequence]
        decode.v_cache[row, :, position % page] = decode.v_new[step, sequence]

    def attend(step: int, sequence: int) -> None:
        length = decode.tokens + step + 1
        k, v = (tokens_of(cache, decode.table[sequence], length).float() for cache in (decode.k_cache, decode.v_cache))
        decode.out[step, sequence] = _attention(decode.q[step, sequence].float(), k, v).to(decode.out.dtype)

    return _repeated(append, together), _repeated(attend, together)


def _repeated(work: Step, together: int) -> Step:
    def several(step: int, first: int) -> None:
        for sequence in range(first, first + together):
            work(step, sequence)

    return several


def tokens_of(cache: Tensor, pages: Tensor, length: int) -> Tensor:
    """The first `length` tokens of the sequence in these pages, [kv_heads, length, dim]."""
    heads, _, dim = cache.shape[1:]
    return cache[pages.long()].transpose(0, 1).reshape(heads, -1, dim)[:, :length]


def reference(decode: Decode) -> Tensor:
    """`out` in fp64: the new tokens come from `k_new` and `v_new`, whatever the cache holds after the first `tokens`."""
    import torch

    out = torch.empty(decode.q.shape, dtype=torch.float64, device=decode.q.device)
    for sequence, pages in enumerate(decode.table):  # one at a time: all of them in fp64 would be four times the cache
        k, v = (
            torch.cat((tokens_of(cache, pages, decode.tokens).double(), new[:, sequence].transpose(0, 1).double()), 1)
            for cache, new in ((decode.k_cache, decode.k_new), (decode.v_cache, decode.v_new))
        )
        for step, q in enumerate(decode.q[:, sequence].double()):
            length = decode.tokens + step + 1
            out[step, sequence] = _attention(q, k[:, :length], v[:, :length])
    return out


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q·kᵀ / sqrt(dim))·v for each key/value head: q [heads, group, dim], k and v [heads, length, dim]."""
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v
