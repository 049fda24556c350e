"""y = a chain of FMAs of x, tile by tile through shared memory: in one stage, and in two by cuda::pipeline."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..driver.launch import Shape, int32, kernel, pointer
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
TILE, THREADS = 4096, 256
"""Elements of a tile, 16 KiB; threads of a block."""
FACTOR, ADDEND = 0.999, 0.001
SHAPE = Shape(THREADS)
WAYS = ("one_stage", "two_stages")


def chain(x: Tensor, y: Tensor, steps: int, way: str, blocks: int) -> None:
    """Enqueue y = FACTOR · y + ADDEND, `steps` times from x on, on PyTorch's current stream, by one of `WAYS`.

    Args:
        x, y: contiguous fp32 on the current CUDA device, 16-byte aligned, as many as a multiple of `TILE`.
        blocks: that take tiles in turn.

    Raises:
        ValueError: dtype, layout or size is not as above.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    for name, tensor in (("x", x), ("y", y)):
        fits = tensor.is_cuda and tensor.is_contiguous() and tensor.dtype == torch.float32
        if not fits or tensor.numel() % TILE or not tensor.numel() or tensor.data_ptr() % 16:
            raise ValueError(
                f"{name} must be contiguous fp32 on CUDA of a multiple of {TILE}, not {tuple(tensor.shape)}"
            )
    if x.numel() != y.numel():
        raise ValueError(f"x has {x.numel()} elements, y {y.numel()}")
    arguments = pointer(x), pointer(y), int32(x.numel() // TILE), int32(steps)
    kernel(SOURCE, way).launch(blocks, SHAPE, arguments)


def reference(x: Tensor, steps: int) -> Tensor:
    """The chain in fp64."""
    wide = x.double()
    for _ in range(steps):
        wide = wide * FACTOR + ADDEND
    return wide


def _trial(seed: int, way: str) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    x = torch.randn(TILE * (5 + 3 * seed), generator=source, device="cuda")
    y = torch.full_like(x, float("nan"))
    chain(x, y, 1 + seed, way, blocks=3)
    return Trial(y, reference(x, 1 + seed), 1e-5)


_COPY = r"\bLDGSTS\.E\.BYPASS\.128\b"
CONTRACTS = (
    Contract("one_stage", {}, (r"\bLDG\.E\.128\b",), ("LDGSTS", "SYNCS"), 64),
    Contract("two_stages", {}, (_COPY, r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b"), (), 64),
)
RUNGS = tuple(
    Rung("two_stages", way, SOURCE, SHAPE, contract, "90", partial(_trial, way=way))
    for way, contract in zip(WAYS, CONTRACTS, strict=True)
)
