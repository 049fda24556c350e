"""y = scale · gelu(a stencil of three elements of x) in fp32: two kernels, one, and one whose warps have a role each, in clusters."""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Kernel, Shape, int64, loaded, pointer
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
WEIGHTS, SCALE = (0.3125, 0.5, 0.1875), 1.5
"""Of the element before, the element and the one after, and the factor: exact in fp32, and no two alike."""
TILE, CLUSTER = 8192, 4
"""Elements of a block's tile, and blocks of a cluster, whose tiles lie side by side."""
GENERIC = Shape(256)
_PER_BLOCK = 1024
_RESULTS, _STAGES, _BARRIERS = 2, 4, 20 * 8
_STAGE_BYTES, _TILE_BYTES = (TILE + 8) * 4, TILE * 4
ROLES = Shape(384, _STAGES * _STAGE_BYTES + _RESULTS * _TILE_BYTES + _BARRIERS, CLUSTER)
"""A producer and a storing warp in one group of 128 threads, two groups of workers."""


class WeightsCell(ctypes.Structure):
    """`Weights` of gelu.cu."""

    _fields_ = tuple((name, ctypes.c_float) for name in ("before", "at", "after", "scale"))


class ArrayCell(ctypes.Structure):
    """`Array` of gelu.cu."""

    _fields_ = (("x", ctypes.c_void_p), ("y", ctypes.c_void_p), ("n", ctypes.c_int64))


def two_kernels(x: Tensor, between: Tensor, y: Tensor) -> None:
    """Enqueue the stencil into `between`, and its GELU into `y`, on PyTorch's current stream; arguments as `fused`."""
    if x.device.type != "cuda":
        between.copy_(_stencil(x))
        y.copy_(_gelu(between))
        return
    _generic("stencil_only", x, between)
    _generic("gelu_only", between, y)


def fused(x: Tensor, y: Tensor) -> None:
    """Enqueue both as one kernel on PyTorch's current stream; on a CPU by PyTorch.

    Args:
        x, y: contiguous fp32, 16-byte aligned, of the same multiple of 4 elements, not overlapping.

    Raises:
        ValueError: dtype, layout or size is not as above.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    if x.device.type != "cuda":
        y.copy_(_gelu(_stencil(x)))
        return
    _generic("stencil_gelu", x, y)


def by_roles(x: Tensor, y: Tensor, share: int = 1) -> None:
    """The same by warps with a role each, in clusters of four blocks on one `share`-th of the multiprocessors.

    Args:
        x, y: as `fused`, of a multiple of `CLUSTER` · `TILE` elements.

    Raises:
        ValueError: dtype, layout or size is not as above.
        EnvironmentLacks: the GPU is not of compute capability 9.0; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    if x.device.type != "cuda":
        return fused(x, y)
    _check(x, y, CLUSTER * TILE)
    entry = roles_kernel(x)
    clusters = min(max(entry.clusters_at_once(ROLES) // share, 1), x.numel() // (CLUSTER * TILE))
    entry.launch(CLUSTER * clusters, ROLES, (ArrayCell(x.data_ptr(), y.data_ptr(), x.numel()), _weights()))


def roles_kernel(x: Tensor) -> Kernel:
    """The kernel of `by_roles` for the device of `x`.

    Raises:
        EnvironmentLacks: the device has no clusters.
    """
    import torch

    rung = RUNGS[-1]
    rung.require(architecture(*torch.cuda.get_device_capability(x.device)))
    return loaded(SOURCE, rung.entry)


def reference(x: Tensor) -> Tensor:
    """In fp64, on the device of `x`."""
    return _gelu(_stencil(x.double()))


def _stencil(x: Tensor) -> Tensor:
    before, at, after = WEIGHTS
    y = x * at
    y[1:] += x[:-1] * before
    y[:-1] += x[1:] * after
    return y


def _gelu(x: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.gelu(x, approximate="tanh").mul_(SCALE)


def _weights() -> WeightsCell:
    return WeightsCell(*WEIGHTS, SCALE)


def _generic(name: str, x: Tensor, y: Tensor) -> None:
    _check(x, y, 4)
    arguments = pointer(x), pointer(y), int64(x.numel()), _weights()
    loaded(SOURCE, name).launch(-(-x.numel() // _PER_BLOCK), GENERIC, arguments)


def _check(x: Tensor, y: Tensor, multiple: int) -> None:
    import torch

    for name, tensor in (("x", x), ("y", y)):
        fits = tensor.is_cuda and tensor.is_contiguous() and tensor.dtype == torch.float32 and tensor.dim() == 1
        if not fits or tensor.numel() % multiple or not tensor.numel() or tensor.data_ptr() % 16:
            raise ValueError(
                f"{name} must be contiguous fp32 on CUDA of a multiple of {multiple}, not {tuple(tensor.shape)}"
            )
    if x.numel() != y.numel():
        raise ValueError(f"x has {x.numel()} elements, y {y.numel()}")


_SLOW = (r"\bSTL\b", r"\bLDL\b")
_PLAIN = {name: Contract(name, {r"\bSTG\.E\.EF\.128\b": 1}, (), (*_SLOW, "STAS", "UBLKCP"), 32)
          for name in ("stencil_only", "gelu_only", "stencil_gelu")}  # fmt: skip
_ROLES = Contract(
    "stencil_gelu_roles",
    {
        r"\bSTAS\b": 2,
        r"\bUBLKCP\.S\.G\b": 3,
        r"\bUBLKCP\.G\.S\b": 1,
        r"\bUSETMAXREG\.DEALLOC\b": 1,
        r"\bUSETMAXREG\.TRY_ALLOC\b": 1,
        r"\bUCGABAR_ARV\b": 2,
    },
    (r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b", "0x654"),
    (*_SLOW, r"\bLDG\b", r"\bSTG\b", r"\bLDGSTS\b"),
    168,
)


def _trial(seed: int, way: str) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    x = torch.randn(CLUSTER * TILE * (1 + 40 * seed), generator=source, device="cuda")
    y, between = (torch.full_like(x, float("nan")) for _ in range(2))
    {
        "two": lambda: two_kernels(x, between, y),
        "fused": lambda: fused(x, y),
        "roles": lambda: by_roles(x, y, 1 + seed),
    }[way]()
    return Trial(y, reference(x), 1e-6)


RUNGS = (
    Rung("stencil_gelu", "stencil_only", SOURCE, GENERIC, _PLAIN["stencil_only"], "90a", partial(_trial, way="two")),
    Rung("stencil_gelu", "gelu_only", SOURCE, GENERIC, _PLAIN["gelu_only"], "90a", partial(_trial, way="two")),
    Rung("stencil_gelu", "fused", SOURCE, GENERIC, _PLAIN["stencil_gelu"], "90a", partial(_trial, way="fused")),
    Rung("stencil_gelu", "roles", SOURCE, ROLES, _ROLES, "90a", partial(_trial, way="roles")),
)
