"""Attention over whole sequences in one kernel (FlashAttention's forward pass), in CUDA for Hopper: a file a rung, each one idea
further (docs/attention.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.launch import Shape, loaded
from ..rung import Rung, Trial
from .flash_operands import DTYPES, HEAD_DIMS, Operands, declared_bytes, declared_flops, operands, reference

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NAMES", "STEPS", "Step", "declared_bytes", "declared_flops", "flash_attention", "reference", "run"]

FOLDER = Path(__file__).parent
GROUP, GROUP_ROWS = 128, 64
"""Threads of a warp group, and rows of queries that it holds."""
_ELEMENT, _ALIGNED = 2, 1 << 10
_BARRIERS = 256
"""Bytes, at most, of a block's barriers."""


@dataclass(frozen=True, slots=True)
class Step:
    """One source of the ladder.

    Args:
        stem: of the source, behind `flash_`.
        groups: warp groups that multiply, each 64 rows of queries.
        keys: of a block.
        stages: blocks of keys, and as many of values, in shared memory.
        specialized: a warp group more, which asks for copies alone.
    """

    stem: str
    groups: int
    keys: int
    stages: int
    specialized: bool = False

    @property
    def source(self) -> Path:
        return FOLDER / f"flash_{self.stem}.cu"

    @property
    def name(self) -> str:
        return self.stem[3:]

    @property
    def queries(self) -> int:
        return GROUP_ROWS * self.groups

    def shape(self, d: int) -> Shape:
        tiles = (self.queries + 2 * self.stages * self.keys) * d * _ELEMENT
        return Shape(GROUP * (self.groups + self.specialized), _ALIGNED + tiles + _BARRIERS)


STEPS = {step.stem: step for step in (Step("01_blocking", 2, 128, 1),)}
"""By name, from the first to the last."""
NAMES = tuple(STEPS)


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
    grid = -(-queries // step.queries), count, batch
    arguments = (*asked.maps(step.queries, step.keys), asked.task)
    loaded(step.source, f"flash_{step.name}_{asked.kind}").launch(grid, step.shape(d), arguments)


def _contract(step: Step, dtype: str, d: int) -> Contract:
    """What a rung is, in its machine code: each new idea is an instruction that those below do not have."""
    kind = r"\.BF16" if dtype == "bf16" else r"(?!\.BF16)"
    scores, values = d // 16, step.keys // 16
    counts = (
        {rf"\bHGMMA\.64x{d}x16\.F32{kind}": scores + values}
        if d == step.keys
        else {rf"\bHGMMA\.64x{step.keys}x16\.F32{kind}": scores, rf"\bHGMMA\.64x{d}x16\.F32{kind}": values}
    )
    return Contract(
        f"flash_{step.name}_{dtype}_d{d}",
        {**counts, r"\bHGMMA\b": scores + values, r"\bUTMALDG\.5D\b": 3},
        must=(r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b", r"\bMUFU\.EX2\b"),
        must_not=(r"\bHMMA\b", r"\bLDGSTS\b", r"\bLDL\b", r"\bSTL\b", r"\bATOM"),
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
