"""Temporary arrays, either allocated from the driver and freed each time, or taken from an arena that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .memory import Immediate

if TYPE_CHECKING:
    from torch import Tensor


class Memory(Protocol):
    """Where temporary fp32 arrays of one length come from and go back to; an int is the address of device memory."""

    def take(self) -> Tensor | int: ...
    def give(self, array: Tensor | int) -> None: ...


class FreshMemory:
    """Every array is new: cuMemAlloc and cuMemFree on CUDA, as PyTorch runs with its caching allocator turned off.

    cuMemFree waits until the device has finished all its work. On a CPU PyTorch's allocator serves.
    """

    def __init__(self, n: int, kind: str) -> None:
        self._n, self._on_cuda = n, kind == "cuda"
        self._memory: Immediate | None = None

    def take(self) -> Tensor | int:
        """An array of n uninitialised fp32 elements.

        Raises:
            AispError: the driver has not enough memory left.
        """
        import torch

        if not self._on_cuda:
            return torch.empty(self._n)
        return self._driver().take(self._n * 4, 0)

    def give(self, array: Tensor | int) -> None:
        """Free the array once the device has finished with it."""
        if isinstance(array, int):
            self._driver().give(array, 0)

    def _driver(self) -> Immediate:
        if self._memory is None:
            self._memory = Immediate()
        return self._memory


class Arena:
    """`count` arrays of n fp32 elements that are allocated once; an array given back is the next one taken."""

    def __init__(self, n: int, kind: str, count: int) -> None:
        import torch

        self.arrays = tuple(torch.empty(n, device=kind) for _ in range(count))
        self._free: list[Tensor | int] = list(self.arrays)

    def take(self) -> Tensor | int:
        """The array that was most recently given back.

        Raises:
            ValueError: all arrays are taken.
        """
        if not self._free:
            raise ValueError(f"all {len(self.arrays)} arrays of the arena are taken")
        return self._free.pop()

    def give(self, array: Tensor | int) -> None:
        self._free.append(array)
