"""Decode attention over a paged cache by one kernel: clusters split the keys, and their results meet in shared memory (DSMEM)."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, loaded
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
CLUSTER, GROUP, D, PAGE, THREADS = 8, 4, 128, 64, 128
_STAGES = 3
_SHARED = _STAGES * 2 * PAGE * D * 2 + GROUP * D * 2 + 2 * GROUP * (PAGE + 1) * 4 + GROUP * (2 + D) * 4 + _STAGES * 8
SHAPE = Shape(THREADS, _SHARED, CLUSTER)


class CacheCell(ctypes.Structure):
    """`Cache` of cluster_decode.cu."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("q", "keys", "values", "out", "table", "lengths")),
        ("kv_heads", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("scale", ctypes.c_float),
    )


def attend(q: Tensor, k_pages: Tensor, v_pages: Tensor, table: Tensor, lengths: Tensor, out: Tensor) -> None:
    """softmax(q·kᵀ / sqrt(D))·v over each sequence's first lengths + 1 tokens, into `out`, enqueued on PyTorch's current stream.

    Args:
        q, out: contiguous bf16 [sequences, heads, D] on the current CUDA device; `GROUP` heads share a key.
        k_pages, v_pages: contiguous bf16 [pages, heads / GROUP, PAGE, D].
        table: int32 [sequences, n], the pages of each sequence.
        lengths: int64 [sequences]. What is in `lengths` and `table` is not checked.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
        EnvironmentLacks: the GPU has no clusters; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    kv_heads = _check(q, k_pages, v_pages, table, lengths, out)
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(q.device)))
    scale = math.log2(math.e) / math.sqrt(D)
    addresses = (tensor.data_ptr() for tensor in (q, k_pages, v_pages, out, table, lengths))
    cell = CacheCell(*addresses, kv_heads, table.shape[1], scale)
    loaded(SOURCE, "decode_cluster").launch(q.shape[0] * kv_heads * CLUSTER, SHAPE, (cell,))


def _check(q: Tensor, k_pages: Tensor, v_pages: Tensor, table: Tensor, lengths: Tensor, out: Tensor) -> int:
    """Heads of keys and values."""
    import torch

    kinds = {torch.bfloat16: (q, k_pages, v_pages, out), torch.int32: (table,), torch.int64: (lengths,)}
    for kind, tensors in kinds.items():
        for tensor in tensors:
            if tensor.dtype != kind or not tensor.is_contiguous() or not tensor.is_cuda:
                raise ValueError(f"tensors must be contiguous {kind} on CUDA, not {tensor.dtype} on {tensor.device}")
    sequences, heads, d = q.shape
    kv_heads = k_pages.shape[1]
    fits = out.shape == q.shape and k_pages.shape == v_pages.shape and k_pages.shape[2:] == (PAGE, D) and d == D
    if not fits or heads != GROUP * kv_heads or table.shape[0] != sequences or lengths.shape != (sequences,):
        raise ValueError(f"q {tuple(q.shape)}, pages {tuple(k_pages.shape)} and table {tuple(table.shape)} do not fit")
    return int(kv_heads)


CONTRACT = Contract(
    "decode_cluster",
    {r"\bUCGABAR_ARV\b": 2},
    (r"\bUBLKCP\.S\.G\b", r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b", "0x654"),
    (r"\bSTL\b", r"\bLDL\b", r"\bLDGSTS\b", r"\bATOM"),
    128,
)


def _trial(seed: int) -> Trial:
    import torch

    from . import paged_attention

    source = torch.Generator("cuda").manual_seed(seed)
    sequences, kv_heads, width = 3, 2, 20
    shape = sequences * width, kv_heads, PAGE, D
    k_pages, v_pages = (torch.randn(shape, generator=source, device="cuda").bfloat16() for _ in "kv")
    q = torch.randn(sequences, GROUP * kv_heads, D, generator=source, device="cuda").bfloat16()
    order = torch.randperm(sequences * width, generator=source, device="cuda").to(torch.int32)
    table, lengths = order.view(sequences, width), torch.tensor([0, 63 + 64 * seed, 1279], device="cuda")
    out = torch.full_like(q, float("nan"))
    attend(q, k_pages, v_pages, table, lengths, out)
    wanted = torch.empty_like(q, dtype=torch.float64)
    for sequence, tokens in enumerate((lengths + 1).tolist()):
        k, v = (paged_attention.gathered(pool, table[sequence], tokens).double() for pool in (k_pages, v_pages))
        wanted[sequence] = paged_attention.dense(q[sequence].double()[:, None], k, v)[:, 0]
    return Trial(out, wanted, 4e-3)


RUNGS = (Rung("decode", "cluster", SOURCE, SHAPE, CONTRACT, "90", _trial),)
