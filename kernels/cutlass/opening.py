"""CUTLASS's kernels as libraries: each built from the source of its name on first use, opened once, and enqueued."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import AispError, EnvironmentLacks
from ..building.contract import Contract
from ..building.headers import cutlass
from ..building.nvcc import architecture, code_of_library, library
from ..driver.launch import sm_count
from ..rung import Library, Trial

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
BF16 = ("multistage", "cp_async", "single", "cooperative", "pingpong", "one_sm", "two_sm")
FP8 = ("fp8_auto", "fp8_fast", "fp8_pingpong", "fp8_cooperative")
NEEDS = dict.fromkeys((*BF16, *FP8), "90a") | {"one_sm": "100a", "two_sm": "100a"}
"""Way, which is the name of its source, -> the only target of nvcc's that it is built for; Ampere's too is built for Hopper."""


@dataclass(frozen=True, slots=True)
class Product:
    """One kernel's library, opened: bytes of scratch memory for a product, and what enqueues it."""

    workspace: Callable[..., int]
    run: Callable[..., bytes | None]


def source(way: str) -> Path:
    return FOLDER / f"{way}.cu"


def enqueue(way: str, a: Tensor, b: Tensor, c: Tensor, scale: float) -> None:
    """c = scale · a·bᵀ on PyTorch's current stream; what the tensors are must have been checked.

    Raises:
        EnvironmentLacks: the GPU is not of the compute capability that the way needs, and nothing else is run instead; or
            CUTLASS's headers or nvcc are missing.
        AispError: nvcc refuses the source, or CUTLASS the product.
    """
    import torch

    require(way, *torch.cuda.get_device_capability(a.device))
    (m, k), n = a.shape, b.shape[0]
    product, sizes = opened(way), (m, n, k, sm_count())
    scratch = torch.empty(product.workspace(*sizes), dtype=torch.uint8, device=a.device)
    stream = torch.cuda.current_stream().cuda_stream
    wrong = product.run(a.data_ptr(), b.data_ptr(), c.data_ptr(), scale, *sizes, scratch.data_ptr(), stream)
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
    face.product_run.argtypes = [*[ctypes.c_void_p] * 3, ctypes.c_float, *[ctypes.c_int] * 4, *[ctypes.c_void_p] * 2]
    face.product_run.restype = ctypes.c_char_p
    return Product(face.product_workspace, face.product_run)


def declared(operation: str, contracts: Iterable[Contract], trial: Callable[[str, int], Trial]) -> tuple[Library, ...]:
    """The libraries of these contracts, each of which is called as its source is."""
    return tuple(
        Library(
            operation,
            one.kernel,
            source(one.kernel),
            one,
            NEEDS[one.kernel],
            partial(code, one.kernel),
            partial(trial, one.kernel),
        )
        for one in contracts
    )
