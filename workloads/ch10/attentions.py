"""Attention over whole sequences in bf16, by the ways that a pair names: operators, PyTorch's fused paths, Triton, the own ladder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import EnvironmentLacks
from ...kernels.attention import dense, flash
from ..device import Device, Stream
from ..pair import Build, Declared, Sizes

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 4e-3
"""Rounding weights and result to bf16 leaves 2.3e-3."""

_BF16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Operands:
    """bf16 [batch, heads, seq, dim], and where a way that can writes its result; `bias` where causal, for ways that need one."""

    q: Tensor
    k: Tensor
    v: Tensor
    out: Tensor
    bias: Tensor | None

    @property
    def causal(self) -> bool:
        return self.bias is not None

    @property
    def on_cuda(self) -> bool:
        return bool(self.q.is_cuda)


Attend = Callable[[Operands], "Tensor"]
"""Enqueues softmax(q·kᵀ / sqrt(dim))·v on PyTorch's current stream; returns where the result will lie."""


def eager(one: Operands) -> Tensor:
    return dense.eager(one.q, one.k, one.v, one.bias)


def compiled(one: Operands) -> Tensor:
    return dense.compiled(one.q, one.k, one.v, one.bias)


def sdpa(one: Operands) -> Tensor:
    """PyTorch's scaled_dot_product_attention, which chooses its kernel itself."""
    from torch.nn.functional import scaled_dot_product_attention

    return scaled_dot_product_attention(one.q, one.k, one.v, is_causal=one.causal)


def pinned(backend: str) -> Attend:
    """The same by one backend of `torch.nn.attention.SDPBackend`; on a CPU by whatever it has.

    Raises:
        EnvironmentLacks: this PyTorch, or this GPU, has it not; no other runs in its place.
    """

    def attend(one: Operands) -> Tensor:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        if not one.on_cuda:
            return sdpa(one)
        with sdpa_kernel(getattr(SDPBackend, backend)):
            try:
                return sdpa(one)
            except RuntimeError as error:
                if "No available kernel" not in str(error):
                    raise
                said = f"unsupported: PyTorch's scaled_dot_product_attention has no {backend} for these tensors here"
                raise EnvironmentLacks(said, "a CUDA build of PyTorch 2.8 or later with cuDNN 9") from error

    return attend


def triton(one: Operands) -> Tensor:
    """By the Triton twin; on a CPU by PyTorch."""
    if not one.on_cuda:
        return sdpa(one)
    from ...kernels.attention.twin import attend

    attend(one.q, one.k, one.v, one.out, one.causal)
    return one.out


def rung(name: str | None = None) -> Attend:
    """By a rung of the ladder, the last where None; on a CPU, where there is none of its instructions, by PyTorch."""

    def attend(one: Operands) -> Tensor:
        if not one.on_cuda:
            return sdpa(one)
        flash.flash_attention(one.q, one.k, one.v, causal=one.causal, rung=name, out=one.out)
        return one.out

    return attend


def chain(one: Operands) -> Tensor:
    """By launches for every block of keys; on a CPU by PyTorch."""
    if not one.on_cuda:
        return sdpa(one)
    flash.flash_attention_chain(one.q, one.k, one.v, causal=one.causal, out=one.out)
    return one.out


class Attention:
    """softmax(q·kᵀ / sqrt(dim))·v for q, k and v bf16 [batch, heads, seq, dim], on one stream."""

    def __init__(self, device: Device, sizes: Sizes, ways: Mapping[str, Attend], causal: bool) -> None:
        import torch

        self._device, self._stream, self._ways = device, device.stream(), ways
        shape = tuple(sizes[name] for name in ("batch", "heads", "seq", "dim"))
        q, k, v, out = (torch.empty(shape, dtype=torch.bfloat16, device=device.kind) for _ in range(4))
        self._operands = Operands(q, k, v, out, dense.future(sizes["seq"], device.kind) if causal else None)
        self._last = out

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """bf16 [batch, heads, seq, dim] on the device, where the way that ran last left it."""
        return self._last

    def inputs(self, seed: int) -> None:
        one = self._operands
        for number, tensor in enumerate((one.q, one.k, one.v)):
            tensor.copy_(self._device.normal(tensor.numel(), seed + 1_000_003 * number).view(tensor.shape))

    def poison(self) -> None:
        for tensor in (self._operands.out, self._last):
            tensor.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            self._last = self._ways[variant](self._operands)

    def reference(self) -> Tensor:
        one = self._operands
        return flash.reference(one.q, one.k, one.v, causal=one.causal)[0]

    def exact(self) -> None:
        return None


def attention(ways: Mapping[str, Attend], causal: bool = False) -> Build:
    """What builds a pair whose variants are these ways."""
    return lambda device, sizes: Attention(device, sizes, ways, causal)


def declared(sizes: Sizes, causal: bool = False, of_scores: int = 0) -> Declared:
    """Both products over the pairs of query and key that are seen; operands and result once each, and `of_scores` times all scores,
    where they lie in memory."""
    batch, heads, seq, dim = (sizes[name] for name in ("batch", "heads", "seq", "dim"))
    moved = flash.declared_bytes(batch, heads, heads, seq, seq, dim) + of_scores * _BF16_BYTES * batch * heads * seq**2
    return Declared(flash.declared_flops(batch, heads, seq, seq, dim, causal), moved, "bf16")
