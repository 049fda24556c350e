"""C = scale · A·Bᵀ on Hopper with A and B in fp8 (e4m3) and C in bf16 by kernels of CUTLASS: by the schedule that it picks, and by
schedules written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..gemm import fp8_tiles
from ..rung import Trial
from . import opening

if TYPE_CHECKING:
    from torch import Tensor


def matmul(a: Tensor, b: Tensor, c: Tensor, way: str, scale: float = 1.0) -> None:
    """Enqueue c = scale · a·bᵀ on PyTorch's current stream. `fp8_auto` adds up in fp32 what the tensor cores sum over 128 values of
    k; the others leave all sums to them, in fewer bits, as PyTorch's `use_fast_accum` does.

    Args:
        a, b: float8_e4m3fn [m, k], [n, k] on the current CUDA device, contiguous and 16-byte aligned, k a multiple of 16.
        c: bf16 [m, n], likewise, n a multiple of 8.
        way: one of `opening.FP8`.

    Raises:
        ValueError: dtype, layout, shape or device is not as above, or the way multiplies another type.
        EnvironmentLacks, AispError: as `opening.enqueue`.
    """
    if way not in opening.FP8:
        raise ValueError(f"fp8 is multiplied by {', '.join(opening.FP8)}, not {way}")
    check(a, b, c)
    fp8_tiles.check(a, b, c)
    opening.enqueue(way, a, b, c, scale)


def check(a: Tensor, b: Tensor, c: Tensor) -> None:
    """What `matmul` asks beyond `fp8_tiles.check`.

    Raises:
        ValueError: layout is not so.
    """
    for name, tensor in (("a", a), ("b", b), ("c", c)):
        if not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous, not {tuple(tensor.shape)} in strides of {tensor.stride()}")


def _trial(way: str, seed: int) -> Trial:
    import torch

    a, b = fp8_tiles.operands(seed)
    c = torch.full((a.shape[0], b.shape[0]), float("nan"), dtype=torch.bfloat16, device="cuda")
    matmul(a, b, c, way, 0.5)
    return Trial(c, fp8_tiles.reference(a, b, 0.5), 4e-3)


_COPIES = {r"\bUTMALDG\.3D(?!\.MULTICAST)": 1, r"\bUTMALDG\.3D\.MULTICAST\b": 1, r"\bUSETMAXREG\b": 2}
_ADDS = {r"\bFADD\b": 192}
"""A tile's 64 sums a thread, in three places: the first block of k, those that follow, the last."""
_BY_THREADS = {r"\bSTG\.E\.U16\b": 64, r"\bSTG\b": 64, r"\bUTMASTG\b": 0}
_BY_ENGINE = {r"\bUTMASTG\.3D\b": 8, r"\bSTSM\.16\.M88\.4\b": 16, r"\bSTG\b": 0}
_NEVER = (r"\bHGMMA\b", r"\bHMMA\b", "LDGSTS", r"\bLDL\b", r"\bSTL\b")


def _promised(way: str, columns: int, times: int, stores: Mapping[str, int], adds: Mapping[str, int]) -> Contract:
    """Operands come by the copy engine, a half of B by multicast; registers move from the producer group to the consumers."""
    multiplies = {rf"\bQGMMA\.64x{columns}x32\.F32\.E4M3\.E4M3\b": times, r"\bQGMMA\b": times}
    return Contract(way, {**multiplies, **_COPIES, **stores, **adds}, (), _NEVER, 168)


_CONTRACTS = (
    _promised("fp8_auto", 128, 8, _BY_THREADS, _ADDS),
    _promised("fp8_fast", 128, 8, _BY_THREADS, dict.fromkeys(_ADDS, 0)),
    _promised("fp8_pingpong", 128, 16, _BY_ENGINE, dict.fromkeys(_ADDS, 0)),
    _promised("fp8_cooperative", 256, 8, _BY_ENGINE, dict.fromkeys(_ADDS, 0)),
)
LIBRARIES = opening.declared("cutlass_fp8", _CONTRACTS, _trial)
"""Products in fp8 by CUTLASS, as `gemm.LIBRARIES`."""
