"""The affine chain t <- t·a + b, `steps` times, of every element: as eager PyTorch operators, compiled, and as one CUDA kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..driver.launch import Shape
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
THREADS = 256
ELEMENTS_PER_BLOCK = THREADS * 4

CONTRACTS = (
    Contract(
        "affine_chain",
        {r"LDG\.E\.EF\.128": 1, r"STG\.E\.EF\.128": 1},
        must=(r"\bFFMA\b",),
        must_not=(r"\bFMUL\b", r"\bFADD\b"),  # rounding the product on its own would break bit-for-bit agreement
        max_registers=32,  # 8 blocks of 256 threads per multiprocessor
    ),
)

_FP32_BYTES = 4


def reference(x: Tensor, a: float, b: float, steps: int) -> Tensor:
    """The chain in fp64, of the shape and device of `x`."""
    import torch

    t = x.to(torch.float64, copy=True)
    for _ in range(steps):
        t.mul_(a).add_(b)
    return t


def eager(x: Tensor, out: Tensor, a: float, b: float, steps: int) -> None:
    """The chain by `steps` operators of PyTorch, each a pass over memory; `out` holds every step's result.

    `torch.add(b, t, alpha=a)` is one kernel and one fused multiply-add per element, while `t * a + b` would be two passes and
    two roundings. `x` and `out` are fp32 of one shape and device; `a` and `b` should be fp32 numbers exactly.
    """
    import torch

    shift = torch.tensor(b)  # zero-dimensional and on the host: it is passed as a kernel argument
    source = x
    for _ in range(steps):
        torch.add(shift, source, alpha=a, out=out)
        source = out


def compiled(x: Tensor, out: Tensor, a: float, b: float, steps: int) -> None:
    """The chain as torch.compile fuses it into one Triton kernel, enqueued on the current stream; on a CPU `eager`, since what
    Inductor writes for one rounds the products. Arguments as `eager`."""
    if x.device.type != "cuda":
        return eager(x, out, a, b, steps)
    from ..building.compiled import compiled

    compiled(_chain)(x, out, a, b, steps)


def _chain(x: Tensor, out: Tensor, a: float, b: float, steps: int) -> None:
    for _ in range(steps):
        x = x * a + b
    out.copy_(x)


def fused(x: Tensor, out: Tensor, a: float, b: float, steps: int) -> None:
    """The chain in one pass over memory, enqueued on the current stream: on CUDA one kernel, on a CPU `eager`.

    Args:
        x, out: contiguous fp32 of the same number n >= 1 of elements (any n), 16-byte aligned, not overlapping.
        a, b: rounded to fp32.

    Raises:
        ValueError: dtype, layout, size or device is not as above.
        EnvironmentLacks, AispError: as `launch.kernel`.
    """
    _check(x, out, steps)
    if x.device.type != "cuda":
        return eager(x, out, a, b, steps)
    from ..driver.launch import fp32, int32, int64, loaded, pointer

    n = x.numel()
    arguments = (pointer(x), pointer(out), int64(n), fp32(a), fp32(b), int32(steps))
    loaded(SOURCE, "affine_chain").launch(-(-n // ELEMENTS_PER_BLOCK), THREADS, arguments)


def declared_flops(n: int, steps: int) -> int:
    """A fused multiply-add is two operations."""
    return 2 * n * steps


def declared_bytes(n: int, passes: int) -> int:
    """DRAM traffic of `passes` passes over n fp32 elements, each read once and written once."""
    return 2 * _FP32_BYTES * n * passes


def _trial(seed: int) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    x = torch.randn(100_000 + seed, generator=source, device="cuda")
    out = torch.full_like(x, float("nan"))
    fused(x, out, 0.75, 0.5, 7)
    return Trial(out, reference(x, 0.75, 0.5, 7), 1e-6)


def _check(x: Tensor, out: Tensor, steps: int) -> None:
    import torch

    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    for name, tensor in (("x", x), ("out", out)):
        if tensor.dtype is not torch.float32 or not tensor.is_contiguous() or tensor.data_ptr() % 16:
            raise ValueError(f"{name} must be contiguous, 16-byte aligned fp32, not {tensor.dtype}")
    if x.numel() != out.numel() or x.numel() == 0 or x.device != out.device:
        raise ValueError(f"x and out do not fit: {x.numel()} on {x.device}, {out.numel()} on {out.device}")


RUNGS = (Rung("affine_chain", "fused", SOURCE, Shape(THREADS), CONTRACTS[0], "70", _trial),)
