"""Attention over whole sequences as PyTorch computes it without a kernel of its own: an operator each, or as torch.compile fuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


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
