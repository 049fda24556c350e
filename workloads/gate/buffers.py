"""Memory between guards: bytes before and after a tensor that nobody may touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

GUARD_BYTES = 64 << 10
OUTPUT_GUARD = 0xA5
INPUT_GUARD = 0xFF
"""NaN in every dtype: anything read beyond an input spoils the result."""

POISON = -1234.5
POISON_BITS = {2: 0x7FA5, 4: 0x7FA5A5A5, 8: 0x7FA5A5A5A5A5A5A5}
"""By element size in bytes: a NaN that no arithmetic produces, so that a NaN result differs from an element that nobody
wrote. Of integers it is a large number."""


class Memory(Protocol):
    """Where tensors come from: `Plain`, or `arena.Arena`."""

    def take(self, size: int) -> Tensor:
        """This many uninitialised bytes."""
        ...

    def clear(self) -> None:
        """Free what was taken; it must not be used any more."""
        ...


class Plain:
    """Memory of this process alone, freed with the last tensor in it."""

    def __init__(self, device: str) -> None:
        self._device = device

    def take(self, size: int) -> Tensor:
        import torch

        return torch.empty(size, dtype=torch.uint8, device=self._device)

    def clear(self) -> None:
        return


class Guarded:
    """A tensor of `shape` and `dtype` between two guards; without guards an allocation of exactly its size."""

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, memory: Memory, guard: int, *, guards: bool, shift: int
    ) -> None:
        import math

        size = dtype.itemsize
        self._guard = guard
        self._start = (GUARD_BYTES + size * shift) if guards else 0
        self._end = self._start + math.prod(shape) * size
        self._bytes = memory.take(self._end + (GUARD_BYTES if guards else 0)).fill_(guard)
        self.tensor: Tensor = self._bytes[self._start : self._end].view(dtype).view(shape)

    def intact(self) -> bool:
        """Whether the guards are unchanged."""
        sides = (self._bytes[: self._start], self._bytes[self._end :])
        return all(bool((side == self._guard).all()) for side in sides)

    def bits(self) -> Tensor:
        """A copy of the tensor's bytes."""
        return self._bytes[self._start : self._end].clone()

    def poison(self, *, finite: bool) -> None:
        """Fill it with NaN, or with a number if NaN may be a right result."""
        import torch

        if finite and self.tensor.is_floating_point():
            self.tensor.fill_(POISON)
        else:
            size = self.tensor.element_size()
            self.tensor.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[size]).fill_(POISON_BITS[size])
