"""C = A·Bᵀ in bf16 in tiles of 128 × 256, a tile a block: with a producer group and without one, all else alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..driver.launch import Shape
from ..rung import Rung, Trial
from . import ladder

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
COLUMNS = 256
_SHARED = ladder.shared_bytes(COLUMNS, stages=4)
SHAPES = {"ring": Shape(2 * ladder.GROUP, _SHARED), "roles": Shape(3 * ladder.GROUP, _SHARED)}
"""Two groups that do all by themselves; a producer besides."""


def matmul(a: Tensor, b: Tensor, c: Tensor, way: str) -> None:
    """Enqueue c = a·bᵀ on PyTorch's current stream, by "ring" or by "roles".

    Args:
        a, b, c: bf16 [m, k], [n, k], [m, n], as for `ladder.matmul`.

    Raises:
        ValueError, EnvironmentLacks, AispError: as `ladder.matmul`.
    """
    import torch

    from ..driver.launch import int32, loaded
    from ..driver.tensor_map import tiled

    ladder.check(a, b, c)
    if a.dtype != torch.bfloat16:
        raise ValueError(f"a must be of bf16, not {a.dtype}")
    (m, k), n = a.shape, b.shape[0]
    out = ladder.Output(c.data_ptr(), m, n, c.stride(0), None, 0)
    maps = tiled(a, ladder.ROWS, ladder.BLOCK_K), tiled(b, COLUMNS, ladder.BLOCK_K)
    grid = -(-m // ladder.ROWS) * -(-n // COLUMNS)
    entry = loaded(SOURCE, f"gemm_wide_{way}")
    entry.launch(grid, SHAPES[way], (*maps, int32(k), out))


def _contract(way: str) -> Contract:
    roles = way == "roles"
    counts = {
        r"\bHGMMA\.64x256x16\.F32\.BF16": 4,
        r"\bHGMMA\b": 4,
        r"\bUTMALDG\.2D\b": 2 if roles else 4,  # the ring's are asked for in two places
        r"\bUSETMAXREG\.DEALLOC\b": int(roles),
        r"\bUSETMAXREG\.TRY_ALLOC\b": int(roles),
    }
    must, never = (r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b",), (r"\bHMMA\b", r"\bLDGSTS\b", r"\bLDL\b", r"\bSTL\b")
    return Contract(f"gemm_wide_{way}", counts, must, never, 168 if roles else 255, 1024)


def _trial(seed: int, way: str) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = 200 + 37 * seed, 300 + 101 * seed, 8 * (20 + 7 * seed)
    a, b = (torch.randn(rows, k, generator=source, device="cuda").bfloat16() for rows in (m, n))
    c = torch.full((m, -(-n // 8) * 8), float("nan"), dtype=torch.bfloat16, device="cuda")[:, :n]
    matmul(a, b, c, way)
    return Trial(c, ladder.reference(a, b), 4e-3)


RUNGS = tuple(
    Rung("gemm", f"wide_{way}", SOURCE, shape, _contract(way), "90a", partial(_trial, way=way))
    for way, shape in SHAPES.items()
)
