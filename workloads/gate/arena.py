"""Memory that the judge owns and shares with the processes of candidates: host memory by a file descriptor, GPU memory
by a handle."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..device import Kind

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ticket:
    """How another process gets at a block: `descriptor` is the judge's own, sent alongside; `handle` is CUDA's, 64 bytes."""

    number: int
    size: int
    descriptor: int
    handle: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor as a part of a block: the byte it starts at, its shape, and its dtype's name in PyTorch."""

    number: int
    start: int
    shape: tuple[int, ...]
    dtype: str


class Arena:
    """Blocks of shared memory; `clear` frees them all."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._blocks: dict[int, tuple[Ticket, Tensor, Any]] = {}
        self._next = 0

    def take(self, size: int) -> Tensor:
        """A new block of `size` bytes, uninitialised.

        Raises:
            OSError: the machine has no memory of that kind left.
        """
        self._next += 1
        make = _gpu_block if self._kind == "cuda" else _host_block
        self._blocks[self._next] = block = make(self._next, max(1, size))
        return block[1][:size]

    def place(self, tensor: Tensor) -> Place:
        """Where a tensor lies; it is contiguous and inside a block."""
        for number, (ticket, whole, _) in self._blocks.items():
            start = tensor.data_ptr() - whole.data_ptr()
            if 0 <= start <= ticket.size - tensor.numel() * tensor.element_size():
                return Place(number, start, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        raise ValueError("a tensor that is in no shared block")

    def ticket(self, number: int) -> Ticket:
        return self._blocks[number][0]

    def clear(self) -> None:
        for ticket, _, owner in self._blocks.values():
            if ticket.descriptor >= 0:
                os.close(ticket.descriptor)
            if isinstance(owner, _GpuMemory):
                owner.free()
        self._blocks.clear()


def open_block(ticket: Ticket, descriptor: int) -> tuple[Tensor, Any]:
    """For the other process: the block's bytes, and the object that keeps them mapped."""
    if ticket.handle:
        memory = _GpuMemory.opened(ticket.handle, ticket.size)
        return memory.tensor(), memory
    mapped = mmap.mmap(descriptor, ticket.size)
    os.close(descriptor)
    return _host_tensor(mapped), mapped


def close_block(owner: Any) -> None:
    """Unmap what `open_block` mapped, once nothing looks at it any more. Host memory goes with its last tensor."""
    if isinstance(owner, _GpuMemory):
        owner.close()


def _host_block(number: int, size: int) -> tuple[Ticket, Tensor, Any]:
    descriptor = os.memfd_create("aisp-gate")
    os.ftruncate(descriptor, size)
    mapped = mmap.mmap(descriptor, size)
    return Ticket(number, size, descriptor, b""), _host_tensor(mapped), mapped


def _host_tensor(mapped: mmap.mmap) -> Tensor:
    import torch

    return torch.frombuffer(mapped, dtype=torch.uint8)


def _gpu_block(number: int, size: int) -> tuple[Ticket, Tensor, Any]:
    memory = _GpuMemory.taken(size)
    return Ticket(number, size, -1, memory.handle()), memory.tensor(), memory


class _GpuMemory:
    """Device memory from the driver itself: PyTorch's own allocations lie inside larger ones and cannot be shared alone."""

    def __init__(self, address: int, size: int) -> None:
        self._address, self._size = address, size

    @staticmethod
    def taken(size: int) -> _GpuMemory:
        from cuda.bindings import driver

        return _GpuMemory(int(_checked(driver.cuMemAlloc(size))), size)

    @staticmethod
    def opened(handle: bytes, size: int) -> _GpuMemory:
        import torch
        from cuda.bindings import driver

        torch.cuda.synchronize()  # makes current the device's primary context
        given = driver.CUipcMemHandle()
        given.reserved = handle
        flag = driver.CUipcMem_flags.CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS
        return _GpuMemory(int(_checked(driver.cuIpcOpenMemHandle(given, flag.value))), size)

    def close(self) -> None:
        """Of memory that was opened: unmap it. What is mapped still cannot be opened again, and the driver gives freed memory out
        again under the same handle."""
        from cuda.bindings import driver

        _checked(driver.cuIpcCloseMemHandle(self._address))

    def handle(self) -> bytes:
        from cuda.bindings import driver

        return bytes(_checked(driver.cuIpcGetMemHandle(self._address)).reserved)

    def tensor(self) -> Tensor:
        import torch

        return torch.as_tensor(self, device="cuda")

    def free(self) -> None:
        from cuda.bindings import driver

        _checked(driver.cuMemFree(self._address))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": (self._size,), "typestr": "|u1", "data": (self._address, False), "version": 3}


def _checked(result: tuple[Any, ...]) -> Any:
    if int(result[0]) != 0:
        raise OSError(int(result[0]), f"the driver answers {result[0]} about shared memory")
    return result[1] if len(result) > 1 else None
