"""Attention as a chain of launches, three for each chunk of keys, in CUDA: what one kernel (`flash`) saves.

Scores, their exponentials and the sums so far go through device memory from launch to launch.
"""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, loaded
from ..driver.tensor_map import heads, tiled
from ..rung import Rung, Trial
from .flash_operands import DTYPES, HEAD_DIMS, Operands, operands, reference

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cu")
TILE, PANEL, THREADS, WARPS = 128, 64, 256, 8
CHUNK = 1024
"""Keys of a chunk."""
_ALIGNED = 1 << 10
_SOFTMAX = Shape(THREADS)


class ChunkCell(ctypes.Structure):
    """`Chunk` of flash_chain.cu."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("scores", "powers", "largest", "sum", "shrink", "products")),
        *((name, ctypes.c_int32) for name in ("first", "width", "last")),
    )


def flash_attention_chain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    scale: float | None = None,
    out: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """`flash.flash_attention` by three launches for each `chunk` keys; arguments, results and errors are the same.

    It takes memory for the scores of one chunk, 6 bytes each, and for the sums in fp32.

    Args:
        chunk: keys that three launches deal with, a multiple of 64.
    """
    import torch

    if chunk < PANEL or chunk % PANEL:
        raise ValueError(f"a chunk must be a multiple of {PANEL} keys, not {chunk}")
    asked = operands(q, k, v, causal, scale, out)
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(q.device)))
    run(asked, chunk)
    return asked.out, asked.lse


def run(asked: Operands, chunk: int) -> None:
    """`flash_attention_chain`, unchecked."""
    import torch

    count, keys, d = asked.lse.numel(), asked.k.shape[2], asked.q.shape[3]
    width = min(chunk, -(-keys // 8) * 8)  # rows of a tensor map are 16-byte aligned
    scores, powers = (torch.empty(count * width, dtype=kind, device=asked.q.device) for kind in _kinds(asked))
    largest, sums, shrink = (torch.empty(count, dtype=torch.float32, device=asked.q.device) for _ in range(3))
    products = torch.empty(count * d, dtype=torch.float32, device=asked.q.device)
    places = [tensor.data_ptr() for tensor in (scores, powers, largest, sums, shrink, products)]
    for first in range(0, keys, chunk):
        wide = min(chunk, -(-(keys - first) // 8) * 8)
        cell = ChunkCell(*places, first, wide, first + chunk >= keys)
        _launch(asked, cell, powers[: count * wide].view(count, wide))


def _kinds(asked: Operands) -> tuple[object, object]:
    import torch

    return torch.float32, asked.q.dtype


def _launch(asked: Operands, cell: ChunkCell, powers: Tensor) -> None:
    batch, count, queries, d = asked.q.shape
    tiles, task = -(-queries // TILE), asked.task
    q, k, _ = asked.maps(TILE, TILE)
    scores, softmax, values = (
        loaded(SOURCE, f"chain_{what}_{kind}")
        for what, kind in (("scores", asked.kind), ("softmax", asked.kind.partition("_")[0]), ("values", asked.kind))
    )
    scores.launch((tiles, -(-cell.width // TILE), batch * count), _scores(d), (q, k, task, cell))
    softmax.launch(-(-powers.shape[0] // WARPS), _SOFTMAX, (task, cell))
    maps = tiled(powers, TILE, PANEL), heads(asked.v, PANEL)
    values.launch((tiles, batch * count), _values(d), (*maps, task, cell))


def _scores(d: int) -> Shape:
    return Shape(THREADS, 2 * _ALIGNED + 2 * TILE * d * 2)


def _values(d: int) -> Shape:
    return Shape(THREADS, 2 * _ALIGNED + (TILE + d) * PANEL * 2)


def _contract(what: str, dtype: str, d: int) -> Contract:
    kind = r"\.BF16" if dtype == "bf16" else r"(?!\.BF16)"
    products, width = (d // 16, TILE) if what == "scores" else (PANEL // 16, d)
    return Contract(
        f"chain_{what}_{dtype}_d{d}",
        {rf"\bHGMMA\.64x{width}x16\.F32{kind}": products, r"\bHGMMA\b": products, r"\bMUFU\.EX2\b": 0},
        (r"\bUTMALDG\.5D\b", r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b"),
        (r"\bLDL\b", r"\bSTL\b", r"\bATOM"),
        128,
        _ALIGNED,
    )


def _softmax_contract(dtype: str) -> Contract:
    return Contract(
        f"chain_softmax_{dtype}", {}, (r"\bMUFU\.EX2\b",), (r"\bHGMMA\b", r"\bLDL\b", r"\bSTL\b"), 64, _ALIGNED
    )


def _trial(seed: int, dtype: str, d: int) -> Trial:
    import torch

    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    source = torch.Generator("cuda").manual_seed(seed)
    q, k, v = (
        torch.randn(2, count, length, d, generator=source, device="cuda").to(kind)
        for count, length in ((4, 90 + 111 * seed), (2, 50 + 171 * seed), (2, 50 + 171 * seed))
    )
    asked = operands(q, k, v, seed % 2 == 0, None, torch.full_like(q, float("nan")))
    run(asked, 128)
    return Trial(asked.out, reference(q, k, v, causal=asked.causal)[0], 4e-3)


def _rung(what: str, contract: Contract, shape: Shape, dtype: str, d: int) -> Rung:
    name = contract.kernel.removeprefix("chain_")
    return Rung("flash_attention_chain", name, SOURCE, shape, contract, "90a", partial(_trial, dtype=dtype, d=d))


RUNGS = tuple(
    _rung(what, _contract(what, dtype, d), shape(d), dtype, d)
    for what, shape in (("scores", _scores), ("values", _values))
    for dtype in DTYPES
    for d in HEAD_DIMS
) + tuple(_rung("softmax", _softmax_contract(dtype), _SOFTMAX, dtype, 128) for dtype in DTYPES)
