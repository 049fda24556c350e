"""Memory between guards: bytes before and after a tensor that nobody may touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

GUARD_BYTES = 64 << 10
OUTPUT_GUARD = 0xA5
INPUT_GUARD = 0xFF
"""As a number of any dtype a NaN: what is read beyond an input spoils the result."""

POISON = -1234.5
POISON_BITS = {2: 0x7FA5, 4: 0x7FA5A5A5}
"""By an element's bytes: a NaN that no arithmetic makes, so that an output of NaN is told from one that nobody wrote."""


class Guarded:
    """A tensor of `shape` and `dtype` between two guards; without guards an allocation of exactly its size."""

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, device: str, guard: int, *, guards: bool, shift: int
    ) -> None:
        import math

        import torch

        size = dtype.itemsize
        self._guard = guard
        self._start = (GUARD_BYTES + size * shift) if guards else 0
        self._end = self._start + math.prod(shape) * size
        self._bytes = torch.full((self._end + (GUARD_BYTES if guards else 0),), guard, dtype=torch.uint8, device=device)
        self.tensor: Tensor = self._bytes[self._start : self._end].view(dtype).view(shape)

    def intact(self) -> bool:
        """Whether the guards still hold what was put there."""
        sides = (self._bytes[: self._start], self._bytes[self._end :])
        return all(bool((side == self._guard).all()) for side in sides)

    def bits(self) -> Tensor:
        """A copy of the tensor's bytes."""
        return self._bytes[self._start : self._end].clone()

    def poison(self, *, finite: bool) -> None:
        """Fill it with NaN, or with a number where NaN may be right."""
        import torch

        if finite:
            self.tensor.fill_(POISON)
        else:
            size = self.tensor.element_size()
            self.tensor.view({2: torch.int16, 4: torch.int32}[size]).fill_(POISON_BITS[size])
