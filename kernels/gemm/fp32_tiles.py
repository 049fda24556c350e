"""C = Aᵀ·B in fp32 by FMA units alone: tiles in shared memory, tiles in registers, and a ring of asynchronous copies."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, int32, loaded, pointer
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
FP32_BYTES = 4
TILES = {"shared_tiles": (32, 32), "register_tiles": (128, 128), "ring": (256, 128)}
"""Rows and columns of C that a block computes."""
_STAGES, _BLOCK_K = 4, 8
SHAPES = {
    "shared_tiles": Shape((32, 32)),
    "register_tiles": Shape(256),
    "ring": Shape(256, _STAGES * _BLOCK_K * sum(TILES["ring"]) * FP32_BYTES),
}
"""The ring's sixteen by eight sums a thread and four stages of eight k were the fastest of twelve on an H200 (2026-11-30): 49.9 TFLOP/s,
where eight by eight gave 49.6 and cuBLAS 51.8."""
WAYS = tuple(SHAPES)


def matmul(a: Tensor, b: Tensor, c: Tensor, way: str) -> None:
    """Enqueue c = aᵀ·b on PyTorch's current stream, by one of `WAYS`.

    Args:
        a, b, c: contiguous fp32 [k, m], [k, n], [m, n] on the current CUDA device, `c` overlapping neither; m and n multiples
            of 256, k of 16.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU is older than compute capability 8.0; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    (k, m), n = _checked(a, b, c), b.shape[1]
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(a.device)))
    rows, columns = TILES[way]
    arguments = pointer(a), pointer(b), pointer(c), int32(m), int32(n), int32(k)
    loaded(SOURCE, f"sgemm_{way}").launch((m // rows, n // columns), SHAPES[way], arguments)


def cublas(a: Tensor, b: Tensor, c: Tensor) -> None:
    """The same by cuBLAS in fp32, TF32 not allowed, on the current stream; on a CPU by PyTorch."""
    import torch

    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        torch.mm(a.t(), b, out=c)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def reference(a: Tensor, b: Tensor) -> Tensor:
    """In fp64, on the device of `a`."""
    return a.double().t() @ b.double()


def declared_flops(m: int, n: int, k: int) -> int:
    return 2 * m * n * k


def declared_bytes(m: int, n: int, k: int) -> int:
    """A, B and C once each."""
    return FP32_BYTES * (m * k + n * k + m * n)


def whole_tiles(m: int, n: int, k: int) -> bool:
    """Whether every one of `WAYS` computes an m × n result over k."""
    return min(m, n, k) > 0 and not (m % 256 or n % 256 or k % 16)


def _checked(a: Tensor, b: Tensor, c: Tensor) -> tuple[int, int]:
    """k and m."""
    import torch

    for name, tensor in (("a", a), ("b", b), ("c", c)):
        if tensor.dtype != torch.float32 or tensor.dim() != 2 or not tensor.is_contiguous() or not tensor.is_cuda:
            raise ValueError(
                f"{name} must be a contiguous fp32 matrix on CUDA, not {tuple(tensor.shape)} {tensor.dtype} on {tensor.device}"
            )
    (k, m), n = a.shape, b.shape[1]
    if b.shape[0] != k or tuple(c.shape) != (m, n) or not whole_tiles(m, n, k):
        raise ValueError(
            f"a {tuple(a.shape)}, b {tuple(b.shape)} and c {tuple(c.shape)} do not fit, or are no whole tiles"
        )
    return int(k), int(m)


_NO_TENSOR = (r"\b[HIQBD]MMA\b", r"\bHGMMA\b", r"\bUTC\w*MMA\b", r"\bSTL\b", r"\bLDL\b")


def _contract(way: str) -> Contract:
    copies = {r"\bLDGSTS\.E\.BYPASS\.128\b": 12 if way == "ring" else 0}  # three for each of four stages
    return Contract(f"sgemm_{way}", copies, (r"\bFFMA2?\b",), _NO_TENSOR, 255)


def _trial(seed: int, way: str) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    m, n, k = 256 * (1 + seed % 3), 256 * (2 + seed % 2), 16 * (1 + 5 * seed)
    a, b = (torch.randn(k, edge, generator=source, device="cuda") for edge in (m, n))
    c = torch.full((m, n), float("nan"), device="cuda")
    matmul(a, b, c, way)
    return Trial(c, reference(a, b), 1e-5)


RUNGS = tuple(Rung("sgemm", way, SOURCE, SHAPES[way], _contract(way), "80", partial(_trial, way=way)) for way in WAYS)
