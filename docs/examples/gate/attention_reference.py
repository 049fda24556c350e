"""Attention by its definition. The gate calls it with fp64 tensors; as the current best, `eager`, with the inputs' own."""

import torch


def attention(q, k, v, causal, scale):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-1, -2) * scale
    if causal:
        rows = torch.arange(q.shape[2], device=q.device)
        scores = scores.masked_fill(rows[:, None] < rows[None, :], float("-inf"))
    return scores.softmax(-1) @ v.to(wide), scores.logsumexp(-1)
