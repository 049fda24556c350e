"""C = A·Bᵀ in bf16 with fp32 sums by kernels of CUTLASS: for Hopper, from Ampere's way to the copy engine's; for Blackwell by
tcgen05, built and held to their contracts, never run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import AispError, EnvironmentLacks
from ..building.contract import Contract
from ..building.headers import cutlass
from ..building.nvcc import architecture, code_of_library, library
from ..driver.launch import sm_count
from ..gemm import ladder
from ..rung import Library, Trial

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
NEEDS = dict.fromkeys(("multistage", "cp_async", "single", "cooperative", "pingpong"), "90a")
NEEDS |= {"one_sm": "100a", "two_sm": "100a"}
"""Way, which is the name of its source, -> the only target of nvcc's that it is built for; Ampere's too is built for Hopper."""


@dataclass(frozen=True, slots=True)
class Product:
    """One kernel's library, opened: bytes of scratch memory for a product, and what enqueues it."""

    workspace: Callable[..., int]
    run: Callable[..., bytes | None]


def source(way: str) -> Path:
    return FOLDER / f"{way}.cu"


def matmul(a: Tensor, b: Tensor, c: Tensor, way: str) -> None:
    """Enqueue c = a·bᵀ on PyTorch's current stream.

    Args:
        a, b, c: contiguous bf16 [m, k], [n, k], [m, n] on the current CUDA device, n and k multiples of 8.
        way: one of `NEEDS`.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU is not of the compute capability that the way needs, and nothing else is run instead; or
            CUTLASS's headers or nvcc are missing.
        AispError: nvcc refuses the source, or CUTLASS the product.
    """
    import torch

    ladder.check(a, b, c)
    require(way, *torch.cuda.get_device_capability(a.device))
    check(a, b, c)
    (m, k), n = a.shape, b.shape[0]
    product, sizes = opened(way), (m, n, k, sm_count())
    scratch = torch.empty(product.workspace(*sizes), dtype=torch.uint8, device=a.device)
    stream = torch.cuda.current_stream().cuda_stream
    wrong = product.run(a.data_ptr(), b.data_ptr(), c.data_ptr(), *sizes, scratch.data_ptr(), stream)
    if wrong is not None:
        raise AispError(f"CUTLASS refuses a product of {m} x {n} x {k} by {way}: {wrong.decode()}")


def require(way: str, major: int, minor: int) -> None:
    """Nothing on a GPU that has the instructions of this way.

    Raises:
        EnvironmentLacks: it has not.
    """
    needed = NEEDS[way]
    if architecture(major, minor) != needed:
        number = needed.rstrip("a")
        raise EnvironmentLacks(
            f"unsupported: CUTLASS's {way} needs compute capability {number[:-1]}.{number[-1]}, and this GPU is of {major}.{minor}",
            "run it on a GPU that has it; Hopper's analogue is the pair ch10:tcgen05_warp_specialization_cutlass",
        )


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


def built(way: str) -> Path:
    """The library of a way, built unless the cache has it.

    Raises:
        EnvironmentLacks, AispError: as `building.nvcc.library`, and where CUTLASS's headers are missing.
    """
    return library(source(way), NEEDS[way], [cutlass()])


def code(way: str) -> Path:
    """The machine code of a way's library, as a cubin; errors as of `built`."""
    return code_of_library(source(way), NEEDS[way], [cutlass()])


@cache
def opened(way: str) -> Product:
    """The library of a way as functions, built on first use: that takes nvcc up to a minute and 4 GB of memory.

    Raises:
        EnvironmentLacks, AispError: as `built`.
    """
    face = ctypes.CDLL(str(built(way)))
    face.product_workspace.argtypes = [ctypes.c_int] * 4
    face.product_workspace.restype = ctypes.c_size_t
    face.product_run.argtypes = [*[ctypes.c_void_p] * 3, *[ctypes.c_int] * 4, *[ctypes.c_void_p] * 2]
    face.product_run.restype = ctypes.c_char_p
    return Product(face.product_workspace, face.product_run)


def _trial(seed: int, way: str) -> Trial:
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
LIBRARIES = tuple(
    Library(
        "cutlass",
        one.kernel,
        source(one.kernel),
        one,
        NEEDS[one.kernel],
        partial(code, one.kernel),
        partial(_trial, way=one.kernel),
    )
    for one in _CONTRACTS
)
