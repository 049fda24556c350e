"""y = A·Bᵀ with both in NVFP4 on Blackwell, in two schedules. Compiled for sm_100a and held to its contract, never run."""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...errors import EnvironmentLacks
from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, loaded
from ..driver.tensor_map import tiled
from ..gemm import ladder
from ..rung import Rung, Trial
from . import format as nvfp4
from .format import Packed

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
Schedule = Literal["in_turn", "with_roles"]
TILE, BLOCK_K, STEP_K = 128, 256, 64
"""Rows of A, and of B, a tile; codes along k in a stage, and in one instruction."""
STAGES: dict[Schedule, int] = {"in_turn": 1, "with_roles": 4}
_STAGE = 2 * TILE * BLOCK_K // 2 + 2 * TILE * BLOCK_K // nvfp4.BLOCK
SHAPES: dict[Schedule, Shape] = {way: Shape(192, 1024 + stages * (_STAGE + 16) + 128) for way, stages in STAGES.items()}
_ELEMENT = 2
"""Bytes of the elements that the tensor maps count: four codes."""


class Operands(ctypes.Structure):
    """`Operands` of blackwell.cu."""

    _fields_ = (
        ("scales_a", ctypes.c_void_p),
        ("scales_b", ctypes.c_void_p),
        ("blocks", ctypes.c_int32),
        ("scale", ctypes.c_float),
    )


def matmul(a: Packed, b: Packed, y: Tensor, schedule: Schedule = "with_roles") -> None:
    """Enqueue y = a·bᵀ on PyTorch's current stream; sums in fp32.

    Args:
        a, b: m and n rows, each a multiple of 128, of k values, a multiple of 256, on the current CUDA device.
        y: bf16 [m, n], rows contiguous and 16-byte aligned.

    Raises:
        EnvironmentLacks: the GPU is not of compute capability 10.0; nothing else is run instead.
        ValueError: shapes, or y's dtype, are not as above.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    require(*torch.cuda.get_device_capability())
    _check(a, b, y)
    m, n = y.shape
    scales = tuple(scale_tiles(one.scales) for one in (a, b))
    maps = tuple(tiled(one.codes.view(torch.bfloat16), TILE, BLOCK_K // 2 // _ELEMENT) for one in (a, b))
    operands = Operands(scales[0].data_ptr(), scales[1].data_ptr(), a.columns // BLOCK_K, a.scale * b.scale)
    out = ladder.Output(y.data_ptr(), m, n, y.stride(0), None, 0)
    entry = loaded(SOURCE, f"nvfp4_blackwell_{schedule}")
    entry.launch((m // TILE, n // TILE), SHAPES[schedule], (*maps, operands, out))


def scale_tiles(scales: Tensor) -> Tensor:
    """Scales [n, k / 16] in tiles of 128 rows by 64 of k, as tensor memory takes them: [n / 128, k / 64, 32, 4, 4], row r of a tile
    in line r % 32 at r / 32."""
    n, columns = scales.shape
    return scales.view(n // TILE, 4, 32, columns // 4, 4).permute(0, 3, 2, 1, 4).contiguous()


def require(major: int, minor: int) -> None:
    """Nothing on a GPU that has the instructions.

    Raises:
        EnvironmentLacks: it has not.
    """
    if not RUNGS[0].runs_on(architecture(major, minor)):
        raise EnvironmentLacks(
            f"unsupported: needs compute capability 10.x for products of NVFP4, and this GPU is of {major}.{minor}",
            "run it on a Blackwell GPU of a data centre; Hopper's analogue is the pair ch09:cute_dsl_nvfp4_gemm",
        )


def reference(a: Packed, b: Packed) -> Tensor:
    """a·bᵀ in fp64."""
    return nvfp4.unpack(a).double() @ nvfp4.unpack(b).double().t() * (a.scale * b.scale)


def _check(a: Packed, b: Packed, y: Tensor) -> None:
    import torch

    if a.columns != b.columns or tuple(y.shape) != (a.rows, b.rows):
        raise ValueError(
            f"a {(a.rows, a.columns)}, b {(b.rows, b.columns)} and y {tuple(y.shape)} do not fit: y = a·bᵀ"
        )
    if a.rows % TILE or b.rows % TILE or a.columns % BLOCK_K:
        raise ValueError(
            f"rows must be a multiple of {TILE} and columns of {BLOCK_K}, not {(a.rows, b.rows, a.columns)}"
        )
    if y.dtype != torch.bfloat16 or y.stride(1) != 1 or y.stride(0) % 8 or y.data_ptr() % 16:
        raise ValueError(f"y must be of bf16 with contiguous, 16-byte aligned rows, not {y.dtype} {y.stride()}")


def _contract(schedule: Schedule) -> Contract:
    """Products by the instruction for four-bit codes with a scale for 16, and both operands' scales copied for each."""
    steps = BLOCK_K // STEP_K
    return Contract(
        f"nvfp4_blackwell_{schedule}",
        {
            r"\bUTCOMMA\.4X\b": steps,
            r"\bUTCCP\.T\.S\.4x32dp128bit\b": 2 * steps,
            r"\bUTMALDG\.2D\b": 2,
            r"\bUBLKCP\.S\.G\b": 2,
            r"\bUTCBAR\b": 2,
            r"\bLDTM\.x32\b": 1,
            r"\bSYNCS\.EXCH\.64\b": 2 * STAGES[schedule] + 1,
        },
        must=(r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b", r"\bUTCATOMSWS\.FIND_AND_SET\b"),
        must_not=(r"\bHMMA\b", r"\bHGMMA\b", r"\bUTCHMMA\b", r"\bLDGSTS\b", r"\bLDL\b", r"\bSTL\b"),
        max_registers=64,
    )


def _trial(seed: int, schedule: Schedule) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = TILE * seed, TILE * (1 + seed), BLOCK_K * (2 + 3 * seed)
    a, b = (nvfp4.pack(torch.randn(rows, k, generator=source, device="cuda")) for rows in (m, n))
    y = torch.full((m, n), float("nan"), dtype=torch.bfloat16, device="cuda")
    matmul(a, b, y, schedule)
    return Trial(y, reference(a, b), 4e-3)


RUNGS = tuple(
    Rung("nvfp4_by_nvfp4", way, SOURCE, shape, _contract(way), "100a", partial(_trial, schedule=way))
    for way, shape in SHAPES.items()
)
