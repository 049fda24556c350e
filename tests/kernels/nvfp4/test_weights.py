"""Weights in NVFP4: where each code goes, which arguments are refused, and on a GPU every code by every scale, bit for bit."""

from __future__ import annotations

import math

import pytest
import torch
from aisp_prof.kernels.nvfp4 import format as nvfp4
from aisp_prof.kernels.nvfp4 import weights
from aisp_prof.kernels.nvfp4.format import Packed
from aisp_prof.kernels.nvfp4.weights import Cut, arranged


def random_packed(n: int, k: int, seed: int = 1) -> Packed:
    source = torch.Generator().manual_seed(seed)
    codes, scales = (
        torch.randint(256, (n, columns), generator=source, dtype=torch.uint8) for columns in (k // 2, k // 16)
    )
    return Packed(codes, scales, 0.5)


def tiny(word: int, pair: int) -> list[int]:
    """What `tiny` of include/nvfp4/widen.cuh makes of a word: two bf16."""
    if pair < 3:
        both = (word >> 3 * pair | word << 32 - 3 * pair) & 0x81C081C0
    else:
        both = (word & 0x001B001B) * (1 << 14 | 1 << 8 | 1 << 3) & 0x81C081C0
    return [both & 0xFFFF, both >> 16]


def as_bf16(bits: int) -> float:
    return float(torch.tensor([bits - (bits >> 15 << 16)], dtype=torch.int16).view(torch.bfloat16).double())


def test_every_code_lies_where_its_thread_takes_it() -> None:
    """By the layout of wgmma's registers as PTX's manual gives it, one code after the other, widened as the kernel does."""
    packed = random_packed(512, 192)
    blocks, codes = arranged(packed).blocks, nvfp4.split(packed.codes)
    values = nvfp4.from_e2m1(codes)
    assert blocks.shape == (2, 3, 4, 2304)
    source = torch.Generator().manual_seed(2)
    for _ in range(3000):
        row, column = (int(torch.randint(edge, (), generator=source)) for edge in (512, 192))
        block = blocks[row // 256, column // 64, row % 256 // 64]
        within, k = row % 64, column % 16
        thread = within // 16 * 32 + within % 8 * 4 + k % 8 // 2
        register = within % 16 // 8 + 2 * (k // 8)  # below comes after above, then eight columns on
        word = int.from_bytes(bytes(block[16 * thread + column % 64 // 16 * 4 :][:4].tolist()), "little")
        widened = as_bf16(tiny(word, register)[k % 2])
        value = float(values[row, column])
        assert (widened * 2**126, math.copysign(1, widened)) == (value, math.copysign(1, value))
        of_step = within // 16 * 32 + within % 8 * 4 + column % 64 // 16  # of the row's four threads the step's
        scale = block[2048 + 2 * of_step + within % 16 // 8]
        assert int(scale) == int(packed.scales[row, column // 16])


def test_arranging_adds_nothing() -> None:
    packed = random_packed(256, 64)
    made = arranged(packed)
    assert made.blocks.numel() == packed.bytes
    assert (made.n, made.k, made.scale) == (256, 64, 0.5)


@pytest.mark.parametrize(("n", "k"), [(128, 64), (256, 96)])
def test_what_fills_no_blocks_is_refused(n: int, k: int) -> None:
    with pytest.raises(ValueError, match="multiple of 256 rows"):
        arranged(random_packed(n, k))


AT_ONCE = {1: 132, 2: 66, 3: 39, 4: 30, 5: 22, 6: 17, 7: 15, 8: 15}
"""Clusters of so many blocks that an H200 runs at once (2026-11-30)."""


@pytest.mark.parametrize(
    ("n", "k", "blocks"), [(7168, 16384, 4), (4096, 7168, 6), (7168, 2048, 4), (256, 64, 1), (256, 128, 2)]
)
def test_all_clusters_of_a_product_run_at_once(n: int, k: int, blocks: int) -> None:
    cut = weights.fitting(n, k, lambda cut: AT_ONCE[cut.blocks] * (cut.rows == 256))
    assert cut == Cut(256, blocks)
    assert n // 256 <= AT_ONCE[blocks]


@pytest.mark.parametrize("rows", [128, 256])
@pytest.mark.parametrize("blocks", range(1, 9))
def test_what_is_exchanged_fits_where_the_ring_was(rows: int, blocks: int) -> None:
    """Seven blocks did not: an illegal access on an H200."""
    cut = Cut(rows, blocks)
    pieces = [sum(piece % blocks == rank for piece in range(16)) for rank in range(blocks)]
    parts = 2 * rows * 16 * (blocks - 1) * max(pieces)
    assert cut.exchange == parts + rows // 64 * 8 * max(pieces) * 144
    assert cut.exchange <= cut.ring


def test_shapes_that_do_not_fit_are_refused() -> None:
    made = arranged(random_packed(256, 64))
    x, y = (torch.zeros(4, columns, dtype=torch.bfloat16) for columns in (64, 256))
    with pytest.raises(ValueError, match="current CUDA device"):
        weights.matmul(x, made, y)
    with pytest.raises(ValueError, match="matrix of bf16"):
        weights.matmul(x.float(), made, y)


def test_what_is_declared() -> None:
    packed = random_packed(256, 128)
    assert weights.declared_bytes(4, 256, 128) == packed.bytes + 2 * 4 * (256 + 128)
    assert weights.declared_flops(4, 256, 128) == 2 * 4 * 256 * 128


gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() != (9, 0),
    reason="no GPU of compute capability 9.0",
)


def every_product() -> Packed:
    """All 16 codes by all 256 scales: row r and block of 16 b have the scale of number r + 4 b."""
    codes = torch.arange(16, dtype=torch.uint8).repeat(256, 4)
    scales = (torch.arange(256).view(256, 1) + 64 * torch.arange(4)) % 256
    return Packed(nvfp4.join(codes).cuda(), scales.to(torch.uint8).cuda())


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("rows", [128, 256])
def test_every_code_by_every_scale_reaches_the_product_bit_for_bit(rows: int) -> None:
    """x picks one column a row; where a scale is NaN the whole row of W is, as zero times NaN is."""
    packed = every_product()
    x = torch.eye(64, dtype=torch.bfloat16, device="cuda")
    y = torch.zeros(64, 256, dtype=torch.bfloat16, device="cuda")
    weights.matmul(x, arranged(packed), y, Cut(rows, 1))
    wide = nvfp4.unpack(packed)
    poisoned = wide.isnan().any(1)
    assert 0 < int(poisoned.sum()) < 16
    assert y.t()[poisoned].isnan().all()
    assert torch.equal(y.t()[~poisoned].double(), wide[~poisoned].double())


@pytest.mark.gpu
@gpu
def test_every_code_by_every_scale_widens_bit_for_bit() -> None:
    packed = every_product()
    wide = torch.zeros(256, 64, dtype=torch.bfloat16, device="cuda")
    weights.widen(packed, wide)
    right = nvfp4.unpack(packed).bfloat16()
    assert torch.equal(wide.isnan(), right.isnan())
    number = ~right.isnan()
    assert torch.equal(wide.view(torch.int16)[number], right.view(torch.int16)[number])  # the sign of zero too


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("rows", [128, 256])
@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 7, 8])
def test_clusters_of_any_size_agree_with_fp64_and_with_themselves(rows: int, blocks: int) -> None:
    packed = nvfp4.pack(torch.randn(1024, 64 * 37, device="cuda"), scale=1.5)
    made = arranged(packed)
    for m in (1, 60, 128):
        x = torch.randn(m, 64 * 37, device="cuda").bfloat16()
        around = torch.full((m + 2, 1024 + 16), 7.0, dtype=torch.bfloat16, device="cuda")
        y = around[1:-1, 8:-8]
        results = []
        for _ in range(3):
            y.fill_(float("nan"))
            weights.matmul(x, made, y, Cut(rows, blocks))
            results.append(y.clone())
        right = weights.reference(x, packed)
        assert float((y.double() - right).norm() / right.norm()) <= 4e-3
        assert all(torch.equal(results[0], other) for other in results[1:])
        around[1:-1, 8:-8] = 7.0
        assert (around == 7.0).all()
