"""Attention over whole sequences in one kernel (FlashAttention's forward pass), in CUDA for Hopper: a file a rung, each one idea
further (docs/attention.md)."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, loaded, sm_count
from ..driver.memory import clear
from ..rung import Rung, Trial
from .flash_chain import flash_attention_chain
from .flash_operands import DTYPES, HEAD_DIMS, Operands, declared_bytes, declared_flops, operands, reference

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "NAMES",
    "STEPS",
    "Step",
    "declared_bytes",
    "declared_flops",
    "flash_attention",
    "flash_attention_chain",
    "reference",
    "run",
]

FOLDER = Path(__file__).parent
GROUP, GROUP_ROWS = 128, 64
"""Threads of a warp group, and rows of queries that it holds."""
_ELEMENT, _ALIGNED = 2, 1 << 10
_PADDING = 4 * _ALIGNED
"""Bytes, at most, to begin at a multiple of so many, and of the barriers behind the keys, the values and all."""


class OrderCell(ctypes.Structure):
    """`attention::Order` of include/attention/order.cuh."""

    _fields_ = (("taken", ctypes.c_void_p), ("tiles", ctypes.c_int32), ("together", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class Tile:
    """What a block works on at a time, for heads of one width.

    Args:
        groups: warp groups that multiply, each 64 rows of queries.
        keys: of a block of keys.
        stages: blocks of keys, and as many of values, in shared memory.
    """

    groups: int
    keys: int
    stages: int

    @property
    def queries(self) -> int:
        return GROUP_ROWS * self.groups


@dataclass(frozen=True, slots=True)
class Step:
    """One source of the ladder.

    Args:
        stem: of the source, behind `flash_`.
        tiles: by the width of heads.
        specialized: a warp group more, which asks for copies alone.
        persistent: blocks take tile after tile.
    """

    stem: str
    tiles: Mapping[int, Tile]
    specialized: bool = False
    persistent: bool = False

    @property
    def source(self) -> Path:
        return FOLDER / f"flash_{self.stem}.cu"

    @property
    def name(self) -> str:
        return self.stem[3:]

    def shape(self, d: int) -> Shape:
        tile = self.tiles[d]
        bytes_held = (tile.queries + 2 * tile.stages * tile.keys) * d * _ELEMENT
        return Shape(GROUP * (tile.groups + self.specialized), _PADDING + bytes_held)


_ONE, _TWO = ({d: Tile(2, 128, stages) for d in HEAD_DIMS} for stages in (1, 2))
STEPS = {
    step.stem: step
    for step in (
        Step("01_blocking", _ONE),
        Step("02_ring", _TWO),
        Step("03_warp_specialized", _TWO, specialized=True),
        Step("04_ping_pong", _TWO, specialized=True),
        Step("05_block_skipping", {64: Tile(3, 128, 2), 128: Tile(2, 176, 2)}, specialized=True, persistent=True),
    )
}
"""By name, from the first to the last."""
NAMES = tuple(STEPS)
L2_SHARE = 24 << 20
"""Bytes of keys and values that heads worked on at one time may have: less than half of an H200's L2 cache."""


