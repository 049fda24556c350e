"""The sin/exp chain: an elementwise kernel of adjustable length whose result stays well conditioned.

    y <- x                                then ROUNDS times    y <- x + exp(-sin(y)^2)

Each round is a contraction in y (its derivative is below 0.68 everywhere), so rounding errors do not grow; adding x every
round keeps each output a function of its own input. Without that term (y <- exp(-sin(y)^2)) every input runs into the same
fixed point, 0.6757: after 36 rounds the outputs differ by 1e-7, and a check against a reference would accept a permuted
output, or the output of other inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1024
"""Elements that one Triton program handles."""


def sin_exp_chain(x: Tensor, out: Tensor, rounds: int) -> None:
    """Write the chain of every element of `x` to `out`, enqueued on the current stream.

    Args:
        x, out: contiguous fp32, the same number n >= 1 of elements (any n), on the same device, not overlapping.
        rounds: length of the chain, >= 1; a compile-time constant of the Triton kernel.

    On CUDA the Triton kernel runs; on a CPU PyTorch's operators do, so that a machine without a GPU checks the same chain.

    Raises:
        ValueError: dtype, layout, size or device is not as above.
    """
    _check(x, out, rounds)
    if x.device.type == "cuda":
        from .sin_exp_chain_triton import launch

        launch(x, out, rounds, BLOCK)
    else:
        chain_in_torch(x, out, rounds)


def reference(x: Tensor, rounds: int) -> Tensor:
    """The chain in fp64, for an `x` of any shape and floating dtype; of the same shape and device."""
    import torch

    wide = x.to(torch.float64)
    out = torch.empty_like(wide)
    chain_in_torch(wide, out, rounds)
    return out


def chain_in_torch(x: Tensor, out: Tensor, rounds: int) -> None:
    """The chain in the dtype of `x` by PyTorch's own operators, in place in `out` (same shape and dtype)."""
    out.copy_(x)
    for _ in range(rounds):
        out.sin_().square_().neg_().exp_().add_(x)


def _check(x: Tensor, out: Tensor, rounds: int) -> None:
    import torch

    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    for name, tensor in (("x", x), ("out", out)):
        if tensor.dtype is not torch.float32 or not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous fp32, not {tensor.dtype} with strides {tensor.stride()}")
    if x.numel() != out.numel() or x.numel() == 0 or x.device != out.device:
        raise ValueError(f"x and out do not fit: {x.numel()} on {x.device}, {out.numel()} on {out.device}")
