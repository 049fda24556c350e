"""Softmax over rows too long for one block's shared memory, by the ways that a pair names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...kernels.softmax import rows
from ..device import Device, Stream
from ..pair import Build, Declared, Sizes

if TYPE_CHECKING:
    from torch import Tensor

FULL = {"rows": 2048, "columns": 8 * rows.SHARE}
SMALL = {"rows": 5, "columns": 1024}
TOLERANCE = 1e-6
"""fp32 leaves 2e-7: an exponential is good to two units in its last place, and the sum's error is all elements' alike."""
_FP32_BYTES = 4


class Rows:
    """y = softmax of each row of x, fp32 [rows, columns], on one stream. `ways` gives each variant's: of the kernels, or "compiled"."""

    def __init__(self, device: Device, sizes: Sizes, ways: Mapping[str, str]) -> None:
        self._device, self._stream, self._ways = device, device.stream(), ways
        shape = sizes["rows"], sizes["columns"]
        self._x, self._y = (device.empty(shape[0] * shape[1]).view(shape) for _ in range(2))
        self._own = rows.Softmax(self._x, self._y) if device.kind == "cuda" else None

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """fp32 [rows, columns] on the device."""
        return self._y

    def inputs(self, seed: int) -> None:
        self._x.copy_(self._device.normal(self._x.numel(), seed).view(self._x.shape))

    def poison(self) -> None:
        self._y.fill_(float("nan"))

    def run(self, variant: str) -> None:
        way = self._ways[variant]
        with self._device.on(self._stream):
            if way == "compiled":
                rows.compiled(self._x, self._y)
            elif self._own is None:
                rows.eager(self._x, self._y)
            else:
                self._own.run(way)

    def reference(self) -> Tensor:
        return rows.reference(self._x)

    def exact(self) -> None:
        return None


def softmax(ways: Mapping[str, str]) -> Build:
    """What builds a pair whose variants are these ways."""
    return lambda device, sizes: Rows(device, sizes, ways)


def declared(sizes: Sizes, reads: int) -> Declared:
    """27 operations for four elements, besides their exponentials: a difference and a product for each exponent, twice; the sum, and
    what it was scaled by; the share."""
    n = sizes["rows"] * sizes["columns"]
    return Declared(27 * n // 4, (reads + 1) * _FP32_BYTES * n, "fp32")
