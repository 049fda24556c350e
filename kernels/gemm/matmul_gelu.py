"""gelu(x·Wᵀ + bias) in bf16 with fp32 sums, in two Triton kernels: by pointers, and persistent by tensor descriptors.

The GELU is the tanh approximation throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MULTIPLES = {"m": 128, "n": 256, "k": 64}
"""What the Triton kernels' tile sizes must divide; on a CPU any size will do."""

_BF16_BYTES = 2


def pointers(x: Tensor, w: Tensor, bias: Tensor, y: Tensor) -> None:
    """One program a tile, loads by pointers (cp.async on Hopper). Enqueued on the current stream.

    Args:
        x, w, bias, y: contiguous bf16 [m, k], [n, k], [n] and [m, n] on one device, not overlapping.

    On a CPU PyTorch's operators run in fp32.

    Raises:
        ValueError: dtype, layout or shape is not as above, or on CUDA not of the multiples.
    """
    _check(x, w, bias, y)
    if x.device.type != "cuda":
        return _in_torch(x, w, bias, y)
    from .matmul_gelu_triton import launch_pointers

    launch_pointers(x, w, bias, y)


def descriptors(x: Tensor, w: Tensor, bias: Tensor, y: Tensor) -> None:
    """A program a multiprocessor, tiles in turn, loads and stores by the copy engine (TMA); tensors and errors as `pointers`."""
    _check(x, w, bias, y)
    if x.device.type != "cuda":
        return _in_torch(x, w, bias, y)
    from ..driver.launch import sm_count
    from .matmul_gelu_triton import launch_descriptors

    launch_descriptors(x, w, bias, y, sm_count())


def reference(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    """The same in fp64 for the given bf16 values; [m, n]."""
    import torch

    # The bias is added by itself. Given to cuBLAS in fp64 it costs memsets of no bytes: calls without an operation, which a
    # trace's completeness check must take for lost records (H200, torch 2.11, 2026-11-20).
    sums = x.double() @ w.double().T + bias.double()
    return torch.nn.functional.gelu(sums, approximate="tanh")


def declared_flops(m: int, n: int, k: int) -> int:
    """Of the matrix product alone: bias and GELU are a thousandth of it and not of the matrix units."""
    return 2 * m * n * k


def declared_bytes(m: int, n: int, k: int) -> int:
    """The least DRAM traffic: every matrix once."""
    return _BF16_BYTES * (m * k + n * k + n + m * n)


def _in_torch(x: Tensor, w: Tensor, bias: Tensor, y: Tensor) -> None:
    import torch

    sums = torch.nn.functional.linear(x.float(), w.float(), bias.float())
    y.copy_(torch.nn.functional.gelu(sums, approximate="tanh"))


def _check(x: Tensor, w: Tensor, bias: Tensor, y: Tensor) -> None:
    import torch

    for name, tensor in (("x", x), ("w", w), ("bias", bias), ("y", y)):
        if tensor.dtype is not torch.bfloat16 or not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous bf16, not {tensor.dtype}")
    shapes = tuple(tuple(tensor.shape) for tensor in (x, w, bias, y))
    if x.dim() != 2 or shapes[1:] != ((w.shape[0], x.shape[1]), (w.shape[0],), (x.shape[0], w.shape[0])):
        raise ValueError(f"x, w, bias and y do not fit: {shapes}")
    sizes = {"m": x.shape[0], "n": w.shape[0], "k": x.shape[1]}
    if x.device.type == "cuda" and any(sizes[name] % MULTIPLES[name] for name in sizes):
        raise ValueError(f"m, n and k must be multiples of {MULTIPLES}, not {sizes}")
