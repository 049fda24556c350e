"""Three kinds of work whose best use of streams differs: large copies, many tiny kernels, and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from ...errors import UsageError
from ..device import Device
from .buffers import fill_normal, on_device

if TYPE_CHECKING:
    from torch import Tensor

Work = Callable[[], None]
"""Enqueues something on the current stream."""

_T = TypeVar("_T")
_KIB = 1 << 10
_FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Config:
    """How a round is run: its operations in `chunks` groups that go to `streams` streams in turn, launched one by one or as
    one CUDA graph."""

    streams: int
    chunks: int
    graph: bool

    @property
    def name(self) -> str:
        return f"s{self.streams} c{self.chunks} {'graph' if self.graph else 'eager'}"


FIXED = Config(1, 1, False)
CANDIDATES = tuple(Config(s, c, graph) for graph in (False, True) for s, c in ((1, 1), (4, 4), (4, 16)))
"""`FIXED` is the first of them."""


class Phase(Protocol):
    """`rounds` rounds of one kind of work, each on data of its own."""

    @property
    def name(self) -> str: ...

    def groups(self, turn: int, chunks: int) -> Sequence[Work]:
        """Round `turn` in `chunks` independent groups."""
        ...

    def inputs(self, seed: int) -> None: ...

    def poison(self) -> None: ...

    def output(self) -> Tensor:
        """What all rounds left, one fp32 vector on the device."""
        ...

    def exact(self) -> Tensor:
        """The same at rest, in memory of its own."""
        ...

    def reference(self) -> Tensor:
        """The same in fp64."""
        ...


class Copies:
    """sin of `kib` KiB of fp32 a round, from pinned memory to pinned memory: bound by the link to the host."""

    name = "copies"

    def __init__(self, device: Device, rounds: int, kib: int) -> None:
        self._device, self._n = device, kib * _KIB // _FP32_BYTES
        self._host_in, self._host_out = (device.pinned(rounds * self._n).view(rounds, self._n) for _ in range(2))
        self._device_in, self._device_out = device.empty(self._n), device.empty(self._n)

    def groups(self, turn: int, chunks: int) -> Sequence[Work]:
        buffers = (self._host_in[turn], self._device_in, self._device_out, self._host_out[turn])
        pieces = [_in_equal_parts(buffer, chunks) for buffer in buffers]
        return [_there_and_back(*piece) for piece in zip(*pieces, strict=True)]

    def inputs(self, seed: int) -> None:
        fill_normal(self._device, self._host_in, seed)

    def poison(self) -> None:
        for buffer in (self._host_out, self._device_in, self._device_out):
            buffer.fill_(float("nan"))

    def output(self) -> Tensor:
        return self._host_out.to(self._device.kind).flatten()

    def exact(self) -> Tensor:
        return self._host_in.to(self._device.kind).sin().flatten()

    def reference(self) -> Tensor:
        return self._host_in.to(self._device.kind).double().sin().flatten()


class Launches:
    """sin of `count` vectors of `n` fp32 a round, a kernel each: bound by how fast kernels can be launched."""

    name = "launches"

    def __init__(self, device: Device, rounds: int, count: int, n: int) -> None:
        self._device = device
        self._x, self._y = (device.empty(rounds * count * n).view(rounds, count, n) for _ in range(2))

    def groups(self, turn: int, chunks: int) -> Sequence[Work]:
        pairs = list(zip(self._x[turn].unbind(0), self._y[turn].unbind(0), strict=True))
        return [_sines(group) for group in _grouped(pairs, chunks)]

    def inputs(self, seed: int) -> None:
        fill_normal(self._device, self._x, seed)

    def poison(self) -> None:
        self._y.fill_(float("nan"))

    def output(self) -> Tensor:
        return self._y.flatten()

    def exact(self) -> Tensor:
        return self._x.sin().flatten()

    def reference(self) -> Tensor:
        return self._x.double().sin().flatten()


class Products:
    """`count` products of bf16 [edge, edge] a round: bound by the tensor cores."""

    name = "products"

    def __init__(self, device: Device, rounds: int, count: int, edge: int) -> None:
        self._device = device
        self._a, self._b, self._c = (on_device(device, rounds, count, edge, edge) for _ in range(3))

    def groups(self, turn: int, chunks: int) -> Sequence[Work]:
        operands = list(zip(*(matrices[turn].unbind(0) for matrices in (self._a, self._b, self._c)), strict=True))
        return [_products(group) for group in _grouped(operands, chunks)]

    def inputs(self, seed: int) -> None:
        """B is scaled by 1/sqrt(edge), so that the products are N(0, 1) too."""
        fill_normal(self._device, self._a, seed)
        fill_normal(self._device, self._b, seed + 7, self._b.shape[-1] ** -0.5)

    def poison(self) -> None:
        self._c.fill_(float("nan"))

    def output(self) -> Tensor:
        return self._c.float().flatten()

    def exact(self) -> Tensor:
        import torch

        out = torch.empty_like(self._c)
        for a, b, c in zip(*(matrices.flatten(0, 1) for matrices in (self._a, self._b, out)), strict=True):
            torch.mm(a, b, out=c)
        return out.float().flatten()

    def reference(self) -> Tensor:
        import torch

        pairs = zip(self._a.flatten(0, 1), self._b.flatten(0, 1), strict=True)
        return torch.stack([a.double() @ b.double() for a, b in pairs]).flatten()


def _there_and_back(host_in: Tensor, device_in: Tensor, device_out: Tensor, host_out: Tensor) -> Work:
    import torch

    def work() -> None:
        device_in.copy_(host_in, non_blocking=True)
        torch.sin(device_in, out=device_out)
        host_out.copy_(device_out, non_blocking=True)

    return work


def _sines(pairs: Sequence[tuple[Tensor, Tensor]]) -> Work:
    import torch

    def work() -> None:
        for x, y in pairs:
            torch.sin(x, out=y)

    return work


def _products(operands: Sequence[tuple[Tensor, ...]]) -> Work:
    import torch

    def work() -> None:
        for a, b, c in operands:
            torch.mm(a, b, out=c)

    return work


def _in_equal_parts(buffer: Tensor, chunks: int) -> Sequence[Tensor]:
    if buffer.numel() % chunks:
        raise UsageError(f"{buffer.numel()} elements do not divide into {chunks} chunks", "choose another size")
    return list(buffer.chunk(chunks))


def _grouped(items: Sequence[_T], chunks: int) -> list[Sequence[_T]]:
    """In order, in `chunks` groups of one length."""
    if len(items) % chunks:
        raise UsageError(f"{len(items)} operations do not divide into {chunks} groups", "choose another size")
    length = len(items) // chunks
    return [items[at : at + length] for at in range(0, len(items), length)]
