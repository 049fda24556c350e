"""Runs the Triton kernels of paged attention in Triton's interpreter, in fp32, and prints how far they are from PyTorch's.

A program of its own, because Triton decides when it is imported whether it compiles or interprets.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import torch
from aisp_prof.kernels.attention import paged_attention, paged_attention_triton
from triton.runtime import interpreter

LENGTHS = (77, 15, 16, 0)
"""Within a page, before a page's last slot, at a page's end, and nothing yet."""


def mend_the_interpreter() -> None:
    """NumPy 2.4 refuses int(a) for an array of one element, by which Triton 3.6 reads the bounds of a loop."""
    patch = interpreter._patch_lang_tensor

    def patched(tensor: Any, *scope: Any) -> None:
        """Since 3.5 in a scope, which sets attributes and puts the old ones back; before that for good."""
        patch(tensor, *scope)
        (scope[0].set_attr if scope else setattr)(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched


def errors(heads: int, kv_heads: int, splits: int, d: int = 32, page: int = 16) -> dict[str, float]:
    """Relative errors of what append and attention write, for lengths in a pool of NaN."""
    source = torch.Generator().manual_seed(heads)
    pages = max(LENGTHS) // page + 1
    table = torch.randperm(len(LENGTHS) * pages, generator=source).view(len(LENGTHS), pages).int()
    lengths = torch.tensor(LENGTHS)
    keys, values = (torch.full((table.numel(), kv_heads, page, d), float("nan")) for _ in range(2))
    for sequence, length in enumerate(LENGTHS):
        for position in range(length):
            where = int(table[sequence, position // page]), slice(None), position % page
            for pool in (keys, values):
                pool[where] = torch.randn(kv_heads, d, generator=source)
    cosine, sine = (t.float() for t in paged_attention.rotary_tables(max(LENGTHS) + 1, d))
    qkv = torch.randn(len(LENGTHS), heads + 2 * kv_heads, d, generator=source)
    q, out = (torch.full((len(LENGTHS), heads, d), float("nan")) for _ in range(2))
    paged_attention_triton.launch_append(qkv, cosine, sine, lengths, table, q, keys, values)
    scratch = paged_attention.parts(len(LENGTHS), kv_heads, heads // kv_heads, d, splits, "cpu")
    paged_attention_triton.launch_attend(q, keys, values, table, lengths, scratch, out)
    found = {"q": 0.0, "key": 0.0, "value": 0.0, "out": 0.0}
    for n, length in enumerate(LENGTHS):
        turned = paged_attention.rotate(qkv[n, : heads + kv_heads], cosine[length], sine[length])
        k, v = (paged_attention.gathered(pool, table[n], length + 1) for pool in (keys, values))
        expected = paged_attention.dense(q[n].double()[:, None], k.double(), v.double())[:, 0]
        checks = {
            "q": (q[n], turned[:heads]),
            "key": (k[:, -1], turned[heads:]),
            "value": (v[:, -1], qkv[n, heads + kv_heads :]),
            "out": (out[n], expected),
        }
        for name, (got, wanted) in checks.items():
            error = float((got.double() - wanted.double()).norm() / wanted.double().norm())
            found[name] = max(found[name], error if math.isfinite(error) else math.inf)
    return found


if __name__ == "__main__":
    mend_the_interpreter()
    json.dump([errors(8, 2, 4), errors(4, 4, 1), errors(16, 1, 8)], sys.stdout)
