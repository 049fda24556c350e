"""Three kinds of work whose best use of streams differs: large copies, a row of tiny kernels, and long kernels of few blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from ...errors import UsageError
from ...kernels.elementwise import affine_chain
from ..device import Device
from .buffers import fill_normal

if TYPE_CHECKING:
    from torch import Tensor

Work = Callable[[], None]
"""Enqueues something on the current stream."""

FLIP = (-1.0, 1.0)
"""y -> 1 - y, which two steps undo: a kernel lasts as long as it shall, and rounds once."""

_T = TypeVar("_T")
_KIB = 1 << 10
_FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Config:
    """How a round is run: its data in `chunks` chunks that go to `streams` streams in turn."""

    streams: int
    chunks: int

    @property
    def name(self) -> str:
        return f"s{self.streams} c{self.chunks}"


CANDIDATES = tuple(Config(n, n) for n in (1, 2, 4, 8))
"""From coarse to fine."""


class Phase(Protocol):
    """`rounds` rounds of one kind of work, each on data of its own."""

    @property
    def name(self) -> str: ...

    def groups(self, turn: int, chunks: int) -> Sequence[Work]:
        """Round `turn` in `chunks` independent groups, a chunk of its data each."""
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
    """`count` times the sine of n fp32 a round, in place and a kernel each: bound by how fast kernels can be launched, of which
    every chunk needs `count`."""

    name = "launches"

    def __init__(self, device: Device, rounds: int, count: int, n: int) -> None:
        self._device, self._count = device, count
        self._x, self._y = (device.empty(rounds * n).view(rounds, n) for _ in range(2))

    def groups(self, turn: int, chunks: int) -> Sequence[Work]:
        pieces = (_in_equal_parts(buffer[turn], chunks) for buffer in (self._x, self._y))
        return [_sines(x, y, self._count) for x, y in zip(*pieces, strict=True)]

    def inputs(self, seed: int) -> None:
        fill_normal(self._device, (self._x,), seed)

    def poison(self) -> None:
        self._y.fill_(float("nan"))

    def output(self) -> Tensor:
        return self._y.flatten()

    def exact(self) -> Tensor:
        return self._sines_of(self._x)

    def reference(self) -> Tensor:
        return self._sines_of(self._x.double())

    def _sines_of(self, y: Tensor) -> Tensor:
        for _ in range(self._count):
            y = y.sin()
        return y.flatten()


class Chains:
    """`count` vectors of `kib` KiB of fp32 a round, each through a kernel of `steps` fused multiply-adds an element and few blocks:
    bound by how many multiprocessors are kept busy. Chunks are groups of vectors.

    Raises:
        UsageError: `steps` is even.
    """

    name = "chains"

    def __init__(self, device: Device, rounds: int, count: int, kib: int, steps: int) -> None:
        if steps % 2 == 0:
            raise UsageError(f"{steps} steps undo each other", "choose an odd number")
        n = kib * _KIB // _FP32_BYTES
        self._device, self._steps, self._chain = device, steps, _chain(device, n, steps)
        self._x, self._y = (device.empty(rounds * count * n).view(rounds, count, n) for _ in range(2))

    def groups(self, turn: int, chunks: int) -> Sequence[Work]:
        pairs = list(zip(self._x[turn].unbind(0), self._y[turn].unbind(0), strict=True))
        return [_chains(group, self._chain) for group in _grouped(pairs, chunks)]

    def inputs(self, seed: int) -> None:
        fill_normal(self._device, (self._x,), seed)

    def poison(self) -> None:
        self._y.fill_(float("nan"))

    def output(self) -> Tensor:
        return self._y.flatten()

    def exact(self) -> Tensor:
        out = self._x.new_empty(self._x.shape)
        affine_chain.fused(self._x, out, *FLIP, self._steps)
        return out.flatten()

    def reference(self) -> Tensor:
        """All but one of the steps undo each other."""
        return affine_chain.reference(self._x, *FLIP, 1).flatten()


def _there_and_back(host_in: Tensor, device_in: Tensor, device_out: Tensor, host_out: Tensor) -> Work:
    import torch

    def work() -> None:
        device_in.copy_(host_in, non_blocking=True)
        torch.sin(device_in, out=device_out)
        host_out.copy_(device_out, non_blocking=True)

    return work


def _sines(x: Tensor, y: Tensor, count: int) -> Work:
    import torch

    def work() -> None:
        torch.sin(x, out=y)
        for _ in range(count - 1):
            y.sin_()

    return work


def _chains(pairs: Sequence[tuple[Tensor, Tensor]], chain: Callable[[Tensor, Tensor], Work]) -> Work:
    works = [chain(x, y) for x, y in pairs]

    def work() -> None:
        for one in works:
            one()

    return work


def _chain(device: Device, n: int, steps: int) -> Callable[[Tensor, Tensor], Work]:
    """What enqueues the chain from one vector of n to another; on a GPU the kernel is looked up once, not at every launch."""
    if device.kind != "cuda":
        return lambda x, y: lambda: affine_chain.fused(x, y, *FLIP, steps)
    from ...kernels.driver.launch import fp32, int32, int64, kernel, pointer

    found, blocks = kernel(affine_chain.SOURCE, "affine_chain"), -(-n // affine_chain.ELEMENTS_PER_BLOCK)

    def on_cuda(x: Tensor, y: Tensor) -> Work:
        arguments = (pointer(x), pointer(y), int64(n), *map(fp32, FLIP), int32(steps))
        return lambda: found.launch(blocks, affine_chain.THREADS, arguments)

    return on_cuda


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
