"""Cᵢ = Aᵢ·Bᵢᵀ in bf16 for many matrices of one shape by blocks that stay, and the Frobenius norm of all Cᵢ in the same kernel."""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Cell, Shape, loaded, sm_count
from ..driver.tensor_map import tiled
from ..rung import Rung, Trial
from . import ladder

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
ROWS, COLUMNS, WARPS = 128, 256, 8
"""Of a tile; warps of a block that hold sums."""
_SHARED = ladder.shared_bytes(COLUMNS, stages=4, pieces=4)
PERSISTENT, COOPERATIVE = Shape(3 * ladder.GROUP, _SHARED), Shape(3 * ladder.GROUP, _SHARED, cooperative=True)


class WorkCell(ctypes.Structure):
    """`Work` of products.cu."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("first", "count", "m", "n", "k"))


class NormCell(ctypes.Structure):
    """`Norm` of products.cu."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("squares", "arrived", "norm"))


class Products:
    """The tensor maps of operands that stay where they are.

    Args:
        a, b, c: contiguous bf16 [products, m, k], [products, n, k], [products, m, n] on the current CUDA device; m a multiple of
            128, n of 256, k of 8.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU is not of compute capability 9.0.
    """

    def __init__(self, a: Tensor, b: Tensor, c: Tensor) -> None:
        import torch

        self._sizes, self.count = _checked(a, b, c), int(a.shape[0])
        boxes = ((ROWS, ladder.BLOCK_K), (COLUMNS, ladder.BLOCK_K), (ladder.GROUP_ROWS, ladder.PIECE))
        tall = (tensor.view(-1, tensor.shape[-1]) for tensor in (a, b, c))
        self._maps = [tiled(tensor, *box) for tensor, box in zip(tall, boxes, strict=True)]
        self._squares = torch.empty(sm_count() * WARPS, dtype=torch.float32, device=c.device)
        self._arrived = torch.zeros(1, dtype=torch.int32, device=c.device)

    def one(self, product: int) -> None:
        """Enqueue one product alone, a tile a block, on PyTorch's current stream."""
        self._launch("gemm_products", self._tiles, PERSISTENT, (self._work(product, 1),))

    def all(self) -> None:
        """Enqueue all products in one launch of as many blocks as there are multiprocessors."""
        self._launch("gemm_products", self._blocks, PERSISTENT, (self._work(0, self.count),))

    def all_and_norm(self, norm: Tensor) -> None:
        """The same, and the Frobenius norm of all of C into `norm`, one fp32, in one cooperative launch."""
        cell = NormCell(self._squares.data_ptr(), self._arrived.data_ptr(), norm.data_ptr())
        self._launch("gemm_products_norm", self._blocks, COOPERATIVE, (self._work(0, self.count), cell))

    @property
    def _tiles(self) -> int:
        """Of one product."""
        m, n, _ = self._sizes
        return m // ROWS * (n // COLUMNS)

    @property
    def _blocks(self) -> int:
        return min(sm_count(), self.count * self._tiles)

    def _work(self, first: int, count: int) -> WorkCell:
        return WorkCell(first, count, *self._sizes)

    def _launch(self, name: str, grid: int, shape: Shape, cells: tuple[Cell, ...]) -> None:
        loaded(SOURCE, name).launch(grid, shape, (*self._maps, *cells))


def reference(a: Tensor, b: Tensor) -> Tensor:
    """Cᵢ = Aᵢ·Bᵢᵀ in fp64."""
    import torch

    return torch.stack([one.double() @ other.double().t() for one, other in zip(a, b, strict=True)])


def whole_tiles(m: int, n: int, k: int) -> bool:
    """Whether an m × n product over k is one of whole tiles, rows 16-byte aligned."""
    return min(m, n, k) > 0 and not (m % ROWS or n % COLUMNS or k % 8)


def _checked(a: Tensor, b: Tensor, c: Tensor) -> tuple[int, int, int]:
    """m, n and k."""
    import torch

    for name, tensor in (("a", a), ("b", b), ("c", c)):
        if tensor.dtype != torch.bfloat16 or tensor.dim() != 3 or not tensor.is_contiguous() or not tensor.is_cuda:
            raise ValueError(
                f"{name} must be contiguous bf16 matrices on CUDA, not {tuple(tensor.shape)} {tensor.dtype}"
            )
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(a.device)))
    (count, m, k), n = a.shape, b.shape[1]
    if b.shape != (count, n, k) or c.shape != (count, m, n) or not count or not whole_tiles(m, n, k):
        raise ValueError(
            f"a {tuple(a.shape)}, b {tuple(b.shape)} and c {tuple(c.shape)} are no whole tiles of products"
        )
    return m, n, k


def _contract(name: str) -> Contract:
    counts = {
        r"\bHGMMA\.64x256x16\.F32\.BF16": 4,
        r"\bHGMMA\b": 4,
        r"\bUTMALDG\.2D\b": 2,
        r"\bUTMASTG\.2D\b": 4,
        r"\bSTSM\.16\.M88\.4\b": 16,
        r"\bUSETMAXREG\.DEALLOC\b": 1,
        r"\bUSETMAXREG\.TRY_ALLOC\b": 1,
    }
    must = (r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b",)
    never = (r"\bHMMA\b", r"\bLDGSTS\b", r"\bLDL\b", r"\bSTL\b")
    return Contract(name, counts, must, never, 168, 1024)


def _trial(seed: int, norm: bool) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    count, m, n, k = 3 + seed % 5, 128 * (1 + seed % 3), 256 * (1 + seed % 2), 8 * (8 + 5 * seed)
    a, b = (torch.randn(count, rows, k, generator=source, device="cuda").bfloat16() for rows in (m, n))
    c = torch.full((count, m, n), float("nan"), dtype=torch.bfloat16, device="cuda")
    frobenius, work, wide = torch.full((1,), float("nan"), device="cuda"), Products(a, b, c), reference(a, b)
    if norm:
        work.all_and_norm(frobenius)
    else:
        work.all()
        frobenius = c.float().norm().view(1)
    output = torch.cat([c.flatten().double(), frobenius.double()])
    return Trial(output, torch.cat([wide.flatten(), wide.norm().view(1)]), 4e-3)


RUNGS = tuple(
    Rung("products", name, SOURCE, shape, _contract(f"gemm_{name}"), "90a", partial(_trial, norm=norm))
    for name, shape, norm in (("products", PERSISTENT, False), ("products_norm", COOPERATIVE, True))
)
