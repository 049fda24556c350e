"""Operators of PyTorch as torch.compile fuses them: Inductor's Triton kernels on CUDA, built in this process at the first call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

_OPTIONS = {
    "compile_threads": 1,  # no pool of processes, which a profiler would trace too
    "emulate_precision_casts": False,  # a product and a sum become one fused multiply-add, whatever Triton's default is
}


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of tensors, whole and for fixed shapes.

    The first call takes seconds and needs a C compiler (`CC`, else gcc or clang): Triton builds its launcher with it.
    """
    import torch

    made: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False, options=_OPTIONS)
    return made
