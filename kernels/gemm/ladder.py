"""C = gelu(A·Bᵀ + bias) in bf16 or fp16 with fp32 sums, in seven CUDA kernels, each one idea further (docs/gemm.md).

They agree in arguments and in what they compute. Any m, n and k that the copy engine can describe: rows 16-byte aligned, k a
multiple of 8. Bias and GELU (the tanh form) may each be left out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..building.contract import Contract
from ..driver.arguments import Argument, Cell
from ..driver.launch import Shape, int32, int64, kernel, pointer, sm_count
from ..driver.tensor_map import tiled
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
DTYPES = ("bf16", "fp16")
BLOCK_K = 64
CLUSTER = 2
PIECE = 64
"""Columns, and rows, that one store of the copy engine writes."""
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


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel of a source, for one width of tiles.

    Args:
        stem: of the source; `entry` of the kernel, without the dtype.
        columns: of a tile of C; rows are 128.
        stages: blocks of A and B that shared memory holds.
        shape: how its blocks are launched.
        loads: "registers" where threads copy by pointers, else by tensor maps; "cluster" where two blocks share B.
        persistent: blocks take tile after tile.
        stores: C goes through the copy engine.
    """

    stem: str
    entry: str
    columns: int
    shape: Shape
    loads: Literal["threads", "block", "cluster"]
    persistent: bool = False
    stores: bool = False

    rows = 128

    @property
    def source(self) -> Path:
        return FOLDER / f"{self.stem}.cu"


