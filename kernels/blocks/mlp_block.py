"""The parts of an MLP block y = x + gelu(norm(x)·W + b)·V + c around its products: in single operators, and fused in Triton.

Every part also gives its peak, the largest magnitude that it wrote: what a guard against overflow looks at. A peak is NaN
where a NaN was written. The GELU is the tanh approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EPS = 1e-5

Empty = Callable[[str, Sequence[int]], "Tensor"]
"""Where single operators take memory for a temporary: its name and shape -> uninitialised fp32."""


def normalise_in_steps(x: Tensor, gain: Tensor, shift: Tensor, empty: Empty) -> Tensor:
    """Layer normalisation of fp32 rows [rows, columns] in nine operators; the result lies in `empty("normal", …)`."""
    import torch

    mean = torch.mean(x, 1, keepdim=True, out=empty("mean", (len(x), 1)))
    centred = torch.sub(x, mean, out=empty("centred", x.shape))
    squares = torch.mul(centred, centred, out=empty("squares", x.shape))
    factors = torch.mean(squares, 1, keepdim=True, out=empty("factors", (len(x), 1))).add_(EPS).rsqrt_()
    return torch.mul(centred, factors, out=empty("normal", x.shape)).mul_(gain).add_(shift)


def gelu_in_steps(u: Tensor, empty: Empty) -> Tensor:
    """u/2 (1 + tanh(sqrt(2/pi) (u + 0.044715 u^3))) of fp32 in eight operators; the result lies in `empty("activated", …)`."""
    import torch

    inner = torch.pow(u, 3, out=empty("activated", u.shape)).mul_(0.044715).add_(u).mul_(math.sqrt(2 / math.pi))
    return inner.tanh_().add_(1.0).mul_(u).mul_(0.5)


def peak_in_steps(values: Tensor, peak: Tensor, empty: Empty) -> None:
    """Write the largest magnitude of a matrix to the scalar `peak` in two operators."""
    import torch

    magnitudes = torch.abs(values, out=empty("magnitudes", values.shape))
    torch.amax(magnitudes, dim=(0, 1), out=peak)


def normalise(x: Tensor, gain: Tensor, shift: Tensor, out: Tensor, peak: Tensor) -> None:
    """Layer normalisation in one kernel that reads `x` once, and raises `peak` to what it wrote. Enqueued on the current stream.

    Args:
        x: contiguous fp32 [rows, columns]; gain, shift: fp32 [columns]; out: of the shape of x, fp32 or bf16.
        peak: fp32 scalar >= 0; magnitudes are taken before rounding to `out`.

    On a CPU PyTorch's operators run.

    Raises:
        ValueError: dtype, layout or shape is not as above.
    """
    _check(x, out, (gain, shift))
    if x.device.type == "cuda":
        from .mlp_block_triton import launch_normalise

        return launch_normalise(x, gain, shift, out, peak, EPS)
    import torch

    _write(torch.nn.functional.layer_norm(x, x.shape[1:], gain, shift, EPS), out, peak)


def bias_gelu(u: Tensor, bias: Tensor, peak: Tensor) -> None:
    """gelu(u + bias) in place of `u`, contiguous fp32 or bf16 [rows, columns]; `bias`: fp32 [columns]; else as `normalise`."""
    _check(u, u, (bias,))
    if u.device.type == "cuda":
        from .mlp_block_triton import launch_bias_gelu

        return launch_bias_gelu(u, bias, peak)
    import torch

    _write(torch.nn.functional.gelu(u.float() + bias, approximate="tanh"), u, peak)


def add_residual(product: Tensor, bias: Tensor, x: Tensor, y: Tensor, peak: Tensor) -> None:
    """y = x + product + bias in fp32, for a product in fp32 or bf16; all [rows, columns]; else as `normalise`."""
    _check(x, y, (bias,))
    _check(product, y, ())
    if x.device.type == "cuda":
        from .mlp_block_triton import launch_add_residual

        return launch_add_residual(product, bias, x, y, peak)
    _write(x + (product.float() + bias), y, peak)


def reference(x: Tensor, norm: Sequence[Tensor], up: Sequence[Tensor], down: Sequence[Tensor]) -> Tensor:
    """The block in fp64; `norm` is gain and shift, `up` and `down` are a matrix and its bias each."""
    import torch

    wide = x.double()
    gain, shift, up_matrix, up_bias, down_matrix, down_bias = (tensor.double() for tensor in (*norm, *up, *down))
    normal = torch.nn.functional.layer_norm(wide, wide.shape[1:], gain, shift, EPS)
    # biases by themselves: given to cuBLAS in fp64 they cost memsets of no bytes (see matmul_gelu.reference)
    activated = torch.nn.functional.gelu(normal @ up_matrix + up_bias, approximate="tanh")
    return wide + (activated @ down_matrix + down_bias)


def _write(values: Tensor, out: Tensor, peak: Tensor) -> None:
    import torch

    torch.maximum(peak, values.abs().amax(), out=peak)
    out.copy_(values)


def _check(source: Tensor, out: Tensor, vectors: Sequence[Tensor]) -> None:
    import torch

    for tensor in (source, out):
        if tensor.dtype not in (torch.float32, torch.bfloat16) or not tensor.is_contiguous() or tensor.dim() != 2:
            raise ValueError(f"not a contiguous fp32 or bf16 matrix: {tensor.dtype} {tuple(tensor.shape)}")
    shapes = [tuple(vector.shape) for vector in vectors]
    if source.shape != out.shape or not source.numel() or any(shape != tuple(source.shape[1:]) for shape in shapes):
        raise ValueError(f"{tuple(source.shape)}, {tuple(out.shape)} and {shapes} do not fit")
    if any(vector.dtype is not torch.float32 for vector in vectors):
        raise ValueError("vectors must be fp32")
