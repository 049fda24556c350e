"""Runs the paged KV cache's Triton kernels in Triton's interpreter, without a GPU; a process of its own, as the choice between
interpreter and compiler is made when Triton is imported. Prints a JSON line for each case.

Triton 3.6's interpreter is helped over two gaps: NumPy 2.4 makes no number of an array of one element, and products of bf16
were taken of its bits. It also cuts bf16 off where a GPU rounds, so its errors are about twice a GPU's.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch
from aisp_prof.kernels.attention import paged_kv_triton as kernels
from aisp_prof.kernels.attention.paged_kv import Decode, on_host, reference
from triton.runtime import interpreter


def help_the_interpreter() -> None:
    patch, dot = interpreter._patch_lang_tensor, interpreter.InterpreterBuilder.create_dot

    def patch_tensor(tensor: Any, *scope: Any) -> None:
        """Since 3.5 in a scope, which sets attributes and puts the old ones back; before that for good."""
        patch(tensor, *scope)
        (scope[0].set_attr if scope else setattr)(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def wide(handle: Any) -> Any:
        if handle.data.dtype != np.uint16:
            return handle
        return interpreter.TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), interpreter.tl.float32)

    interpreter._patch_lang_tensor = patch_tensor
    interpreter.InterpreterBuilder.create_dot = lambda self, a, b, *rest: dot(self, wide(a), wide(b), *rest)


def decode_of(tokens: int, steps: int, seed: int = 1) -> Decode:
    """Three sequences of two heads of three queries; what lies behind the tokens is NaN."""
    source = torch.Generator().manual_seed(seed)
    sequences, heads, group, dim, page = 3, 2, 3, 16, 16
    each = -(-(tokens + steps) // page)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=source).bfloat16()

    table = torch.randperm(sequences * each, generator=source).int().view(sequences, each)
    caches = [normal(sequences * each, heads, page, dim) for _ in range(2)]
    new = [normal(steps, sequences, heads, dim) for _ in range(2)]
    q = normal(steps, sequences, heads, group, dim)
    positions = torch.arange(tokens, each * page)
    for cache in caches:
        cache[table[:, positions // page].long(), :, positions % page] = float("nan")
    return Decode(*caches, table, *new, q, torch.full_like(q, float("nan")), tokens)


def case(tokens: int, splits: int, together: int = 1, steps: int = 2) -> dict[str, Any]:
    """`together` sequences a launch, of three."""
    d = decode_of(tokens, steps)
    host = replace(d, k_cache=d.k_cache.clone(), v_cache=d.v_cache.clone(), out=d.out.clone())
    scratch = kernels.Scratch(d, splits)
    scratch.poison()
    new, read = (d.k_new, d.v_new), (d.q, d.out, scratch.sums, scratch.extremes, scratch.arrivals)
    append, attend = on_host(host)
    for step in range(steps):
        for first in range(0, 3, together):
            numbers = (step, first, tokens + step)
            cache = (d.k_cache, d.v_cache, d.table)
            kernels.kv_append[(2, together)](*cache, *new, *numbers, **kernels.constants(d))
            kernels.kv_attend[(2, splits * together)](*cache, *read, *numbers, **kernels.attend_constants(d, splits))
            for sequence in range(first, first + together):
                append(step, sequence)
                attend(step, sequence)
    expected = reference(d)
    return {
        "tokens": tokens,
        "splits": splits,
        "together": together,
        "error": float((d.out.double() - expected).norm() / expected.norm()),
        "appended": torch.equal(d.k_cache.view(torch.int16), host.k_cache.view(torch.int16))
        and torch.equal(d.v_cache.view(torch.int16), host.v_cache.view(torch.int16)),
        "arrivals": int(scratch.arrivals.abs().sum()),
    }


def main() -> None:
    help_the_interpreter()
    for tokens, splits in ((0, 2), (15, 1), (15, 3), (16, 2), (62, 1), (62, 2), (62, 5)):
        print(json.dumps(case(tokens, splits)))
    for tokens, splits in ((15, 3), (62, 1), (62, 2)):
        print(json.dumps(case(tokens, splits, together=3)))


if __name__ == "__main__":
    sys.exit(main())
