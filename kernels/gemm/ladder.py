"""C = gelu(A·Bᵀ + bias) in bf16 or fp16 with fp32 sums, in seven CUDA kernels, each one idea further (docs/gemm.md).

They agree in arguments and in what they compute. Any m, n and k that the copy engine can describe: rows 16-byte aligned, k a
multiple of 8. Bias and GELU (the tanh form) may each be left out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.arguments import Argument, Cell
from ..driver.launch import Shape, int32, int64, loaded, pointer, sm_count
from ..driver.tensor_map import tiled
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
DTYPES = ("bf16", "fp16")
BLOCK_K, ROWS, CLUSTER, GROUP = 64, 128, 2, 128
NARROW = PIECE = GROUP_ROWS = 64
"""Columns of a narrow tile; columns, and rows, that one store of the copy engine writes; rows of a group."""
_ELEMENT, _KIB, _ALIGNED = 2, 1 << 10, 1 << 10
_BARRIERS = 128
"""Bytes, at most, of a ring's barriers."""


class Output(ctypes.Structure):
    """`gemm::Output` of include/gemm/epilogue.cuh."""

    _fields_ = (
        ("c", ctypes.c_void_p),
        ("m", ctypes.c_int32),
        ("n", ctypes.c_int32),
        ("stride", ctypes.c_int32),
        ("bias", ctypes.c_void_p),
        ("gelu", ctypes.c_int32),
    )


class TilingCell(ctypes.Structure):
    """`Tiling` of 07_tma_store.cu."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("width", "rows", "columns", "whole_rows", "narrow"))


@dataclass(frozen=True, slots=True)
class Tiling:
    """How C is cut into tiles, or clusters of tiles.

    Args:
        width: columns of a tile.
        rows, columns: of tiles, without the narrow column.
        whole_rows: `rows`, or one less, where the last has so few rows of C that one group of four has something to do.
        narrow: 1 where a column of tiles of 64 columns holds the rest.
    """

    width: int
    rows: int
    columns: int
    whole_rows: int
    narrow: int

    @property
    def count(self) -> int:
        return self.rows * (self.columns + self.narrow)

    def time(self, at_once: int, fixed: int) -> int:
        """The longest of `at_once` that take tiles in turn, in columns; `fixed` is what a tile takes whatever its width."""
        whole = self.whole_rows * self.columns
        cheap = [self.width // 2 + fixed] * ((self.rows - self.whole_rows) * self.columns)
        cheap += [NARROW + fixed] * (self.rows * self.narrow)
        taken = [-(-(whole - place) // at_once) * (self.width + fixed) for place in range(at_once)]
        for index, cost in enumerate(cheap, whole):
            taken[index % at_once] += cost
        return max(taken)


@dataclass(frozen=True, slots=True)
class Step:
    """One source of the ladder.

    Args:
        stem: of the source.
        shape: how its blocks are launched.
        loads: "threads" where they copy by pointers, "block" where the copy engine does, "cluster" where two blocks share.
        widths: of tiles, those that it can do.
        persistent: blocks take tile after tile.
        stores: C goes through the copy engine.
    """

    stem: str
    shape: Shape
    loads: Literal["threads", "block", "cluster"]
    widths: tuple[int, ...]
    persistent: bool = False
    stores: bool = False

    @property
    def source(self) -> Path:
        return FOLDER / f"{self.stem}.cu"

    @property
    def name(self) -> str:
        return self.stem[3:]

    @property
    def blocks_together(self) -> int:
        return CLUSTER if self.loads == "cluster" else 1


def shared_bytes(columns: int, stages: int, pieces: int = 0) -> int:
    """Bytes of a ring of tiles of 128 rows and so many columns, and of pieces on their way out, wherever they begin."""
    ring = stages * (128 + columns) * BLOCK_K * _ELEMENT + _BARRIERS
    return _ALIGNED + -(-ring // _ALIGNED) * _ALIGNED + pieces * PIECE * PIECE * _ELEMENT


_SPECIALIZED = 3 * GROUP
"""A producer group and two consumer groups of 128 threads."""
WIDTHS = (256, 224, 208, 192, 160, 128)
STEPS = {
    step.stem: step
    for step in (
        Step("01_mma_sync", Shape(256, 3 * 48 * _KIB), "threads", (256,)),
        Step("02_wgmma", Shape(128, shared_bytes(128, 1)), "block", (128,)),
        Step("03_ring", Shape(128, shared_bytes(128, 4)), "block", (128,)),
        Step("04_warp_specialized", Shape(_SPECIALIZED, shared_bytes(128, 4)), "block", (128,)),
        Step("05_persistent", Shape(_SPECIALIZED, shared_bytes(256, 4)), "block", (256,), persistent=True),
        Step("06_multicast", Shape(_SPECIALIZED, shared_bytes(256, 4), CLUSTER), "cluster", (256,), persistent=True),
        Step(
            "07_tma_store",
            Shape(_SPECIALIZED, shared_bytes(256, 4, pieces=4), CLUSTER),
            "cluster",
            WIDTHS,
            persistent=True,
            stores=True,
        ),
    )
}
"""By name, from the first to the last."""
NAMES = tuple(STEPS)


def reference(a: Tensor, b: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """gelu(A·Bᵀ + bias) in fp64, on the device of `a`."""
    import torch

    wide = a.double() @ b.double().t()
    if bias is not None:
        wide += bias.double()
    return torch.nn.functional.gelu(wide, approximate="tanh") if gelu else wide


def matmul(
    a: Tensor, b: Tensor, c: Tensor, bias: Tensor | None = None, gelu: bool = False, rung: str = NAMES[-1]
) -> None:
    """Enqueue c = gelu(a·bᵀ + bias) on PyTorch's current stream.

    Args:
        a, b, c: bf16 or fp16 [m, k], [n, k], [m, n] on the current CUDA device, each row contiguous and 16-byte aligned; k
            a multiple of 8, any m and n. `c` overlaps neither.
        bias: [n] of the same dtype, or none.
        rung: one of `NAMES`; of the last, the width of tiles is chosen by the sizes.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU is not of compute capability 9.0; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    check(a, b, c, bias)
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(a.device)))
    run(STEPS[rung], a, b, c, bias, gelu)