def flash_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    scale: float | None = None,
    rung: str | None = None,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Enqueue out = softmax(scale · q·kᵀ)·v on PyTorch's current stream; the same numbers each time.

    A row that sees no key, as there are where `causal` and more queries than keys, is zeros and its log-sum-exp −∞: what the sums
    over no keys are. PyTorch's own, with a mask, gives NaN there; FlashAttention gives zeros too.

    Args:
        q: bf16 or fp16 [batch, heads, queries, D] on the current CUDA device, D of 64 or 128 contiguous, rows 16-byte aligned;
            otherwise of any strides but expanded ones, as a transposed [batch, queries, heads, D] is.
        k, v: likewise [batch, kv_heads, keys, D]; kv_heads divides heads, and as many heads share one.
        causal: the last query sees all keys and each one before it one less, so that the newest queries see what a cache holds.
            Where there are as many keys as queries this is PyTorch's `is_causal` too.
        scale: above nought; None is 1 / sqrt(D).
        rung: one of `NAMES`; None is the last.
        out: where the result goes, like `q`; overlaps no operand. None makes one of q's strides.

    Returns:
        out, and the log-sum-exp of each row's scaled scores (natural logarithm), fp32 [batch, heads, queries].

    Raises:
        ValueError: dtype, layout, shape, scale, device or rung is not as above.
        EnvironmentLacks: the GPU is not of compute capability 9.0; nothing else is run instead.
        EnvironmentLacks, AispError: as `driver.launch.kernel`.
    """
    import torch

    step = STEPS.get(NAMES[-1] if rung is None else rung)
    if step is None:
        raise ValueError(f"no rung is called {rung}; there are {', '.join(NAMES)}")
    asked = operands(q, k, v, causal, scale, out)
    RUNGS[0].require(architecture(*torch.cuda.get_device_capability(q.device)))
    run(step, asked)
    return asked.out, asked.lse


def run(step: Step, asked: Operands) -> None:
    """`flash_attention` by one step, unchecked."""
    batch, count, queries, d = asked.q.shape
    tile = step.tiles[d]
    tiles, entry = -(-queries // tile.queries), loaded(step.source, f"flash_{step.name}_{asked.kind}")
    arguments = (*asked.maps(GROUP_ROWS if step.persistent else tile.queries, tile.keys), asked.task)
    if not step.persistent:
        entry.launch((tiles, count, batch), step.shape(d), arguments)
        return
    taken = _nought(asked) if asked.causal else None
    order = OrderCell(None if taken is None else taken.data_ptr(), tiles, heads_together(asked))
    entry.launch(min(sm_count(), tiles * count * batch), step.shape(d), (*arguments, order))


def heads_together(asked: Operands) -> int:
    """Of queries, that are worked on at one time: where causal as many as have their keys and values in the L2 cache, so that
    there are enough long tiles to begin with; else one after the other."""
    if not asked.causal:
        return 1
    kv_bytes = 2 * _ELEMENT * asked.k.shape[2] * asked.k.shape[3]
    return int(asked.q.shape[1] // asked.k.shape[1] * max(1, L2_SHARE // kv_bytes))


def _nought(asked: Operands) -> Tensor:
    """A counter of its own for each launch, since others may run at the same time. It costs a memset of 4 bytes."""
    import torch

    counter = torch.empty(1, dtype=torch.int32, device=asked.q.device)
    clear(counter.data_ptr(), 1, torch.cuda.current_stream().cuda_stream)
    return counter


def _under_a_product(exponentials: int) -> str:
    """So many stand between the wait for one product, the scores, and the wait for all: ptxas would rather have them behind."""
    one = r"(?:(?!gsb0|MUFU\.EX2).)*MUFU\.EX2"  # without a choice, so that a search that fails ends too
    return rf"(?s)DEPBAR\.LE gsb0, 0x1\b(?:{one}){{{exponentials}}}"


def _contract(step: Step, dtype: str, d: int) -> Contract:
    """What a rung is, in its machine code: each new idea is an instruction that those below do not have."""
    kind = r"\.BF16" if dtype == "bf16" else r"(?!\.BF16)"
    tile = step.tiles[d]
    scores, values = d // 16, tile.keys // 16
    twice = (
        2 if step.stem >= "04" else 1
    )  # first the scores of one block, last the values of one, else both of neighbours
    counts = Counter({rf"\bHGMMA\.64x{tile.keys}x16\.F32{kind}": twice * scores})
    counts[rf"\bHGMMA\.64x{d}x16\.F32{kind}"] += twice * values
    if step.stem == NAMES[0]:
        # of the queries and of the keys: on one barrier a warp that has yet to see phase 0 ended, once phase 1 has ended too, waits
        # for phase 2, which begins when that warp has come
        counts[r"\bSYNCS\.EXCH\.64\b"] = 2
    overlap = (_under_a_product(tile.keys // 2),) if twice == 2 else ()
    return Contract(
        f"flash_{step.name}_{dtype}_d{d}",
        {
            **counts,
            r"\bHGMMA\b": twice * (scores + values),
            r"\bUSETMAXREG\.DEALLOC\b": int(step.specialized),
            r"\bUSETMAXREG\.TRY_ALLOC\b": int(step.specialized),
        },
        must=(r"\bUTMALDG\.5D\b", r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b", r"\bMUFU\.EX2\b", *overlap),
        must_not=(r"\bHMMA\b", r"\bLDGSTS\b", r"\bLDL\b", r"\bSTL\b", *(() if step.persistent else (r"\bATOM",))),
        max_registers=168 if step.specialized else 192,
        static_shared=_ALIGNED,  # what Hopper keeps for itself
    )


def _trial(seed: int, step: Step, dtype: str, d: int) -> Trial:
    import torch

    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    source = torch.Generator("cuda").manual_seed(seed)
    queries, keys, shared_by = 100 + 117 * seed, 60 + 151 * seed, 1 + seed % 2
    sizes = ((4, queries), (4 // shared_by, keys), (4 // shared_by, keys))
    q, k, v = (torch.randn(2, *size, d, generator=source, device="cuda").to(kind) for size in sizes)
    asked = operands(q, k, v, seed % 2 == 0, None, torch.full_like(q, float("nan")))
    run(step, asked)
    return Trial(asked.out, reference(q, k, v, causal=asked.causal)[0], 4e-3)


RUNGS = tuple(
    Rung(
        "flash_attention",
        f"{step.name}_{dtype}_d{d}",
        step.source,
        step.shape(d),
        _contract(step, dtype, d),
        "90a",
        partial(_trial, step=step, dtype=dtype, d=d),
    )
    for step in STEPS.values()
    for dtype in DTYPES
    for d in HEAD_DIMS
)
