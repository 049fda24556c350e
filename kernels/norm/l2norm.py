"""Rows divided by their norm, y = x / max(‖x‖, eps) · gain in bf16: by PyTorch, by torch.compile, in two CUDA kernels, and in one.

The CUDA kernels cannot overflow, whatever finite bf16 the rows hold: squares are taken of x·2^-e, with 2^e the largest magnitude.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..driver.launch import Shape
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
COLUMNS = 4096
"""The kernels hold a row of exactly this many elements in the registers of a warpgroup."""
THREADS = 128
EPS = 1e-6

_LOAD, _STORE = r"\bLDG\.E\.128", r"\bSTG\.E\.128"
CONTRACTS = (
    Contract("l2norm_factors", {_LOAD: 4, _STORE: 0}, ("REDUX", "SHFL"), (), 32),
    Contract("l2norm_scale", {_LOAD: 8, _STORE: 4}, (), ("SHFL",), 40),
    # the row's four loads and the gain's four: the compiler did not choose to read the row again instead of keeping it
    Contract("l2norm_fused", {_LOAD: 8, _STORE: 4}, ("REDUX", "SHFL"), (), 64),
)

_BF16_BYTES, _FACTOR_BYTES = 2, 8


def reference(x: Tensor, gain: Tensor, eps: float = EPS) -> Tensor:
    """The rows in fp64, of the shape and device of `x`; `gain` has one entry per column."""
    import torch

    wide = x.to(torch.float64, copy=True)
    norms = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).clamp_(min=eps)
    return wide.div_(norms).mul_(gain.to(torch.float64))


def eager(x: Tensor, gain: Tensor, y: Tensor, eps: float = EPS) -> None:
    """The rows by PyTorch's own operators, enqueued on the current stream: norms, their bound, division and gain, each result
    rounded to bf16."""
    import torch

    torch.mul(torch.nn.functional.normalize(x, dim=-1, eps=eps), gain, out=y)


def compiled(x: Tensor, gain: Tensor, y: Tensor, eps: float = EPS) -> None:
    """`eager` as torch.compile fuses it into one Triton kernel, enqueued on the current stream; on a CPU `eager`."""
    if x.device.type != "cuda":
        return eager(x, gain, y, eps)
    from ..building.compiled import compiled

    compiled(_normalised)(x, gain, y, eps)


def _normalised(x: Tensor, gain: Tensor, y: Tensor, eps: float) -> None:
    import torch

    y.copy_(torch.nn.functional.normalize(x, dim=-1, eps=eps) * gain)


def two_kernels(x: Tensor, gain: Tensor, factors: Tensor, y: Tensor, eps: float = EPS) -> None:
    """The norms of all rows into `factors`, then `y`: `x` is read twice. Enqueued on the current stream.

    Args:
        x, y: contiguous bf16 [rows, 4096] on one device, 16-byte aligned, not overlapping; any rows >= 1.
        gain: contiguous bf16 [4096], 16-byte aligned.
        factors: contiguous fp32 [rows, 2]: two numbers whose product is 1 / max(norm, eps).

    On a CPU PyTorch's operators do the same without the scaling by powers of two (any number of columns).

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks, AispError: as `launch.kernel`.
    """
    _check(x, gain, y)
    if x.device.type != "cuda":
        factors.copy_(_factors_in_torch(x, eps))
        return _scale_in_torch(x, gain, factors, y)
    from ..driver.launch import fp32, kernel, pointer

    rows = x.shape[0]
    kernel(SOURCE, "l2norm_factors").launch(rows, THREADS, (pointer(x), pointer(factors), fp32(eps)))
    arguments = (pointer(x), pointer(factors), pointer(gain), pointer(y))
    kernel(SOURCE, "l2norm_scale").launch(rows, THREADS, arguments)


def fused(x: Tensor, gain: Tensor, y: Tensor, eps: float = EPS) -> None:
    """`two_kernels` in one kernel that reads `x` once, with the same result bit for bit; tensors and errors as there."""
    _check(x, gain, y)
    if x.device.type != "cuda":
        return _scale_in_torch(x, gain, _factors_in_torch(x, eps), y)
    from ..driver.launch import fp32, kernel, pointer

    arguments = (pointer(x), pointer(gain), pointer(y), fp32(eps))
    kernel(SOURCE, "l2norm_fused").launch(x.shape[0], THREADS, arguments)


def declared_flops(rows: int, columns: int) -> int:
    """What the formula needs: per element, square and add, then two multiplications; the few per row do not count."""
    return 4 * rows * columns


def declared_bytes(rows: int, columns: int, fused: bool) -> int:
    """DRAM traffic: `x` read once or twice, `y` written once; unfused, each row's two factors written and read."""
    elements = rows * columns * _BF16_BYTES
    return 2 * elements if fused else 3 * elements + 2 * rows * _FACTOR_BYTES


def _trial(seed: int, fuse: bool) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    x = torch.randn(17 + seed, COLUMNS, generator=source, device="cuda").mul_(10.0 ** (7 * seed)).bfloat16()
    gain = torch.randn(COLUMNS, generator=source, device="cuda").bfloat16()
    y, factors = torch.full_like(x, float("nan")), torch.full((len(x), 2), float("nan"), device="cuda")
    fused(x, gain, y) if fuse else two_kernels(x, gain, factors, y)
    return Trial(y, reference(x, gain), 4e-3)


def _factors_in_torch(x: Tensor, eps: float) -> Tensor:
    import torch

    inverse = torch.linalg.vector_norm(x.float(), dim=-1).clamp_(min=eps).reciprocal_()
    return torch.stack((torch.ones_like(inverse), inverse), dim=1)


def _scale_in_torch(x: Tensor, gain: Tensor, factors: Tensor, y: Tensor) -> None:
    y.copy_(x.float().mul_(factors[:, :1]).mul_(factors[:, 1:]).mul_(gain.float()))


def _check(x: Tensor, gain: Tensor, y: Tensor) -> None:
    import torch

    for name, tensor in (("x", x), ("gain", gain), ("y", y)):
        if tensor.dtype is not torch.bfloat16 or not tensor.is_contiguous() or tensor.data_ptr() % 16:
            raise ValueError(f"{name} must be contiguous, 16-byte aligned bf16, not {tensor.dtype}")
    if x.dim() != 2 or x.shape != y.shape or gain.shape != x.shape[1:] or not x.numel():
        raise ValueError(f"x {tuple(x.shape)}, gain {tuple(gain.shape)} and y {tuple(y.shape)} do not fit")
    if x.device.type == "cuda" and x.shape[1] != COLUMNS:
        raise ValueError(f"the kernels hold rows of {COLUMNS} elements, not {x.shape[1]}")


RUNGS = tuple(
    Rung(
        "l2norm",
        contract.kernel.removeprefix("l2norm_"),
        SOURCE,
        Shape(THREADS),
        contract,
        "80",
        partial(_trial, fuse=contract.kernel == "l2norm_fused"),
    )
    for contract in CONTRACTS
)