def cut(step: Step, width: int, m: int, n: int) -> Tiling:
    """The tiling of an m × n result by tiles of this width."""
    height = ROWS * step.blocks_together
    rows, columns = -(-m // height), -(-n // width)
    if not step.stores:
        return Tiling(width, rows, columns, rows, 0)
    low, narrow = m - (rows - 1) * height <= GROUP_ROWS, n - (columns - 1) * width <= NARROW
    return Tiling(width, rows, columns - narrow, rows - low, int(narrow))


@lru_cache(maxsize=4096)
def fitting(step: Step, m: int, n: int, multiprocessors: int) -> Tiling:
    """The tiling that takes least time; of equals the widest."""
    at_once = multiprocessors // step.blocks_together
    return min((cut(step, width, m, n) for width in step.widths), key=lambda one: one.time(at_once, _FIXED_COLUMNS))


_FIXED_COLUMNS = 32
"""What a tile takes whatever its width, in columns: so that the fastest widths of six sizes on an H200 come out (2026-11-30)."""


def run(
    step: Step,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    bias: Tensor | None = None,
    gelu: bool = False,
    width: int | None = None,
) -> None:
    """`matmul` by one step, unchecked; by tiles of the width that fits, or of this one."""
    import torch

    m, n = c.shape
    tiling = cut(step, width, m, n) if width else fitting(step, m, n, sm_count())
    name = f"gemm_{step.name}_{'bf16' if a.dtype == torch.bfloat16 else 'fp16'}"
    out = Output(c.data_ptr(), m, n, c.stride(0), None if bias is None else bias.data_ptr(), gelu)
    arguments = (*_operands(step, tiling, a, b, c), int32(a.shape[1]), *_tiles_of(step, tiling), out)
    entry = loaded(step.source, name)
    entry.launch(_grid(step, tiling), step.shape, arguments)


def declared_flops(m: int, n: int, k: int) -> int:
    return 2 * m * n * k


def declared_bytes(m: int, n: int, k: int) -> int:
    """A, B and C once each."""
    return _ELEMENT * (m * k + n * k + m * n)


def _grid(step: Step, tiling: Tiling) -> int | tuple[int, int]:
    """Of persistent blocks no more than the rounds need: the rest of the chip may as well stay cool."""
    if not step.persistent:
        return tiling.rows, tiling.columns
    at_once = sm_count() // step.blocks_together
    if tiling.whole_rows == tiling.rows and not tiling.narrow:
        at_once = -(-tiling.count // -(-tiling.count // at_once))
    return min(at_once, tiling.count) * step.blocks_together


def _tiles_of(step: Step, tiling: Tiling) -> Sequence[Cell]:
    """What the kernel is told of its tiles, where it has a choice."""
    return (TilingCell(*astuple(tiling)),) if step.stores else ()


def _operands(step: Step, tiling: Tiling, a: Tensor, b: Tensor, c: Tensor) -> Sequence[Argument | Cell]:
    """A box of the operand that a cluster shares is a half: each block asks for one."""
    if step.loads == "threads":
        return pointer(a), pointer(b), int64(a.stride(0)), int64(b.stride(0))
    maps = tiled(a, ROWS, BLOCK_K), tiled(b, tiling.width // step.blocks_together, BLOCK_K)
    return (*maps, tiled(c, PIECE, PIECE)) if step.stores else maps


def check(a: Tensor, b: Tensor, c: Tensor, bias: Tensor | None = None) -> None:
    """What `matmul` says of its arguments.

    Raises:
        ValueError: dtype, layout, shape or device is not so.
    """
    import torch

    for name, tensor in (("a", a), ("b", b), ("c", c)):
        if tensor.dtype not in (torch.bfloat16, torch.float16) or tensor.dim() != 2 or tensor.dtype != a.dtype:
            raise ValueError(f"{name} must be a matrix of bf16 or fp16, of one dtype with a, not {tensor.dtype}")
        if not tensor.is_cuda or tensor.device.index != torch.cuda.current_device():
            raise ValueError(f"{name} must be on PyTorch's current CUDA device, not on {tensor.device}")
        if tensor.stride(1) != 1 or tensor.stride(0) % 8 or tensor.data_ptr() % 16:
            raise ValueError(f"rows of {name} must be contiguous and 16-byte aligned, not {tensor.stride()}")
    (m, k), n = a.shape, b.shape[0]
    if b.shape[1] != k or tuple(c.shape) != (m, n) or not a.numel() or not b.numel() or k % 8:
        raise ValueError(
            f"a {tuple(a.shape)}, b {tuple(b.shape)} and c {tuple(c.shape)} do not fit, or k is no multiple of 8"
        )
    if bias is not None and (bias.shape != (n,) or bias.dtype != a.dtype or not bias.is_contiguous()):
        raise ValueError(f"bias must be [{n}] of {a.dtype}, not {tuple(bias.shape)} of {bias.dtype}")


def _contract(step: Step, dtype: str) -> Contract:
    """What a rung is, in its machine code: each new idea is an instruction that those below do not have."""
    entry, kind = f"gemm_{step.name}_{dtype}", r"\.BF16" if dtype == "bf16" else r"(?!\.BF16)"
    if step.loads == "threads":
        counts = {rf"\bHMMA\.16816\.F32{kind}": 128, r"\bLDSM\.16\.M88\.4\b": 40}
        copies = (r"\bLDGSTS\.E\.BYPASS\b",)  # how many depends on how the compiler unrolls the first stages
        return Contract(entry, counts, copies, ("HGMMA", "UTMALDG", r"\bSTL\b"), 255, _ALIGNED)
    # of four steps of 16 along k, two rows of tiles where one group holds both
    widths, groups = (*step.widths, NARROW) if step.stores else step.widths, 2 if step.shape.block == GROUP else 1
    specialized, cluster = step.shape.block == _SPECIALIZED, step.loads == "cluster"
    pieces = sum(-(-width // PIECE) for width in widths) * step.stores
    loads = 4 if step.name == "ring" else 2  # the ring's are asked for in two places
    return Contract(
        entry,
        {
            **{rf"\bHGMMA\.64x{width}x16\.F32{kind}": 4 * groups for width in widths},
            r"\bHGMMA\b": 4 * groups * len(widths),
            r"\bUTMALDG\.2D(?!\.MULTICAST)": 1 if cluster else loads,
            r"\bUTMALDG\.2D\.MULTICAST\b": int(cluster),
            r"\bUSETMAXREG\.DEALLOC\b": int(specialized),
            r"\bUSETMAXREG\.TRY_ALLOC\b": int(specialized),
            r"\bUTMASTG\.2D\b": pieces,
            r"\bSTSM\.16\.M88\.4\b": 4 * pieces,
            r"\bUCGABAR_ARV\b": 2 * cluster,
        },
        must=(r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b",),
        must_not=(
            r"\bHMMA\b",
            r"\bLDGSTS\b",
            r"\bLDL\b",
            r"\bSTL\b",
            *((r"\bSTG\.E\b(?!\.U16)",) if step.stores else ()),
        ),
        max_registers=168 if specialized else 192,
        static_shared=_ALIGNED,  # what Hopper keeps for itself
    )


def _trial(seed: int, step: Step, dtype: str) -> Trial:
    import torch

    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = 200 + 37 * seed, 300 + 101 * seed, 8 * (20 + 7 * seed)
    a, b = (torch.randn(rows, k, generator=source, device="cuda").to(kind) for rows in (m, n))
    bias = torch.randn(n, generator=source, device="cuda").to(kind)
    c = torch.full((m, -(-n // 8) * 8), float("nan"), dtype=kind, device="cuda")[:, :n]
    run(step, a, b, c, bias, gelu=True)
    return Trial(c, reference(a, b, bias, gelu=True), 4e-3)


RUNGS = tuple(
    Rung(
        "gemm",
        f"{name}_{dtype}",
        step.source,
        step.shape,
        _contract(step, dtype),
        "90a",
        partial(_trial, step=step, dtype=dtype),
    )
    for name, step in STEPS.items()
    for dtype in DTYPES
)
