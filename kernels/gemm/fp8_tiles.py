"""C = scale · A·Bᵀ on Hopper with A and B in fp8 (e4m3) and C in bf16: the GEMM ladder's last rung with tiles of one width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, fp32, int32, loaded, sm_count
from ..driver.tensor_map import tiled
from ..rung import Rung, Trial
from . import ladder

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
COLUMNS = 256
SHAPE = Shape(3 * ladder.GROUP, ladder.shared_bytes(COLUMNS, 4, pieces=4), ladder.CLUSTER)


def matmul(a: Tensor, b: Tensor, c: Tensor, scale: float = 1.0) -> None:
    """Enqueue c = scale · a·bᵀ on PyTorch's current stream. The tensor cores keep fewer bits of the sums than fp32 has, as
    PyTorch's `use_fast_accum` does.

    Args:
        a, b: float8_e4m3fn [m, k], [n, k] on the current CUDA device, rows contiguous and 16-byte aligned, k a multiple of 16.
        c: bf16 [m, n], likewise, n a multiple of 8.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU is not of compute capability 9.0; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    pairs = check(a, b, c)
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(a.device)))
    (m, n), step = c.shape, ladder.STEPS["07_tma_store"]
    tiles = -(-m // (ladder.ROWS * ladder.CLUSTER)), -(-n // COLUMNS)
    maps = tiled(pairs[0], ladder.ROWS, ladder.BLOCK_K), tiled(pairs[1], COLUMNS // ladder.CLUSTER, ladder.BLOCK_K)
    blocks = min(sm_count() // ladder.CLUSTER, tiles[0] * tiles[1]) * step.blocks_together
    out = tiled(c, ladder.PIECE, ladder.PIECE)
    sizes = (pairs[0].shape[1], *tiles)
    loaded(SOURCE, CONTRACT.kernel).launch(blocks, SHAPE, (*maps, out, *map(int32, sizes), fp32(scale)))


def check(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """a and b as matrices of bf16, two e4m3 an element, if they are as `matmul` needs them.

    Raises:
        ValueError: dtype, layout, shape or device is not so.
    """
    import torch

    if (
        a.dtype != torch.float8_e4m3fn
        or b.dtype != a.dtype
        or c.dtype != torch.bfloat16
        or a.dim() != 2
        or b.dim() != 2
    ):
        raise ValueError(f"a and b must be matrices of e4m3 and c of bf16, not {a.dtype}, {b.dtype} and {c.dtype}")
    if a.shape[1] % 16 or c.shape[-1] % 8:
        raise ValueError(f"k must be a multiple of 16 and n of 8, not {a.shape[1]} and {c.shape[-1]}")
    pairs = a.view(torch.bfloat16), b.view(torch.bfloat16)  # two e4m3 an element
    ladder.check(*pairs, c)
    return pairs


def reference(a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
    """scale · a·bᵀ in fp64, of the values in e4m3."""
    return a.double() @ b.double().t() * scale


def operands(seed: int) -> tuple[Tensor, Tensor]:
    """Random a and b on CUDA, of sizes that fill no tile."""
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = 200 + 37 * seed, 8 * (37 + 13 * seed), 16 * (20 + 7 * seed)
    a, b = (torch.randn(rows, k, generator=source, device="cuda").to(torch.float8_e4m3fn) for rows in (m, n))
    return a, b


def declared_bytes(m: int, n: int, k: int) -> int:
    """A and B in a byte an element and C in two, once each."""
    return m * k + n * k + 2 * m * n


CONTRACT = Contract(
    "gemm_fp8",
    {
        r"\bQGMMA\.64x256x32\.F32\.E4M3\.E4M3\b": 4,
        r"\bUTMALDG\.2D(?!\.MULTICAST)": 1,
        r"\bUTMALDG\.2D\.MULTICAST\b": 1,
        r"\bUTMASTG\.2D\b": 4,
        r"\bSTSM\.16\.M88\.4\b": 16,
        r"\bUSETMAXREG\.DEALLOC\b": 1,
        r"\bUSETMAXREG\.TRY_ALLOC\b": 1,
    },
    must=(r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b",),
    must_not=(r"\bHGMMA\b", r"\bHMMA\b", r"\bLDGSTS\b", r"\bSTG\b", r"\bLDL\b", r"\bSTL\b"),
    max_registers=168,
    static_shared=1024,  # what Hopper keeps for itself
)


def _trial(seed: int) -> Trial:
    import torch

    a, b = operands(seed)
    c = torch.full((a.shape[0], b.shape[0]), float("nan"), dtype=torch.bfloat16, device="cuda")
    matmul(a, b, c, 0.5)
    return Trial(c, reference(a, b, 0.5), 4e-3)


RUNGS = (Rung("gemm_fp8", "clusters", SOURCE, SHAPE, CONTRACT, "90a", _trial),)
