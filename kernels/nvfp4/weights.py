"""y = x·Wᵀ for x in bf16 and W in NVFP4 on Hopper, whose tensor cores know no FP4: widened in registers, or in memory before."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.arguments import int32, int64, pointer
from ..driver.launch import Shape, loaded, sm_count
from ..driver.tensor_map import tiled
from ..rung import Rung, Trial
from . import format as nvfp4
from .format import BLOCK, Packed

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
BATCH, ROWS, BLOCK_K, PANEL = 128, 64, 64, 256
"""Rows of x at most; rows and columns of W that are arranged together; rows of a panel of such blocks."""
CODES, SCALES = ROWS * BLOCK_K // 2, ROWS * BLOCK_K // BLOCK
"""Bytes of a block's codes, and of its scales."""
STAGES = {128: 10, 256: 8}
"""Of the ring, by the rows of a tile."""
_LARGEST_CLUSTER = 8


class Out(ctypes.Structure):
    """`Out` of weights.cu."""

    _fields_ = (
        ("y", ctypes.c_void_p),
        ("m", ctypes.c_int32),
        ("n", ctypes.c_int32),
        ("stride", ctypes.c_int32),
        ("scale", ctypes.c_float),
    )


@dataclass(frozen=True, slots=True)
class Arranged:
    """The same codes and scales in the order in which the kernel's threads take them.

    Args:
        blocks: uint8 [n / 256, k / 64, 4, 2304]: of each block of 64 × 64 first 16 bytes for each of 128 threads, their
            codes, then 2 bytes each, the scales of two rows.
        n, k: rows and columns of W.
        scale: of the whole matrix.
    """

    blocks: Tensor
    n: int
    k: int
    scale: float


