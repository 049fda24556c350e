"""u = x·(1 + a·x²), the cubic inside the tanh GELU: as four passes with a temporary between each two, and as one pass."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ..building.contract import Contract
from ..driver.launch import Shape
from ..driver.temporaries import Arena, Memory
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

    from ..driver.launch import Argument, Kernel

SOURCE = Path(__file__).with_suffix(".cu")
A = 0.044715
THREADS = 256
PER_THREAD = 8
FUSED_PER_THREAD = 4

Access = Literal["strided", "coalesced"]
"""How a warp's lanes lie in memory: 32 bytes apart, or side by side."""

_FP32_BYTES = 4
_LOAD, _STORE, _WIDE = r"\bLDG\.E", r"\bSTG\.E", r"\b(LDG|STG)\S*\.(64|128)\b"
_ONE_INPUT = {_LOAD: 8, _STORE: 8}
CONTRACTS = (
    # No wide loads and no contraction. Whether lanes lie side by side is not in the instructions: Nsight Compute's sectors a
    # request tell.
    *(
        Contract(f"{name}_{access}", counts, (), (_WIDE, r"\bFFMA\b"), 32)
        for access in ("strided", "coalesced")
        for name, counts in (
            ("square", _ONE_INPUT),
            ("scale", _ONE_INPUT),
            ("increment", _ONE_INPUT),
            ("product", {_LOAD: 16, _STORE: 8}),
        )
    ),
    Contract("cubic_fused", {r"LDG\.E\.EF\.128": 1, r"STG\.E\.EF\.128": 1}, (), (r"\bFFMA\b",), 32),
)


def reference(x: Tensor, a: float = A) -> Tensor:
    """The cubic in fp64, of the shape and device of `x`."""
    import torch

    wide = x.to(torch.float64)
    return wide.square().mul_(a).add_(1).mul_(wide)


def in_torch(x: Tensor, out: Tensor, a: float = A) -> None:
    """The four operations by PyTorch's own operators, in place in `out`: the bits that every form must reproduce."""
    import torch

    torch.mul(x, x, out=out)
    out.mul_(a).add_(1).mul_(x)


def in_passes(x: Tensor, out: Tensor, memory: Memory, access: Access, a: float = A) -> None:
    """Four passes over memory, each operation's result in an array of its own: `t = x * x; t = t * a; t = t + 1; out = t * x`.

    As there, an array returns to `memory` once the next result is enqueued. Enqueued on the current stream; waits for the
    device where `memory` does.

    Args:
        x, out: contiguous fp32 of the same number n >= 1 of elements (any n), not overlapping; on one device.
        memory: of arrays of n elements; at most two are taken at a time.
        access: on a CPU both are PyTorch's operators.

    Raises:
        ValueError: dtype, layout, size or device is not as above.
        EnvironmentLacks, AispError: as `launch.kernel`.
    """
    _check(x, out)
    n = x.numel()
    source = memory.take()
    _pass("square", access, n, (x, source))
    for name, scalars in (("scale", (a,)), ("increment", ())):
        result = memory.take()
        _pass(name, access, n, (source, result), scalars)
        memory.give(source)
        source = result
    _pass("product", access, n, (source, x, out))
    memory.give(source)


def fused(x: Tensor, out: Tensor, a: float = A) -> None:
    """The cubic in one pass with loads and stores of 16 bytes; tensors, 16-byte aligned, and errors as `in_passes`."""
    _check(x, out)
    if x.device.type != "cuda":
        return in_torch(x, out, a)
    from ..driver.launch import fp32, int64, pointer

    n = x.numel()
    blocks = -(-n // (THREADS * FUSED_PER_THREAD))
    _kernel("cubic_fused").launch(blocks, THREADS, (pointer(x), pointer(out), int64(n), fp32(a)))


def declared_flops(n: int) -> int:
    return 4 * n


def declared_bytes(n: int, fused: bool) -> int:
    """DRAM traffic: in passes, five arrays read (x twice) and four written; fused, one each."""
    return _FP32_BYTES * n * (2 if fused else 9)


def _pass(name: str, access: Access, n: int, arrays: tuple[Tensor | int, ...], scalars: tuple[float, ...] = ()) -> None:
    first = arrays[0]
    if not isinstance(first, int) and first.device.type != "cuda":
        return _pass_in_torch(name, arrays, scalars)
    from ..driver.launch import fp32, int64

    arguments = (*(_argument(array) for array in arrays), int64(n), *(fp32(scalar) for scalar in scalars))
    _kernel(f"{name}_{access}").launch(-(-n // (THREADS * PER_THREAD)), THREADS, arguments)


def _pass_in_torch(name: str, arrays: tuple[Tensor | int, ...], scalars: tuple[float, ...]) -> None:
    import torch

    first, *others, out = arrays
    if name == "increment":
        torch.add(first, 1, out=out)
    else:
        torch.mul(first, *([first] if name == "square" else (*others, *scalars)), out=out)


def _argument(array: Tensor | int) -> Argument:
    import ctypes

    from ..driver.launch import pointer

    return (array, ctypes.c_void_p) if isinstance(array, int) else pointer(array)


@cache
def _kernel(name: str) -> Kernel:
    """Looked up once: finding a cubin reads the sources, and these launches hide behind no queued work."""
    from ..driver.launch import kernel

    return kernel(SOURCE, name)


def _trial(seed: int, access: Access | None) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    x = torch.randn(100_000 + seed, generator=source, device="cuda")
    out, arena = torch.full_like(x, float("nan")), Arena(x.numel(), "cuda", 2)
    for array in arena.arrays:
        array.fill_(float("nan"))
    in_passes(x, out, arena, access) if access else fused(x, out)
    return Trial(out, reference(x), 1e-6)


def _access(entry: str) -> Access | None:
    return next((access for access in get_args(Access) if entry.endswith(access)), None)


def _check(x: Tensor, out: Tensor) -> None:
    import torch

    for name, tensor in (("x", x), ("out", out)):
        if tensor.dtype is not torch.float32 or not tensor.is_contiguous() or tensor.data_ptr() % 16:
            raise ValueError(f"{name} must be contiguous, 16-byte aligned fp32, not {tensor.dtype}")
    if x.numel() != out.numel() or x.numel() == 0 or x.device != out.device:
        raise ValueError(f"x and out do not fit: {x.numel()} on {x.device}, {out.numel()} on {out.device}")


RUNGS = tuple(
    Rung(
        "cubic_passes",
        contract.kernel,
        SOURCE,
        Shape(THREADS),
        contract,
        "70",
        partial(_trial, access=_access(contract.kernel)),
    )
    for contract in CONTRACTS
)
