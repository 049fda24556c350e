"""NVFP4 on every code point, against values worked out from the formats' definitions in fractions, and PyTorch's e4m3."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import torch
from aisp_prof.kernels.nvfp4 import format as nvfp4


def defined(code: int, exponent_bits: int, mantissa_bits: int) -> Fraction:
    """Sign, exponent and mantissa as IEEE 754 reads them, with no code set aside: bias 2^(e-1) - 1, subnormals below."""
    bias = 2 ** (exponent_bits - 1) - 1
    sign = -1 if code >> (exponent_bits + mantissa_bits) else 1
    exponent = (code >> mantissa_bits) % 2**exponent_bits
    fraction = Fraction(code % 2**mantissa_bits, 2**mantissa_bits)
    size = (1 + fraction) * Fraction(2) ** (exponent - bias) if exponent else fraction * Fraction(2) ** (1 - bias)
    return sign * size


E2M1 = {code: defined(code, 2, 1) for code in range(16)}
E4M3 = {code: defined(code, 4, 3) for code in range(256) if code % 128 != 127}
FORMATS = {
    "e2m1": (E2M1, nvfp4.to_e2m1, nvfp4.from_e2m1, 8),
    "e4m3": (E4M3, nvfp4.to_e4m3, nvfp4.from_e4m3, 128),
}


def nearest(value: Fraction, codes: dict[int, Fraction], sign: int) -> int:
    """By trying all: the nearest code, of two equally near the one whose last bit is 0; beyond the largest, the largest."""
    of_sign = [code for code in codes if (code >= sign) == (value < 0)]
    return min(of_sign, key=lambda code: (abs(codes[code] - value), code % 2))


def probes(codes: dict[int, Fraction]) -> list[Fraction]:
    """Every value, every point halfway to the next, a little to either side of both, and what lies beyond."""
    values = sorted(set(codes.values()))
    points = values + [(low + high) / 2 for low, high in itertools.pairwise(values)]
    little = Fraction(1, 2**17)
    return [point * (1 + shift) for point in points for shift in (-little, 0, little) if point] + [
        Fraction(sign * size) for sign in (-1, 1) for size in (values[-1] * 2, values[-1] * 1000)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_code_is_what_the_format_defines(name: str) -> None:
    codes, _, decode, _ = FORMATS[name]
    found = decode(torch.tensor(list(codes), dtype=torch.uint8)).tolist()
    assert [Fraction(value) for value in found] == list(codes.values())


@pytest.mark.parametrize("name", FORMATS)
def test_every_code_comes_back(name: str) -> None:
    codes, encode, decode, _ = FORMATS[name]
    every = torch.tensor(list(codes), dtype=torch.uint8)
    assert torch.equal(encode(decode(every)), every)  # -0 too


@pytest.mark.parametrize("name", FORMATS)
def test_rounding_is_to_the_nearest_and_to_even(name: str) -> None:
    codes, encode, _, sign = FORMATS[name]
    points = [point for point in probes(codes) if Fraction(float(point)) == point]
    assert len(points) > 3 * len(codes)
    values = torch.tensor([float(point) for point in points], dtype=torch.float64)
    assert torch.equal(values.float().double(), values)
    assert encode(values).tolist() == [nearest(point, codes, sign) for point in points]


def test_what_is_too_large_saturates() -> None:
    far = torch.tensor([math.inf, -math.inf, 3e38, -3e38])
    assert nvfp4.to_e2m1(far).tolist() == [7, 15, 7, 15]
    assert nvfp4.to_e4m3(far).tolist() == [0x7E, 0xFE, 0x7E, 0xFE]


def test_nan() -> None:
    """e2m1 has none and takes the largest, as the hardware's conversion does; e4m3 has two, of which one is made."""
    nan = torch.tensor([math.nan, -math.nan])
    assert nvfp4.to_e2m1(nan).tolist() == [7, 7]
    assert nvfp4.to_e4m3(nan).tolist() == [0x7F, 0x7F]
    assert nvfp4.from_e4m3(torch.tensor([0x7F, 0xFF], dtype=torch.uint8)).isnan().all()


def test_the_scales_are_pytorchs_e4m3() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(
        nvfp4.from_e4m3(every).nan_to_num(nan=-1.0), every.view(torch.float8_e4m3fn).double().nan_to_num(nan=-1.0)
    )


def test_every_product_is_exact_in_bf16() -> None:
    """16 codes by 254 scales, as bf16 and as fractions; with a scale that is NaN all are NaN."""
    codes = torch.arange(16, dtype=torch.uint8).repeat(256, 1)
    packed = nvfp4.Packed(nvfp4.join(codes), torch.arange(256, dtype=torch.uint8).view(256, 1))
    narrow = nvfp4.unpack(packed).bfloat16().double()
    for scale in range(256):
        if scale % 128 == 127:
            assert narrow[scale].isnan().all()
        else:
            found = [Fraction(value) for value in narrow[scale].tolist()]
            assert found == [E2M1[code] * E4M3[scale] for code in range(16)]


def test_pairs_lie_low_half_first() -> None:
    codes = torch.tensor([[1, 2, 15, 8]], dtype=torch.uint8)
    assert nvfp4.join(codes).tolist() == [[0x21, 0x8F]]
    assert torch.equal(nvfp4.split(nvfp4.join(codes)), codes)
    every = torch.arange(256, dtype=torch.uint8).view(16, 16)
    assert torch.equal(nvfp4.join(nvfp4.split(every)), every)


def test_a_matrix_is_packed_block_by_block() -> None:
    """Of each block the scale is the nearest e4m3 to its largest / 6, and each code the nearest to value / scale."""
    source = torch.Generator().manual_seed(1)
    matrix = torch.randn(8, 64, generator=source) * torch.logspace(-4, 4, 8).view(8, 1)
    packed = nvfp4.pack(matrix, scale=0.5)
    assert packed.codes.shape == (8, 32)
    assert packed.scales.shape == (8, 4)
    codes, doubled = nvfp4.split(packed.codes), (matrix * 2).view(8, 4, 16)
    for row in range(8):
        for block in range(4):
            values = [Fraction(value) for value in doubled[row, block].tolist()]
            largest = torch.tensor(float(max(map(abs, values)))) / 6
            scale = int(packed.scales[row, block])
            assert scale == nearest(Fraction(float(largest)), E4M3, 128)
            for value, code in zip(values, codes[row, 16 * block : 16 * block + 16].tolist(), strict=True):
                if E4M3[scale]:
                    rounded = Fraction(float(torch.tensor(float(value)) / float(E4M3[scale])))
                    assert code == nearest(rounded, E2M1, 8)
                else:
                    assert code == 0


def test_a_block_of_zeros_stays_zero() -> None:
    packed = nvfp4.pack(torch.zeros(2, 32))
    assert not packed.codes.any()
    assert not nvfp4.unpack(packed).any()


def test_only_bytes_are_codes() -> None:
    """torch.equal tells no int64 from a byte, but a kernel does."""
    packed = nvfp4.pack(torch.randn(4, 32))
    assert (packed.codes.dtype, packed.scales.dtype) == (torch.uint8, torch.uint8)
    assert nvfp4.to_e2m1(torch.tensor([-1.0])).dtype == torch.uint8
    with pytest.raises(ValueError, match="must be uint8"):
        nvfp4.Packed(packed.codes.long(), packed.scales)
    with pytest.raises(ValueError, match="must be uint8"):
        nvfp4.Packed(packed.codes, packed.scales[:, :1])


def test_rows_that_no_blocks_fill_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        nvfp4.pack(torch.zeros(2, 24))
