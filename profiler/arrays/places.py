"""The positions of millions of values in a short list of distinct ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .types import Int64

_MOST = 64
_BITS = 12
_FACTORS = np.random.default_rng(20261121).integers(1, 1 << 63, 64, np.uint64) | np.uint64(1)


class Places:
    """Looks values up by a hash that sends no two of the distinct values to the same slot, at a quarter of the cost of
    bisection; by bisection where no such hash is found, or the list is long."""

    def __init__(self, distinct: Int64) -> None:
        """
        Args:
            distinct: ascending.
        """
        self._distinct = distinct
        self._factor: np.uint64 | None = None
        self._slots: NDArray[np.uint8] = np.zeros(1 << _BITS, np.uint8)
        for factor in _FACTORS if len(distinct) <= _MOST else ():
            slots = self._slot(distinct, factor)
            if len(np.unique(slots)) == len(distinct):
                self._factor = factor
                self._slots[slots] = np.arange(len(distinct))
                return

    def of(self, values: Int64) -> Int64:
        """The position of each value, shape (n,); for values not in the list, an arbitrary one."""
        if self._factor is None:
            return np.minimum(np.searchsorted(self._distinct, values), len(self._distinct) - 1)
        return self._slots[self._slot(values, self._factor)].astype(np.int64)

    @staticmethod
    def _slot(values: Int64, factor: np.uint64) -> NDArray[np.int64]:
        return ((values.astype(np.int64, copy=False).view(np.uint64) * factor) >> np.uint64(64 - _BITS)).view(np.int64)
