"""The FlashAttention that comes with PyTorch, as a current best: `--against attention_flash.py`."""

import torch


def attention(q, k, v, causal, scale):
    found = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal, False, scale=scale)
    return found[0], found[1]
