"""A kernel that lasts as long as it is told by the GPU's own clock, and says when it began and ended."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit
def _now():  # type: ignore[no-untyped-def]
    """%globaltimer: nanoseconds, at a resolution that differs from GPU to GPU."""
    return tl.inline_asm_elementwise("mov.u64 $0, %globaltimer;", "=l", [], dtype=tl.int64, is_pure=False, pack=1)


@triton.jit(do_not_specialize=["ns"])
def spin(times, ns):  # type: ignore[no-untyped-def]
    """One program, one warp: int64 begin and end to `times`."""
    begin = _now()
    now = begin
    while now - begin < ns:
        now = _now()
    tl.store(times, begin)
    tl.store(times + 1, now)


def launch(times: Any, ns: int) -> None:
    """Enqueue the kernel on PyTorch's current stream; `times` holds two int64 on the device."""
    spin[(1,)](times, ns, num_warps=1, enable_fp_fusion=True)
