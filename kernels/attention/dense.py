"""Attention over all keys by its formula: as PyTorch's operators compute it one by one, in fp64, and what work that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_ELEMENT = 2
"""Bytes of bf16 and fp16."""


def eager(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q·kᵀ / sqrt(d))·v by an operator each, with scores and weights in memory, in the operands' own dtype.

    Args:
        q, k, v: [batch, heads, seq, d] of one floating dtype.
        mask: bool [seq, seq], True where a query must not see a key.
    """
    scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(mask, float("-inf"))
    weights: Tensor = scores.softmax(-1)
    return weights @ v


def compiled(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`eager` as torch.compile fuses it, enqueued on the current stream; on a CPU `eager` itself."""
    if q.device.type != "cuda":
        return eager(q, k, v, mask)
    from ..building.compiled import compiled

    made: Tensor = compiled(eager)(q, k, v, mask)
    return made


def future(seq: int, device: Any) -> Tensor:
    """bool [seq, seq] on `device`: True where the key comes after the query."""
    import torch

    return torch.ones(seq, seq, dtype=torch.bool, device=device).triu(1)


def reference(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    """The same in fp64, head by head, for one takes seq² · 8 bytes. Query i of n sees the keys up to i where it is `causal`.

    k and v may have fewer heads, each for a group of those of q.
    """
    import torch

    group = q.shape[1] // k.shape[1]
    mask = future(q.shape[2], q.device) if causal else None
    found = torch.empty(q.shape, dtype=torch.float64, device=q.device)
    for batch in range(q.shape[0]):
        for head in range(q.shape[1]):
            one, keys, values = q[batch, head], k[batch, head // group], v[batch, head // group]
            found[batch, head] = eager(one.double(), keys.double(), values.double(), mask)
    return found


def pairs(seq: int, causal: bool) -> int:
    """Of a query and a key that it sees, in one head."""
    return seq * (seq + 1) // 2 if causal else seq * seq


def declared_flops(batch: int, heads: int, seq: int, dim: int, causal: bool = False) -> int:
    """Of both matrix products, for the pairs of query and key that must be seen: two operations a product and element of a head
    each. The softmax is a hundredth of that and not of the matrix units."""
    return 4 * batch * heads * pairs(seq, causal) * dim


def declared_bytes(batch: int, heads: int, seq: int, dim: int, of_scores: int = 0) -> int:
    """q, k, v and the result once each, and `of_scores` times all scores, where they lie in memory."""
    return _ELEMENT * batch * heads * seq * (4 * dim + of_scores * seq)