def _shared(columns: int, stages: int, pieces: int = 0) -> int:
    """Bytes of a ring of tiles of 128 rows and so many columns, and of pieces on their way out, wherever they begin."""
    ring = stages * (128 + columns) * BLOCK_K * _ELEMENT + _BARRIERS
    return _ALIGNED + -(-ring // _ALIGNED) * _ALIGNED + pieces * PIECE * PIECE * _ELEMENT


_SPECIALIZED = 384
"""A producer group and two consumer groups of 128 threads."""
STEPS = {
    step.entry.removeprefix("gemm_"): step
    for step in (
        Step("01_mma_sync", "gemm_mma_sync", 256, Shape(256, 3 * 48 * _KIB), "threads"),
        Step("02_wgmma", "gemm_wgmma", 128, Shape(128, _shared(128, 1)), "block"),
        Step("03_ring", "gemm_ring", 128, Shape(128, _shared(128, 4)), "block"),
        Step("04_warp_specialized", "gemm_warp_specialized", 128, Shape(_SPECIALIZED, _shared(128, 4)), "block"),
        Step("05_persistent", "gemm_persistent", 256, Shape(_SPECIALIZED, _shared(256, 4)), "block", persistent=True),
        Step(
            "06_multicast",
            "gemm_multicast",
            256,
            Shape(_SPECIALIZED, _shared(256, 4), CLUSTER),
            "cluster",
            persistent=True,
        ),
        *(
            Step(
                "07_tma_store",
                f"gemm_tma_store_{columns}",
                columns,
                Shape(_SPECIALIZED, _shared(columns, 4, pieces=4), CLUSTER),
                "cluster",
                persistent=True,
                stores=True,
            )
            for columns in (256, 192, 128)
        ),
    )
}
NAMES = tuple(dict.fromkeys(step.stem for step in STEPS.values()))
"""The rungs from the first to the last."""


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
        a, b, c: bf16 or fp16 [m, k], [n, k], [m, n] on one CUDA device, each row contiguous and 16-byte aligned; k a
            multiple of 8, any m and n. `c` overlaps neither.
        bias: [n] of the same dtype, or none.
        rung: one of `NAMES`; of the last, the width of tiles is chosen by the sizes.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks, AispError: as `driver.launch.kernel`; the GPU is not of compute capability 9.0.
    """
    _check(a, b, c, bias)
    m, n = c.shape
    run(fitting(rung, m, n, sm_count()), a, b, c, bias, gelu)


def fitting(rung: str, m: int, n: int, multiprocessors: int) -> Step:
    """The step of a rung whose rounds of tiles, each as long as it is wide, take least."""
    steps = [step for step in STEPS.values() if step.stem == rung]
    return min(steps, key=lambda step: _rounds(step, m, n, multiprocessors) * (step.columns + _FIXED_COLUMNS))


_FIXED_COLUMNS = 24
"""What a tile takes whatever its width, in columns: A is read all the same, and the sums are stored."""


def run(step: Step, a: Tensor, b: Tensor, c: Tensor, bias: Tensor | None = None, gelu: bool = False) -> None:
    """`matmul` by one step, unchecked."""
    import torch

    name = {torch.bfloat16: "bf16", torch.float16: "fp16"}[a.dtype]
    found = kernel(step.source, f"{step.entry}_{name}")
    found.launch(_grid(step, *c.shape), step.shape, _arguments(step, a, b, c, bias, gelu))


def declared_flops(m: int, n: int, k: int) -> int:
    return 2 * m * n * k


def declared_bytes(m: int, n: int, k: int) -> int:
    """A, B and C once each."""
    return _ELEMENT * (m * k + n * k + m * n)


def _tiles(step: Step, m: int, n: int) -> tuple[int, int]:
    """Rows and columns of tiles; where two blocks share B, of clusters of tiles."""
    height = step.rows * (CLUSTER if step.loads == "cluster" else 1)
    return -(-m // height), -(-n // step.columns)


def _rounds(step: Step, m: int, n: int, multiprocessors: int) -> int:
    rows, columns = _tiles(step, m, n)
    at_once = multiprocessors // (CLUSTER if step.loads == "cluster" else 1)
    return -(-rows * columns // at_once)


def _grid(step: Step, m: int, n: int) -> int | tuple[int, int]:
    """Of persistent blocks no more than the last round needs: the rest of the chip may as well stay cool."""
    rows, columns = _tiles(step, m, n)
    if not step.persistent:
        return rows, columns
    each = CLUSTER if step.loads == "cluster" else 1
    return -(-rows * columns // _rounds(step, m, n, sm_count())) * each


def _arguments(
    step: Step, a: Tensor, b: Tensor, c: Tensor, bias: Tensor | None, gelu: bool
) -> Sequence[Argument | Cell]:
    out = Output(c.data_ptr(), *c.shape, c.stride(0), None if bias is None else bias.data_ptr(), gelu)
    k = int32(a.shape[1])
    if step.loads == "threads":
        return pointer(a), pointer(b), int64(a.stride(0)), int64(b.stride(0)), k, out
    columns = step.columns // (CLUSTER if step.loads == "cluster" else 1)
    maps = [tiled(a, step.rows, BLOCK_K), tiled(b, columns, BLOCK_K)]
    if step.stores:
        maps.append(tiled(c, PIECE, PIECE))
    return *maps, k, out


def _check(a: Tensor, b: Tensor, c: Tensor, bias: Tensor | None) -> None:
    import torch

    for name, tensor in (("a", a), ("b", b), ("c", c)):
        if tensor.dtype not in (torch.bfloat16, torch.float16) or tensor.dim() != 2 or tensor.dtype != a.dtype:
            raise ValueError(f"{name} must be a matrix of bf16 or fp16, of one dtype with a, not {tensor.dtype}")
        if not tensor.is_cuda or tensor.device != a.device:
            raise ValueError(f"{name} must be on one CUDA device with a, not on {tensor.device}")
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
    entry, kind = f"{step.entry}_{dtype}", r"\.BF16" if dtype == "bf16" else r"(?!\.BF16)"
    if step.loads == "threads":
        counts = {rf"\bHMMA\.16816\.F32{kind}": 128, r"\bLDSM\.16\.M88\.4\b": 32}
        copies = (r"\bLDGSTS\.E\.BYPASS\.128\b",)  # how many depends on how the compiler unrolls the first stages
        return Contract(entry, counts, copies, ("HGMMA", "UTMALDG", r"\bSTL\b"), 255, _ALIGNED)
    # of four steps of 16 along k, two rows of tiles where one group holds both
    groups = 2 if step.shape.block == 128 else 1
    specialized, cluster = step.shape.block == _SPECIALIZED, step.loads == "cluster"
    return Contract(
        entry,
        {
            rf"\bHGMMA\.64x{step.columns}x16\.F32{kind}": 4 * groups,
            r"\bHGMMA\b": 4 * groups,
            r"\bUTMALDG\.2D(?!\.MULTICAST)": 1 if cluster else 4 if step.stem == "03_ring" else 2,
            r"\bUTMALDG\.2D\.MULTICAST\b": int(cluster),
            r"\bUSETMAXREG\.DEALLOC\b": int(specialized),
            r"\bUSETMAXREG\.TRY_ALLOC\b": int(specialized),
            r"\bUTMASTG\.2D\b": step.columns // PIECE * step.stores,
            r"\bSTSM\.16\.M88\.4\b": step.columns // PIECE * 4 * step.stores,
            r"\bUCGABAR_ARV\b": 2 * cluster,
        },
        must=(r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b",),
        must_not=(r"\bHMMA\b", r"\bLDGSTS\b", r"\bLDL\b", r"\bSTL\b", *((r"\bSTG\b",) if step.stores else ())),
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
