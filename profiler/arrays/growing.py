"""A column assembled from pieces without touching more memory than the finished column takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def is_constant(part: NDArray[Any]) -> bool:
    """Whether an array is one element repeated without copies, as `numpy.broadcast_to` makes it."""
    return len(part) > 0 and part.strides == (0,)


def constant(value: Any, length: int, dtype: DTypeLike) -> NDArray[Any]:
    """`length` times the same value, in the memory of one."""
    return np.broadcast_to(np.array(value, dtype), (length,))


def same(a: Any, b: Any) -> bool:
    """Equal, or both NaN."""
    return bool(a == b or (np.isnan(a) and np.isnan(b)))


class Growing:
    """Pieces are appended in place. As long as all are the same constant, the column stays one element.

    `expected` is the most elements that are likely: memory that is never written is never taken from the system.
    """

    def __init__(self, dtype: DTypeLike, expected: int) -> None:
        self._dtype = np.dtype(dtype)
        self._expected = expected
        self._held: NDArray[Any] | None = None
        self._value: Any = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, part: NDArray[Any]) -> None:
        """Append the elements of `part`."""
        if not len(part):
            return
        if self._held is None and is_constant(part) and (self._length == 0 or same(part[0], self._value)):
            self._value = part[0]
            self._length += len(part)
            return
        low, self._length = self._length, self._length + len(part)
        held = self._room(low)
        held[low : self._length] = part

    def _room(self, filled: int) -> NDArray[Any]:
        if self._held is None:
            self._held = np.empty(max(self._expected, self._length), self._dtype)
            if filled:
                self._held[:filled] = self._value
        elif self._length > len(self._held):
            grown = np.empty(max(self._length, 2 * len(self._held)), self._dtype)
            grown[:filled] = self._held[:filled]
            self._held = grown
        return self._held

    def array(self) -> NDArray[Any]:
        """The finished column; read-only if it is a constant."""
        if self._held is None:
            return constant(self._value, self._length, self._dtype) if self._length else np.empty(0, self._dtype)
        return self._held[: self._length]
