"""A chain of layers x <- gelu(x·W + bias) in bf16: three operators a layer, two, and one with all in the product's epilogue.

The GELU is the tanh approximation, because that is what cuBLASLt's epilogue computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_BF16_BYTES = 2


def eager(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], buffers: tuple[Tensor, Tensor]) -> Tensor:
    """Matrix product, bias and GELU as three operators a layer, enqueued on the current stream; the last layer's output.

    Args:
        x: bf16 [rows, width]; weights: bf16 [width, width] each; biases: bf16 [width] each.
        buffers: two of the shape of `x`; the result is one of them.
    """
    import torch

    source, (sums, out) = x, buffers
    for weight, bias in zip(weights, biases, strict=True):
        torch.mm(source, weight, out=sums)
        sums.add_(bias)
        torch._C._nn.gelu(sums, approximate="tanh", out=out)
        source = out
    return out


def linear(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], buffers: tuple[Tensor, Tensor]) -> Tensor:
    """Two operators a layer, as `torch.nn.functional.linear` and a GELU are: the product adds the bias; arguments as `eager`.

    On CUDA PyTorch hands a one-dimensional bias to cuBLASLt as an epilogue (BIAS).
    """
    import torch

    source, (sums, out) = x, buffers
    for weight, bias in zip(weights, biases, strict=True):
        torch.addmm(bias, source, weight, out=sums)
        torch._C._nn.gelu(sums, approximate="tanh", out=out)
        source = out
    return out


def fused(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], buffers: tuple[Tensor, Tensor]) -> Tensor:
    """One matrix product a layer that adds the bias and applies the GELU before it writes; arguments as `eager`.

    On CUDA PyTorch hands this operator to cuBLASLt as GELU_BIAS (torch 2.11: one nvjet kernel named …_gelubias, and a memset
    of its workspace). On a CPU the operator would apply the exact GELU, so there the steps are taken one by one.
    """
    import torch

    source = x
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        out = buffers[number % 2]
        if x.device.type == "cuda":
            torch._addmm_activation(bias, source, weight, use_gelu=True, out=out)
        else:
            out.copy_(torch.nn.functional.gelu(torch.addmm(bias, source, weight), approximate="tanh"))
        source = out
    return source


def reference(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """The chain in fp64 for the given bf16 values."""
    import torch

    out = x.double()
    for weight, bias in zip(weights, biases, strict=True):
        out = torch.nn.functional.gelu(out @ weight.double() + bias.double(), approximate="tanh")
    return out


def declared_flops(rows: int, width: int, layers: int) -> int:
    """Of the matrix products alone."""
    return 2 * rows * width * width * layers


def declared_bytes(rows: int, width: int, layers: int, operators: int) -> int:
    """DRAM traffic without any reuse by caches: a layer's `operators` each read the activations and write them once, the
    product reads its weights besides."""
    activations = rows * width * _BF16_BYTES
    return layers * (width * width * _BF16_BYTES + 2 * operators * activations)
