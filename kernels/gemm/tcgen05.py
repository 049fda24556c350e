"""C = A·Bᵀ in bf16 on Blackwell: tcgen05 by pairs of blocks. Compiled for sm_100a and held to its contract, never run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import EnvironmentLacks
from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, int32, loaded
from ..driver.tensor_map import tiled
from ..rung import Rung, Trial
from . import ladder

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
PAIR, ROWS, COLUMNS = 2, 128, 128
"""Blocks of a pair; rows of A, and of B, that each of them holds."""
SHAPE = Shape(192, ladder.shared_bytes(COLUMNS, stages=4))
"""The source itself says that two blocks are a cluster."""


def matmul(a: Tensor, b: Tensor, c: Tensor) -> None:
    """Enqueue c = a·bᵀ on PyTorch's current stream.

    Args:
        a, b, c: bf16 [m, k], [n, k], [m, n], as for `ladder.matmul`.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU is not of compute capability 10.0; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    require(*torch.cuda.get_device_capability())
    ladder.check(a, b, c)
    if a.dtype != torch.bfloat16:
        raise ValueError(f"a must be of bf16, not {a.dtype}")
    (m, k), n = a.shape, b.shape[0]
    grid = -(-m // (PAIR * ROWS)) * PAIR, -(-n // (PAIR * COLUMNS))
    maps = tiled(a, ROWS, ladder.BLOCK_K), tiled(b, COLUMNS, ladder.BLOCK_K)
    out = ladder.Output(c.data_ptr(), m, n, c.stride(0), None, 0)
    loaded(SOURCE, CONTRACT.kernel).launch(grid, SHAPE, (*maps, int32(k), out))


def require(major: int, minor: int) -> None:
    """Nothing on a GPU that has the instructions.

    Raises:
        EnvironmentLacks: it has not.
    """
    if not RUNGS[0].runs_on(architecture(major, minor)):
        raise EnvironmentLacks(
            f"unsupported: needs compute capability 10.x for tcgen05, and this GPU is of {major}.{minor}",
            "run it on a Blackwell GPU of a data centre; Hopper's analogue is the pair ch10:matmul_tcgen05",
        )


CONTRACT = Contract(
    "gemm_tcgen05",
    {
        r"\bUTCHMMA\.2CTA\b": 4,
        r"\bUTCHMMA\b": 4,
        r"\bUTMALDG\.2D\.2CTA\b": 2,
        r"\bUTCBAR\.2CTA\.MULTICAST\b": 2,
        r"\bLDTM\.x32\b": 1,
    },
    must=(r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b", r"\bUTCATOMSWS\.2CTA\.FIND_AND_SET\b"),
    must_not=(r"\bHMMA\b", r"\bHGMMA\b", r"\bLDGSTS\b", r"\bLDL\b", r"\bSTL\b"),
    max_registers=64,
)


def _trial(seed: int) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = 200 + 37 * seed, 300 + 101 * seed, 8 * (20 + 7 * seed)
    a, b = (torch.randn(rows, k, generator=source, device="cuda").bfloat16() for rows in (m, n))
    c = torch.full((m, -(-n // 8) * 8), float("nan"), dtype=torch.bfloat16, device="cuda")[:, :n]
    matmul(a, b, c)
    return Trial(c, ladder.reference(a, b), 4e-3)


RUNGS = (Rung("gemm", "tcgen05", SOURCE, SHAPE, CONTRACT, "100a", _trial),)
