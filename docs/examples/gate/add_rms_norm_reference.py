"""The residual stream and its normalised form, by PyTorch's operators in fp32 or, where the gate asks, fp64."""

import torch


def add_rms_norm(x, residual, gain, eps):
    wide = torch.promote_types(x.dtype, torch.float32)
    total = x.to(wide) + residual.to(wide)
    return total, total * (total.square().mean(-1, keepdim=True) + eps).rsqrt() * gain.to(wide)
