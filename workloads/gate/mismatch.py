"""One output against the fp64 reference, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True)
class Mismatch:
    """`wrong` elements of all; the first of them lies at flat index `first`; `worst` is the largest error found.

    Errors are shares of |reference| + the reference's root mean square; infinite where one is NaN or infinite and the
    other not so.
    """

    wrong: int
    first: int
    got: float
    expected: float
    worst: float

    def words(self, shape: tuple[int, ...]) -> str:
        """In a tensor of this shape."""
        where = f"[{', '.join(str(int(one)) for one in np.unravel_index(self.first, shape))}]"
        return f"{self.wrong} elements are wrong, the first at {where}: {self.got:.6g} instead of {self.expected:.6g}"


def mismatch(output: Tensor, reference: Tensor, tolerance: float) -> Mismatch:
    """Compare an output with its fp64 reference of the same shape, on one device.

    An element is right if NaN stands where the reference has NaN and an infinity where it has that infinity, and otherwise if
    it is within the tolerance. Numbers beyond the output's dtype may be its largest one or infinity. Integers are right
    where they are equal.
    """
    import torch

    if not output.is_floating_point():
        return _unequal(output.reshape(-1), reference.reshape(-1))
    limit = torch.finfo(output.dtype).max
    got, expected = output.reshape(-1), reference.reshape(-1)
    scale = _root_mean_square(expected, limit)
    total = Mismatch(0, -1, 0.0, 0.0, 0.0)
    for start in range(0, got.numel(), _CHUNK):
        one = _chunk(
            got[start : start + _CHUNK].double(), expected[start : start + _CHUNK].double(), limit, scale, tolerance
        )
        if one.wrong and not total.wrong:
            total = Mismatch(0, start + one.first, one.got, one.expected, 0.0)
        worst = max(total.worst, one.worst)
        total = Mismatch(total.wrong + one.wrong, total.first, total.got, total.expected, worst)
    return total


def _chunk(got: Tensor, expected: Tensor, limit: float, scale: float, tolerance: float) -> Mismatch:
    import torch

    inside = expected.clamp(-limit, limit)
    error = (got.clamp(-limit, limit) - inside).abs() / (inside.abs() + scale).clamp(min=1e-300)
    alike = torch.where(expected.isnan(), got.isnan(), got == expected)
    special = expected.isnan() | expected.isinf()
    error = torch.where(special, torch.where(alike, 0.0, torch.inf), error.nan_to_num(nan=torch.inf))
    wrong = ~(error <= tolerance)
    count = int(wrong.sum())
    first = int(wrong.to(torch.uint8).argmax()) if count else 0
    return Mismatch(count, first, float(got[first]), float(expected[first]), float(error.max()))


def _unequal(got: Tensor, expected: Tensor) -> Mismatch:
    wrong = got != expected
    count = int(wrong.sum())
    first = int(wrong.nonzero()[0]) if count else -1
    shown = (float(got[first]), float(expected[first])) if count else (0.0, 0.0)
    return Mismatch(count, first, *shown, float("inf") if count else 0.0)


def _root_mean_square(expected: Tensor, limit: float) -> float:
    """Of the finite entries; computed at a scale at which no square overflows."""
    total, count, largest = 0.0, 0, 0.0
    parts = [expected[start : start + _CHUNK] for start in range(0, expected.numel(), _CHUNK)]
    for part in parts:
        finite = part[part.isfinite()].clamp(-limit, limit)
        largest = max(largest, float(finite.abs().max()) if finite.numel() else 0.0)
    for part in parts if largest else []:
        finite = part[part.isfinite()].clamp(-limit, limit) / largest
        total, count = total + float(finite.square().sum()), count + finite.numel()
    return largest * (total / count) ** 0.5 if count else 0.0
