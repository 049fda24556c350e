"""One bf16 matrix product, y = a·bᵀ, by the ways that a pair names: cuBLAS, CUTLASS, or a rung of the GEMM ladder (docs/gemm.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...kernels.cutlass import gemm
from ...kernels.gemm import ladder
from ..device import Device, Stream
from ..pair import Build, Declared, Sizes

if TYPE_CHECKING:
    from torch import Tensor

Multiply = Callable[["Tensor", "Tensor", "Tensor"], None]
"""c = a·bᵀ, enqueued on PyTorch's current stream."""

FULL = {"m": 8192, "n": 8192, "k": 8192}
SMALL = {"m": 96, "n": 160, "k": 128}
TOLERANCE = 4e-3
"""Rounding to bf16 leaves 1.7e-3."""
FLOPS = 2 * FULL["m"] * FULL["n"] * FULL["k"]


def cublas(a: Tensor, b: Tensor, c: Tensor) -> None:
    """By cuBLAS, or on a CPU by PyTorch."""
    import torch

    torch.mm(a, b.t(), out=c)


def rung(name: str) -> Multiply:
    """By a rung of the ladder; on a CPU, where there is none of its instructions, by PyTorch."""

    def multiply(a: Tensor, b: Tensor, c: Tensor) -> None:
        if a.device.type == "cuda":
            ladder.matmul(a, b, c, rung=name)
        else:
            cublas(a, b, c)

    return multiply


def cutlass(way: str) -> Multiply:
    """By one of CUTLASS's kernels; on a CPU by PyTorch."""

    def multiply(a: Tensor, b: Tensor, c: Tensor) -> None:
        if a.device.type == "cuda":
            gemm.matmul(a, b, c, way)
        else:
            cublas(a, b, c)

    return multiply


class Product:
    """y = a·bᵀ for a [m, k] and b [n, k] in bf16, on one stream."""

    def __init__(self, device: Device, sizes: Sizes, ways: Mapping[str, Multiply]) -> None:
        import torch

        self._device, self._stream, self._ways = device, device.stream(), ways
        m, n, k = sizes["m"], sizes["n"], sizes["k"]
        self._a, self._b, self._y = (
            torch.empty(shape, dtype=torch.bfloat16, device=device.kind) for shape in ((m, k), (n, k), (m, n))
        )

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """bf16 [m, n] on the device."""
        return self._y

    def inputs(self, seed: int) -> None:
        """b is scaled by 1/sqrt(k), so that the sums are N(0, 1) too."""
        for number, tensor in enumerate((self._a, self._b)):
            tensor.copy_(self._device.normal(tensor.numel(), seed + 1_000_003 * number).view(tensor.shape))
        self._b.mul_(self._b.shape[1] ** -0.5)

    def poison(self) -> None:
        self._y.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            self._ways[variant](self._a, self._b, self._y)

    def reference(self) -> Tensor:
        return ladder.reference(self._a, self._b)

    def exact(self) -> None:
        return None


def product(ways: Mapping[str, Multiply]) -> Build:
    """What builds a pair whose variants are these ways."""
    return lambda device, sizes: Product(device, sizes, ways)


def declared(sizes: Sizes, variant: str) -> Declared:
    """Alike for all: who multiplies, and how operands come, does not change what must be computed and moved."""
    shape = sizes["m"], sizes["n"], sizes["k"]
    return Declared(ladder.declared_flops(*shape), ladder.declared_bytes(*shape), "bf16")
