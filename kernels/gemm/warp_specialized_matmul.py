"""x·Wᵀ in bf16 with fp32 sums, in one Triton kernel: compiled as it is, and asked to specialize its warps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..building.contract import disassemble

if TYPE_CHECKING:
    from torch import Tensor

MULTIPLES = {"m": 128, "n": 256, "k": 64}
"""What the Triton kernel's tile sizes must divide; on a CPU any size will do."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the kernel is compiled: `warps` that Triton is told of, and whether the loop over k asks for specialization."""

    warps: int
    specialize: bool


FORMS: Mapping[str, Form] = {"plain": Form(8, False), "asked": Form(8, True)}
"""With eight warps Triton 3.6.0 leaves the request aside for Hopper without a word; for Blackwell it specializes."""

SPECIALIZED = Form(4, True)
"""With four warps Triton 3.6.0 specializes for Hopper too (3.9.0 fails to compile it): it adds eight, one group of four then loads, two compute half a tile
each. It is compiled in the tests and never launched: on an H200 a product of 512 x 512 x 512 did not end in 25 s, nor one of 8192
(2026-11-21, Triton 3.6.0, driver 580.159.04)."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What Triton made: all warps of a block, those that it added included, and the machine code, a cubin."""

    warps: int
    cubin: bytes


def matmul(x: Tensor, w: Tensor, y: Tensor, form: str) -> Compiled | None:
    """Write x·Wᵀ to y by the kernel in one of `FORMS`, enqueued on the current stream; what ran, None on a CPU.

    Args:
        x, w, y: contiguous bf16 [m, k], [n, k] and [m, n] on one device, not overlapping.

    On a CPU PyTorch's operators run in fp32, whatever the form.

    Raises:
        ValueError: dtype, layout or shape is not as above, or on CUDA not of the multiples; no such form.
    """
    _check(x, w, y, form)
    if x.device.type != "cuda":
        y.copy_(x.float() @ w.float().T)
        return None
    from .warp_specialized_matmul_triton import launch

    return launch(x, w, y, FORMS[form])


def instructions(made: Compiled) -> Mapping[str, int]:
    """How often each opcode, with its modifiers, stands in the machine code.

    Raises:
        EnvironmentLacks, AispError: as `disassemble`.
    """
    with TemporaryDirectory(prefix="aisp-prof-") as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(made.cubin)
        (code,) = disassemble(path).values()
    return code.instructions


def reference(x: Tensor, w: Tensor) -> Tensor:
    """The same in fp64 for the given bf16 values; [m, n]."""
    return x.double() @ w.double().T


def _check(x: Tensor, w: Tensor, y: Tensor, form: str) -> None:
    import torch

    if form not in FORMS:
        raise ValueError(f"no form is called {form!r}; there are: {', '.join(FORMS)}")
    for name, tensor in (("x", x), ("w", w), ("y", y)):
        if tensor.dtype is not torch.bfloat16 or not tensor.is_contiguous() or tensor.dim() != 2:
            raise ValueError(f"{name} must be a contiguous bf16 matrix, not {tensor.dtype} {tuple(tensor.shape)}")
    if x.shape[1] != w.shape[1] or y.shape != (x.shape[0], w.shape[0]):
        raise ValueError(f"x, w and y do not fit: {tuple(x.shape)}, {tuple(w.shape)}, {tuple(y.shape)}")
    sizes = {"m": x.shape[0], "n": w.shape[0], "k": x.shape[1]}
    if x.device.type == "cuda" and any(sizes[name] % MULTIPLES[name] for name in sizes):
        raise ValueError(f"m, n and k must be multiples of {MULTIPLES}, not {sizes}")
