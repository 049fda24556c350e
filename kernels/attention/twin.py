"""Attention by one kernel that Triton compiles: the twin of the CUDA ladder, with the compiler's own pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MULTIPLE = 128
"""What the length of a sequence must be a multiple of on CUDA."""
DIMS = (64, 128)


def attend(q: Tensor, k: Tensor, v: Tensor, out: Tensor, causal: bool = False, scale: float | None = None) -> Tensor:
    """softmax(scale · q·kᵀ)·v into `out`, enqueued on the current stream; returns the logarithm of each row's sum of exponentials.

    Args:
        q, out: contiguous bf16 or fp16 [batch, heads, seq, d] on one CUDA device, not overlapping; d 64 or 128, seq a multiple
            of 128.
        k, v: likewise, with as many heads or with fewer, each for a group of those of q.
        causal: query i sees the keys up to i.
        scale: 1 / sqrt(d) where None.

    Returns:
        fp32 [batch, heads, seq], natural logarithms.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
    """
    _check(q, k, v, out)
    from .flash_triton import launch

    lse = q.new_empty(q.shape[:3], dtype=_fp32())
    launch(q, k, v, out, lse, causal, q.shape[-1] ** -0.5 if scale is None else scale)
    return lse


def _fp32() -> object:
    import torch

    return torch.float32


def _check(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
    import torch

    for tensor in (q, k, v, out):
        fits = tensor.dtype in (torch.bfloat16, torch.float16) and tensor.dtype == q.dtype
        if not fits or tensor.dim() != 4 or not tensor.is_contiguous() or not tensor.is_cuda:
            raise ValueError(
                f"tensors must be contiguous bf16 or fp16 of 4 dimensions on CUDA, not {tuple(tensor.shape)} {tensor.dtype} "
                f"on {tensor.device}"
            )
    batch, heads, seq, dim = q.shape
    alike = out.shape == q.shape and k.shape == v.shape and k.shape[0] == batch and k.shape[2:] == q.shape[2:]
    if not alike or not k.shape[1] or heads % k.shape[1] or dim not in DIMS or not seq or seq % MULTIPLE:
        raise ValueError(
            f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)} and out {tuple(out.shape)} do not fit"
        )
