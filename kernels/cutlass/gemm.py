"""C = A·Bᵀ in bf16 with fp32 sums by kernels of CUTLASS: for Hopper, from Ampere's way to the copy engine's; for Blackwell by
tcgen05, built and held to their contracts, never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..gemm import ladder
from ..rung import Trial
from . import opening

if TYPE_CHECKING:
    from torch import Tensor


def matmul(a: Tensor, b: Tensor, c: Tensor, way: str) -> None:
    """Enqueue c = a·bᵀ on PyTorch's current stream.

    Args:
        a, b, c: contiguous bf16 [m, k], [n, k], [m, n] on the current CUDA device, n and k multiples of 8.
        way: one of `opening.BF16`.

    Raises:
        ValueError: dtype, layout, shape or device is not as above, or the way multiplies another type.
        EnvironmentLacks, AispError: as `opening.enqueue`.
    """
    if way not in opening.BF16:
        raise ValueError(f"bf16 is multiplied by {', '.join(opening.BF16)}, not {way}")
    ladder.check(a, b, c)
    check(a, b, c)
    opening.enqueue(way, a, b, c, 1.0)


def check(a: Tensor, b: Tensor, c: Tensor) -> None:
    """What `matmul` asks beyond `ladder.check`.

    Raises:
        ValueError: dtype or layout is not so.
    """
    import torch

    for name, tensor in (("a", a), ("b", b), ("c", c)):
        if tensor.dtype != torch.bfloat16 or not tensor.is_contiguous() or tensor.shape[1] % 8:
            raise ValueError(
                f"{name} must be contiguous, of bf16 and of a multiple of 8 columns, not {tensor.dtype}, {tuple(tensor.shape)}"
            )


def _trial(way: str, seed: int) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = 200 + 37 * seed, 8 * (40 + 13 * seed), 8 * (20 + 7 * seed)
    a, b = (torch.randn(rows, k, generator=source, device="cuda").bfloat16() for rows in (m, n))
    c = torch.full((m, n), float("nan"), dtype=torch.bfloat16, device="cuda")
    matmul(a, b, c, way)
    return Trial(c, ladder.reference(a, b), 4e-3)


_COPIES = (r"\bUTMALDG\.3D(?!\.MULTICAST)", r"\bUTMALDG\.3D\.MULTICAST\b", r"\bUTMASTG\.3D\b", r"\bUSETMAXREG\b")
_NO_STACK = (r"\bLDL\b", r"\bSTL\b")


def _by_threads(way: str, counts: Mapping[str, int], never: str, registers: int, stack: int = 0) -> Contract:
    """Operands come by cp.async."""
    never_local = _NO_STACK if not stack else ()
    return Contract(way, counts, (r"\bLDGSTS\b",), (never, "UTMA", *never_local), registers, stack=stack)


def _by_engine(way: str, multiplies: str, times: int, clusters: bool) -> Contract:
    """Operands come and results go by the copy engine, registers move from the producer group to the consumers."""
    counts = dict(zip(_COPIES, (2 - clusters, int(clusters), 8, 2), strict=True))
    return Contract(
        way, {multiplies: times, r"\bHGMMA\b": times, **counts}, (), (r"\bHMMA\b", "LDGSTS", *_NO_STACK), 168
    )


def _by_tensor_memory(way: str, must: tuple[str, ...], never: tuple[str, ...]) -> Contract:
    """Blackwell: sums are in tensor memory."""
    return Contract(way, {}, (*must, r"\bLDTM\b"), (*never, "HGMMA", r"\bHMMA\b", "LDGSTS", *_NO_STACK), 255)


_CONTRACTS = (
    _by_threads("multistage", {r"\bHMMA\.16816\.F32\.BF16\b": 64, r"\bLDSM\.16\.M88\.4\b": 24}, "HGMMA", 255),
    # its producers' registers do not hold what they copy from and to: part of what the copy engine does away with
    _by_threads("cp_async", {r"\bHGMMA\.64x256x16\.F32\.BF16\b": 8}, r"\bHMMA\b", 168, stack=128),
    _by_engine("single", r"\bHGMMA\.64x256x16\.F32\.BF16\b", 8, clusters=False),
    _by_engine("cooperative", r"\bHGMMA\.64x256x16\.F32\.BF16\b", 8, clusters=True),
    _by_engine("pingpong", r"\bHGMMA\.64x128x16\.F32\.BF16\b", 16, clusters=True),
    _by_tensor_memory("one_sm", (r"\bUTCHMMA\b", r"\bUTMALDG\.3D\b"), ("2CTA",)),
    _by_tensor_memory("two_sm", (r"\bUTCHMMA\.2CTA\b", r"\bUTMALDG\.3D\.2CTA\b"), ()),
)
LIBRARIES = opening.declared("cutlass", _CONTRACTS, _trial)
"""Matrix products by CUTLASS: small libraries built from its headers, each one kernel behind two C functions."""
