"""The attention ladder beside PyTorch's SDPA on a Hopper GPU: A B B A in one run, N(0, 1) data, clocks as they are (docs/attention.md).

    python benchmarks/attention_ladder.py -o FILE.json             # all rungs at B4 H16 S8192 D128, the last at two dozen shapes
    python benchmarks/attention_ladder.py --rungs 04_ping_pong --shapes 4x16x8192x128 4x32x4096x128c

A shape is batch x heads x length x D, and `c` for causal. Two anchors: SDPA's cuDNN path, and its FlashAttention-2 path. FLOPs are
4·B·H·S²·D, half of that where causal, as the field counts.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch
from aisp_prof.kernels.attention.flash import NAMES, flash_attention  # noqa: TID251
from torch.nn.attention import SDPBackend, sdpa_kernel

SAMPLE_MS = 12.0
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
ANCHORS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}
Call = Callable[[], object]


class Shape(NamedTuple):
    batch: int
    heads: int
    length: int
    d: int
    causal: bool

    @property
    def flops(self) -> float:
        return 4 * self.batch * self.heads * self.length**2 * self.d * (0.5 if self.causal else 1)

    def __str__(self) -> str:
        return "x".join(map(str, self[:4])) + "c" * self.causal


LONG = Shape(4, 16, 8192, 128, causal=False)
GRID = [
    Shape(32768 // length, 16, length, d, causal)
    for d in (128, 64)
    for causal in (False, True)
    for length in (2048, 8192, 16384)
]
"""32768 tokens each."""
MORE = [Shape(4, 32, 4096, 128, causal=True), Shape(2, 16, 8192, 128, causal=False)]


@dataclass(frozen=True)
class Measured:
    """A rung and the anchors on one shape; milliseconds a call, every sample."""

    rung: str
    shape: str
    dtype: str
    ms: dict[str, list[float]]
    tflops: dict[str, float]

    def ratio(self, anchor: str) -> float:
        """The anchor's time over the rung's: the median over the places in A B B A."""
        return statistics.median(a / r for a, r in zip(self.ms[anchor], self.ms["rung"], strict=True))


def calls(rung: str, shape: Shape, dtype: torch.dtype) -> dict[str, Call]:
    sizes = shape.batch, shape.heads, shape.length, shape.d
    q, k, v = (torch.randn(sizes, device="cuda").to(dtype) for _ in range(3))
    out = torch.empty_like(q)

    def anchor(backend: SDPBackend) -> Call:
        def call() -> object:
            with sdpa_kernel(backend):
                return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=shape.causal)

        return call

    own = {"rung": lambda: flash_attention(q, k, v, causal=shape.causal, rung=rung, out=out)}
    return own | {name: anchor(backend) for name, backend in ANCHORS.items()}


def measure(rung: str, shape: Shape, dtype: str, rounds: int) -> Measured:
    todo = calls(rung, shape, DTYPES[dtype])
    repeats = max(1, math.ceil(SAMPLE_MS / (shape.flops / 5e11)))
    ms: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(-1, rounds):  # the first round warms up
        for name in (*todo, *reversed(todo)):
            took = timed(todo[name], repeats)
            if number >= 0:
                ms[name].append(took)
    rates = {name: shape.flops / statistics.median(samples) / 1e9 for name, samples in ms.items()}
    return Measured(rung, str(shape), dtype, ms, rates)


def timed(call: Call, repeats: int) -> float:
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    before.record()
    for _ in range(repeats):
        call()
    after.record()
    after.synchronize()
    return float(before.elapsed_time(after)) / repeats


def sized(text: str) -> Shape:
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)x(\d+)(c?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not batch x heads x length x D, and c for causal")
    batch, heads, length, d = map(int, found.groups()[:4])
    return Shape(batch, heads, length, d, bool(found[5]))


def line(one: Measured) -> str:
    rates = "  ".join(f"{name} {rate:6.1f}" for name, rate in one.tflops.items())
    ratios = "  ".join(f"{one.ratio(name):.3f} x {name}" for name in ANCHORS)
    return f"{one.rung:20} {one.shape:18} {one.dtype}  TFLOP/s: {rates}   {ratios}"


def summary(measured: Sequence[Measured]) -> str:
    ratios = [one.ratio("cudnn") for one in measured if one.rung == NAMES[-1]]
    return (
        f"{NAMES[-1]} beside cuDNN: geometric mean {statistics.geometric_mean(ratios):.3f}, least {min(ratios):.3f} "
        f"of {len(ratios)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", nargs="*", default=NAMES)
    parser.add_argument("--shapes", nargs="*", type=sized, help="for every rung")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--rounds", type=int, default=4, help="of A B C C B A")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    every = [LONG, *(shape for shape in GRID if shape != LONG), *MORE]
    measured = []
    for rung in given.rungs:
        for shape in given.shapes or (every if rung == NAMES[-1] else [LONG, LONG._replace(causal=True)]):
            measured.append(measure(rung, shape, given.dtype, given.rounds))
            print(line(measured[-1]), flush=True)
            torch.cuda.empty_cache()
    if any(one.rung == NAMES[-1] for one in measured):
        print(summary(measured))
    if given.output:
        device = torch.cuda.get_device_name(0), torch.version.cuda, date.today().isoformat()
        given.output.write_text(json.dumps({"device": device, "measured": [asdict(one) for one in measured]}))


if __name__ == "__main__":
    main()
