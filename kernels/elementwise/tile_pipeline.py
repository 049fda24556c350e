"""y = a chain of FMAs of x, tile by tile through shared memory: in turn, and with copies of the next tiles beside it."""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, loaded, sm_count
from ..rung import Rung, Trial
from . import affine_chain

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
TILE, THREADS = 2048, 512
"""Elements of a tile, 8 KiB; threads of a block."""
FACTOR, ADDEND = 0.999, 0.001
_TILE_BYTES = TILE * 4
_STAGES = {"in_turn": 1, "two_stages": 2, "three_stages": 3, "bulk": 8}
SHAPES = {way: Shape(THREADS, stages * _TILE_BYTES) for way, stages in _STAGES.items()}
WAYS = tuple(_STAGES)


class WorkCell(ctypes.Structure):
    """`Work` of tile_pipeline.cu."""

    _fields_ = (("x", ctypes.c_void_p), ("y", ctypes.c_void_p), ("tiles", ctypes.c_int32), ("steps", ctypes.c_int32))


def chain(x: Tensor, y: Tensor, steps: int, way: str, blocks_each: int = 1) -> None:
    """Enqueue y = FACTOR · y + ADDEND, `steps` times from x on, on PyTorch's current stream, by one of `WAYS`; on a CPU by PyTorch.

    Args:
        x, y: contiguous fp32, 16-byte aligned, of a multiple of `TILE` elements, not overlapping.
        blocks_each: blocks that a multiprocessor has, if its shared memory holds so many.

    Raises:
        ValueError: dtype, layout or size is not as above.
        EnvironmentLacks: the GPU lacks cp.async, or of "bulk" the copy engine; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    _check(x, y)
    if x.device.type != "cuda":
        return affine_chain.eager(x, y, FACTOR, ADDEND, steps)
    rung = next(rung for rung in RUNGS if rung.name == way)
    rung.require(architecture(*torch.cuda.get_device_capability(x.device)))
    tiles = x.numel() // TILE
    work = WorkCell(x.data_ptr(), y.data_ptr(), tiles, steps)
    loaded(SOURCE, rung.entry).launch(min(blocks_each * sm_count(), tiles), SHAPES[way], (work,))


def reference(x: Tensor, steps: int) -> Tensor:
    """The chain in fp64."""
    return affine_chain.reference(x, FACTOR, ADDEND, steps)


def _check(x: Tensor, y: Tensor) -> None:
    import torch

    for name, tensor in (("x", x), ("y", y)):
        fits = tensor.is_contiguous() and tensor.dtype == torch.float32 and not tensor.data_ptr() % 16
        if not fits or tensor.numel() % TILE or not tensor.numel():
            raise ValueError(f"{name} must be contiguous fp32 of a multiple of {TILE}, not {tuple(tensor.shape)}")
    if x.numel() != y.numel() or x.device != y.device:
        raise ValueError(f"x and y do not fit: {x.numel()} on {x.device}, {y.numel()} on {y.device}")


_COPY, _LOAD, _STORE = r"\bLDGSTS\.E\.BYPASS\.128\b", r"\bLDG\.E\.EF\.128\b", r"\bSTG\.E\.EF\.128\b"
_BULK = {r"\bUBLKCP\.G\.S\b": 1, _LOAD: 0, _STORE: 0, _COPY: 0}


def _contract(way: str) -> Contract:
    stages = _STAGES[way]
    if way == "in_turn":
        counts = {_LOAD: 1, _STORE: 1, _COPY: 0}
    elif way.startswith("bulk"):
        counts = {**_BULK, r"\bUBLKCP\.S\.G\b": stages}
    else:
        counts = {_LOAD: 0, _STORE: 1, _COPY: stages}
    never = () if way.startswith("bulk") else (r"\bUBLKCP\b",)
    return Contract(f"tiles_{way}", counts, (r"\bFFMA\b",), (*never, r"\bSTL\b", r"\bLDL\b"), 64)


def _trial(seed: int, way: str) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    x = torch.randn(TILE * (1 + 200 * seed), generator=source, device="cuda")
    y = torch.full_like(x, float("nan"))
    chain(x, y, 1 + seed, way)
    return Trial(y, reference(x, 1 + seed), 1e-5)


RUNGS = tuple(
    Rung("tile_pipeline", way, SOURCE, SHAPES[way], _contract(way), "90", partial(_trial, way=way)) for way in WAYS
)