@dataclass(frozen=True, slots=True)
class Cut:
    """How y is divided: `rows` of W a tile, 128 or 256, and `blocks` of a cluster that share the tile's k."""

    rows: int
    blocks: int

    @property
    def ring(self) -> int:
        """Bytes of the stages, without their barriers."""
        return STAGES[self.rows] * (BATCH * BLOCK_K * 2 + self.rows // ROWS * (CODES + SCALES))

    @property
    def exchange(self) -> int:
        """Bytes that lie where the ring was, once it is empty: parts of sums from other blocks, and rows of y on their way out."""
        most = -(-BATCH // 8 // self.blocks)
        return 2 * self.rows * most * (self.blocks - 1) * 16 + self.rows // ROWS * 8 * most * (ROWS + 8) * 2

    @property
    def shape(self) -> Shape:
        return Shape(2 * self.rows + 128, 1024 + self.ring + 16 * STAGES[self.rows], self.blocks, programmatic=True)


def arranged(packed: Packed) -> Arranged:
    """`packed` for `matmul`, byte for byte as large; done once for a matrix.

    Raises:
        ValueError: rows are no multiple of 256, or columns none of 64.
    """
    import torch

    n, k = packed.rows, packed.columns
    if n % PANEL or k % BLOCK_K:
        raise ValueError(f"W must have a multiple of {PANEL} rows and of {BLOCK_K} columns, not {n} × {k}")
    panels, across = n // PANEL, k // BLOCK_K
    # panel, group, warp, half of 16 rows, row of 8 | block, step, half of 16 columns, thread of 4, code of a pair
    codes = nvfp4.split(packed.codes).view(panels, 4, 4, 2, 8, across, 4, 2, 4, 2)
    pairs = codes.permute(7, 3, 0, 5, 1, 2, 4, 8, 6, 9).flatten(0, 1)
    bits = torch.tensor(_BITS, dtype=torch.int32, device=codes.device)
    put = (bits[pair, half][of_pair[..., half].int()] for pair, of_pair in enumerate(pairs) for half in range(2))
    words = reduce(add, put).reshape(panels, across, 4, CODES // 4).view(torch.uint8)
    scales = packed.scales.view(panels, 4, 4, 2, 8, across, 4).permute(0, 5, 1, 2, 4, 6, 3)
    blocks = torch.cat((words, scales.reshape(panels, across, 4, SCALES)), -1)
    return Arranged(blocks, n, k, packed.scale)


def _placed(code: int, half: int, turned: int, sign: int, *size: int) -> int:
    """The bits of a code, the sign's and those of its size from the highest on, each moved to where it is said in its half of
    a word of 32, and the word then turned left. As a signed number."""
    word = sum((code >> 3 - at & 1) << place + 16 * half for at, place in enumerate((sign, *size)))
    word = (word << turned | word >> 32 - turned) & 0xFFFFFFFF
    return word - (word >> 31 << 32)


_PLACES = ((0, 15, 8, 7, 6), (3, 15, 8, 7, 6), (6, 15, 8, 7, 6), (0, 1, 0, 4, 3))
_BITS = tuple(
    tuple(tuple(_placed(code, half, *places) for code in range(16)) for half in range(2)) for places in _PLACES
)
"""Of each pair, what a code puts into a word as its first or second: `tiny` of include/nvfp4/widen.cuh takes it from there."""


def matmul(x: Tensor, weights: Arranged, y: Tensor, cut: Cut | None = None) -> None:
    """Enqueue y = x·Wᵀ on PyTorch's current stream; sums in fp32.

    It may start before the kernel ahead of it on the stream has ended, and then reads `weights`, but not yet x.

    Args:
        x, y: bf16 [m, k] and [m, n] on the current CUDA device, m up to 128, rows contiguous and 16-byte aligned.
        cut: how y is divided; None takes `fitting`.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU is not of compute capability 9.0; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    check(x, weights, y)
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(x.device)))
    cut = cut or _fitting(weights.n, weights.k, torch.cuda.current_device())
    out = Out(y.data_ptr(), x.shape[0], weights.n, y.stride(0), weights.scale)
    arguments = (tiled(x, BATCH, BLOCK_K), pointer(weights.blocks), int32(weights.k // BLOCK_K), out)
    entry = loaded(SOURCE, f"nvfp4_matmul_{cut.rows}")
    entry.launch(weights.n // cut.rows * cut.blocks, cut.shape, arguments)


def fitting(n: int, k: int, at_once: Callable[[Cut], int]) -> Cut:
    """The cut that takes the fewest rounds of blocks along k; of equals the smallest cluster.

    Args:
        at_once: how many clusters of a cut run at the same time.
    """
    cuts = [Cut(rows, blocks) for rows in STAGES for blocks in range(1, min(_LARGEST_CLUSTER, k // BLOCK_K) + 1)]
    return min((cut for cut in cuts if at_once(cut)), key=lambda cut: _time(cut, n, k, at_once(cut)))


def _time(cut: Cut, n: int, k: int, at_once: int) -> int:
    """What the tensor cores take, in rows by blocks of k, and what it takes whatever the rows and blocks."""
    rounds, share = -(-(n // cut.rows) // at_once), -(-(k // BLOCK_K) // cut.blocks)
    return rounds * ((cut.rows + _FIXED_ROWS) * share + _FIXED)


_FIXED_ROWS, _FIXED = 32, 1500
"""The first from 7168 × 16384 on an H200, where tiles of 256 rows took 0.91 ms for sixteen and those of 128 1.00 (2026-11-30)."""


@cache
def _fitting(n: int, k: int, device: int) -> Cut:
    return fitting(n, k, lambda cut: _at_once(cut, device))


@cache
def _at_once(cut: Cut, device: int) -> int:
    if cut.blocks == 1:  # the driver counts none
        return sm_count()
    return loaded(SOURCE, f"nvfp4_matmul_{cut.rows}").clusters_at_once(cut.shape)


def widen(packed: Packed, wide: Tensor) -> None:
    """Enqueue wide = code × scale of every value, exact, on PyTorch's current stream; without the matrix's own scale.

    Args:
        wide: bf16 [n, k], contiguous, on the current CUDA device.

    Raises:
        ValueError: it is not so.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    if wide.dtype != torch.bfloat16 or tuple(wide.shape) != (packed.rows, packed.columns) or not wide.is_contiguous():
        raise ValueError(
            f"wide must be bf16 {(packed.rows, packed.columns)}, contiguous, not {wide.dtype} {wide.shape}"
        )
    count = wide.numel() // 8
    arguments = pointer(packed.codes), pointer(packed.scales), pointer(wide), int64(count)
    loaded(SOURCE, "nvfp4_widen").launch(-(-count // (_WIDEN_AT_ONCE * _WIDEN.block)), _WIDEN, arguments)


_WIDEN_AT_ONCE = 4
_WIDEN = Shape(256)


def reference(x: Tensor, packed: Packed) -> Tensor:
    """x·Wᵀ in fp64, on the device of `x`."""
    return x.double() @ nvfp4.unpack(packed).double().t() * packed.scale


def declared_flops(m: int, n: int, k: int) -> int:
    return 2 * m * n * k


def declared_bytes(m: int, n: int, k: int) -> int:
    """x and y in bf16, codes and scales, once each."""
    return 2 * (m * k + m * n) + n * k // 2 + n * k // BLOCK


def check(x: Tensor, weights: Arranged, y: Tensor) -> None:
    """What `matmul` says of its arguments.

    Raises:
        ValueError: dtype, layout, shape or device is not so.
    """
    import torch

    for name, tensor in (("x", x), ("y", y)):
        if tensor.dtype != torch.bfloat16 or tensor.dim() != 2:
            raise ValueError(f"{name} must be a matrix of bf16, not {tensor.dtype} {tuple(tensor.shape)}")
        if not tensor.is_cuda or tensor.device.index != torch.cuda.current_device():
            raise ValueError(f"{name} must be on PyTorch's current CUDA device, not on {tensor.device}")
        if tensor.stride(1) != 1 or tensor.stride(0) % 8 or tensor.data_ptr() % 16:
            raise ValueError(f"rows of {name} must be contiguous and 16-byte aligned, not {tensor.stride()}")
    m = x.shape[0]
    if not 0 < m <= BATCH or x.shape[1] != weights.k or tuple(y.shape) != (m, weights.n):
        raise ValueError(
            f"x {tuple(x.shape)}, W {(weights.n, weights.k)} and y {tuple(y.shape)} do not fit, or x has over {BATCH} rows"
        )


def _contract(rows: int) -> Contract:
    """Copies by the copy engine alone; `HGMMA` out of registers, of which a block of 64 × 64 takes four, and no load of weights
    but from shared memory."""
    return Contract(
        f"nvfp4_matmul_{rows}",
        {
            r"\bHGMMA\.64x128x16\.F32\.BF16 R\d+, R\d+, gdesc": 4,
            r"\bHGMMA\b": 4,
            r"\bUTMALDG\.2D\b": 2,  # what is ahead of the first wait, and the rest
            r"\bUBLKCP\.S\.G\b": 2,
            r"\bF2FP\.F16\.E4M3\.UNPACK_B\b": 1,
            r"\bSHFL\.IDX\b": 4,  # of the scales, a step a thread
            r"\bHMUL2\.BF16_V2\b": 17,
            r"\bHMUL2\.BF16_V2\b.*\.H[01]_H[01]\b": 16,  # a scale is taken out of its pair on the way
            r"\bSHF\.R\.W\.U32\b": 8,
            r"\bSTSM\.16\.MT88\.2\b": 16,
            r"\bUSETMAXREG\.DEALLOC\b": 1,
            r"\bUSETMAXREG\.TRY_ALLOC\b": 1,
            r"\bPREEXIT\b": 1,
        },
        must=(r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b", r"\bUCGABAR_ARV\b", r"\bACQBULK\b"),
        must_not=(r"\bHMMA\b", r"\bLDGSTS\b", r"\bLDG\b", r"\bLDL\b", r"\bSTL\b"),
        max_registers=168 if rows == 128 else 96,  # at the launch: setmaxnreg moves them
        static_shared=1024,  # what Hopper keeps for itself
    )


def _random(seed: int) -> tuple[Tensor, Packed]:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = 128 - 37 * (seed - 1), 256 * (1 + seed), 64 * (3 + 5 * seed)
    x = torch.randn(m, k, generator=source, device="cuda").bfloat16()
    return x, nvfp4.pack(torch.randn(n, k, generator=source, device="cuda"), scale=0.75)


def _trial(seed: int, rows: int) -> Trial:
    import torch

    x, packed = _random(seed)
    y = torch.full((x.shape[0], packed.rows), float("nan"), dtype=torch.bfloat16, device="cuda")
    matmul(x, arranged(packed), y, Cut(rows, 1 + seed))
    return Trial(y, reference(x, packed), 4e-3)


def _trial_of_widening(seed: int) -> Trial:
    import torch

    _, packed = _random(seed)
    wide = torch.full((packed.rows, packed.columns), float("nan"), dtype=torch.bfloat16, device="cuda")
    widen(packed, wide)
    return Trial(wide, nvfp4.unpack(packed), 0.0)


RUNGS = (
    *(
        Rung(
            "nvfp4_matmul",
            f"{rows}_rows",
            SOURCE,
            Cut(rows, 1).shape,
            _contract(rows),
            "90a",
            partial(_trial, rows=rows),
        )
        for rows in STAGES
    ),
    Rung(
        "nvfp4_widen",
        "to_bf16",
        SOURCE,
        _WIDEN,
        Contract(
            "nvfp4_widen",
            {r"\bSTG\.E\.128\b": 4, r"\bLDG\.E\.CONSTANT\b": 4, r"\bLDG\.E\.U8\.CONSTANT\b": 4},
            (),
            (r"\bLDL\b", r"\bSTL\b"),
            40,
            1024,
        ),
        "90a",
        _trial_of_widening,
    ),
)
