"""NVFP4: e2m1 codes in pairs, an e4m3 scale for 16 of them along a row, and one fp32 scale for the whole matrix.

A code is 4 bits, sign, two of exponent (bias 1) and one of mantissa: ±0, 0.5, 1, 1.5, 2, 3, 4, 6; neither infinity nor NaN. A scale
is a byte, sign, four bits of exponent (bias 7) and three of mantissa: at most 448, no infinity, NaN where the last seven bits are
set. A value is code × scale × the matrix's scale; code × scale has six significant bits at most, so bf16 holds it exactly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 16
"""Values that share a scale."""
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Of the codes 0 to 7; code + 8 is the same with a minus sign."""
LARGEST_CODE, LARGEST_SCALE = MAGNITUDES[-1], 448.0
SIGN = 8
_BETWEEN = tuple((low + high) / 2 for low, high in itertools.pairwise(MAGNITUDES))
"""The point halfway from each magnitude to the next."""
_NAN_SCALE = 0x7F


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix of n rows and k columns.

    Args:
        codes: uint8 [n, k / 2]; of a pair along a row the first is in the low half of the byte.
        scales: uint8 [n, k / 16], e4m3.
        scale: of the whole matrix, beside the others.
    """

    codes: Tensor
    scales: Tensor
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError where the two are not bytes, or do not belong together."""
        (n, pairs), kinds = self.codes.shape, {str(self.codes.dtype), str(self.scales.dtype)}
        if kinds != {"torch.uint8"} or tuple(self.scales.shape) != (n, 2 * pairs // BLOCK) or 2 * pairs % BLOCK:
            raise ValueError(
                f"codes and scales must be uint8 [n, k / 2] and [n, k / {BLOCK}], not {tuple(self.codes.shape)} and "
                f"{tuple(self.scales.shape)} of {', '.join(sorted(kinds))}"
            )

    @property
    def rows(self) -> int:
        return int(self.codes.shape[0])

    @property
    def columns(self) -> int:
        return 2 * int(self.codes.shape[1])

    @property
    def bytes(self) -> int:
        return int(self.codes.numel() + self.scales.numel())


def pack(matrix: Tensor, scale: float = 1.0) -> Packed:
    """The codes and scales of a matrix: of 16 values the largest in magnitude becomes 6 × their scale, as nearly as e4m3 can.

    Args:
        matrix: floating-point [n, k], k a multiple of 16.
        scale: of the whole matrix; every value is divided by it first.

    Raises:
        ValueError: k is no multiple of 16.
    """
    if matrix.dim() != 2 or matrix.shape[1] % BLOCK:
        raise ValueError(f"NVFP4 is of a matrix whose rows are a multiple of {BLOCK} long, not {tuple(matrix.shape)}")
    blocks = (matrix.float() / scale).view(matrix.shape[0], -1, BLOCK)
    scales = to_e4m3(blocks.abs().amax(-1) / LARGEST_CODE)
    divisor = from_e4m3(scales).unsqueeze(-1)
    codes = to_e2m1((blocks / divisor).where(divisor != 0, 0.0))
    return Packed(join(codes.view(matrix.shape)), scales, scale)


def unpack(packed: Packed) -> Tensor:
    """code × scale of every value in fp32 [n, k], exact; without the matrix's own scale."""
    codes = from_e2m1(split(packed.codes)).view(packed.rows, -1, BLOCK)
    return (codes * from_e4m3(packed.scales).unsqueeze(-1)).view(packed.rows, packed.columns)


def to_e2m1(values: Tensor) -> Tensor:
    """The nearest code of each value as uint8, of two that are as near the even one; beyond 6 it is 6, as NaN is."""
    import torch

    wide = values.float()
    size = wide.abs().nan_to_num(nan=LARGEST_CODE)
    codes = torch.zeros_like(size, dtype=torch.uint8)
    for below, point in enumerate(_BETWEEN):  # halfway goes up to an even code, or stays with it
        codes += (size >= point) if below % 2 else (size > point)
    return codes + SIGN * (torch.signbit(wide) & ~wide.isnan()).to(torch.uint8)


def from_e2m1(codes: Tensor) -> Tensor:
    """What each code stands for, in fp32."""
    import torch

    values = torch.tensor((*MAGNITUDES, *(-size for size in MAGNITUDES)), device=codes.device)
    return values[codes.int()]


def to_e4m3(values: Tensor) -> Tensor:
    """The nearest e4m3 of each value as uint8, of two that are as near the even one; beyond 448 it is 448, and NaN stays NaN."""
    import torch

    wide = values.float()
    codes = wide.clamp(-LARGEST_SCALE, LARGEST_SCALE).to(torch.float8_e4m3fn).view(torch.uint8)
    return codes.where(~wide.isnan(), torch.full_like(codes, _NAN_SCALE))


def from_e4m3(codes: Tensor) -> Tensor:
    """What each scale stands for, in fp32."""
    import torch

    return codes.view(torch.float8_e4m3fn).float()


def split(pairs: Tensor) -> Tensor:
    """uint8 [n, k / 2] of pairs as codes [n, k]."""
    import torch

    return torch.stack((pairs & 15, pairs >> 4), -1).flatten(-2)


def join(codes: Tensor) -> Tensor:
    """Codes [n, k] as pairs [n, k / 2], the first of each in the low half."""
    return codes[..., ::2] | codes[..., 1::2] << 4
