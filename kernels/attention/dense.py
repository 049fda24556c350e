"""Attention over whole sequences as PyTorch computes it without a kernel of its own: an operator each, or as torch.compile fuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def eager(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q·kᵀ / sqrt(d) + bias)·v by an operator each, with scores and weights in memory, in the operands' own dtype.

    q is scaled, not the scores, as PyTorch's MultiheadAttention does: a pass over them less, and one rounding less of what
    exponentials are taken of.

    Args:
        q, k, v: [batch, heads, seq, d] of one floating dtype.
        bias: [seq, seq] of that dtype, −∞ where a query must not see a key.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    weights: Tensor = (scores if bias is None else scores + bias).softmax(-1)
    return weights @ v


def compiled(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """`eager` as torch.compile fuses it, enqueued on the current stream; on a CPU `eager` itself."""
    if q.device.type != "cuda":
        return eager(q, k, v, bias)
    from ..building.compiled import compiled

    made: Tensor = compiled(eager)(q, k, v, bias)
    return made


def future(seq: int, device: Any) -> Tensor:
    """bf16 [seq, seq] on `device`: −∞ where the key comes after the query, else nought."""
    import torch

    return torch.full((seq, seq), float("-inf"), dtype=torch.bfloat16, device=device).triu(1)
