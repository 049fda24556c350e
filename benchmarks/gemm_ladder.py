"""The GEMM ladder beside cuBLAS on a Hopper GPU: A B B A in one run, random data, clocks as they are (docs/gemm.md).

    python benchmarks/gemm_ladder.py -o FILE.json             # all rungs at 8192³, the last one at a dozen shapes
    python benchmarks/gemm_ladder.py --rungs 07_tma_store --shapes 4096x4096x4096

Launches lie in CUDA graphs, so the host's pace does not count. Operands rotate: between two uses of a set at least twice the L2
cache was read, so each launch finds its operands in device memory.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch
from aisp_prof.kernels.gemm.ladder import NAMES, declared_bytes, declared_flops, matmul  # noqa: TID251

CUBE = (8192, 8192, 8192)
SHAPES = (
    (2048, 2048, 2048),
    (3072, 3072, 3072),
    (4096, 4096, 4096),
    (6144, 6144, 6144),
    CUBE,
    (12288, 12288, 12288),
    (16384, 16384, 16384),
    (4096, 4096, 8192),
    (16384, 2048, 4096),
    (2048, 16384, 4096),
    (4104, 4104, 4104),
    (8000, 5000, 3000),
)
SAMPLE_MS = 12.0
Product = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]


@dataclass(frozen=True)
class Measured:
    """A rung and cuBLAS on one shape; milliseconds a product, every sample."""

    rung: str
    shape: tuple[int, int, int]
    sets: int
    rung_ms: list[float]
    cublas_ms: list[float]

    @property
    def ratio(self) -> float:
        """cuBLAS's time over the rung's: the median over pairs of neighbours in A B B A."""
        return statistics.median(c / r for c, r in zip(self.cublas_ms, self.rung_ms, strict=True))

    def tflops(self, samples: Sequence[float]) -> float:
        return declared_flops(*self.shape) / statistics.median(samples) / 1e9


class Operands:
    """Sets of A, B and C that are used in turn."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        m, n, k = shape
        l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
        self.count = max(2, math.ceil(2 * l2_bytes / declared_bytes(m, n, k)) + 1)
        self.sets = [
            tuple(torch.randn(*s, device="cuda").bfloat16() for s in ((m, k), (n, k), (m, n)))
            for _ in range(self.count)
        ]

    def graph(self, product: Product, repeats: int) -> torch.cuda.CUDAGraph:
        product(*self.sets[0])
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for at in range(repeats):
                product(*self.sets[at % self.count])
        return graph


def cublas(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
    torch.mm(a, b.t(), out=c)


def measure(rung: str, shape: tuple[int, int, int], rounds: int, product: Product | None = None) -> Measured:
    operands = Operands(shape)
    repeats = max(operands.count, math.ceil(SAMPLE_MS / (declared_flops(*shape) / 7e11)))
    own = product or (lambda a, b, c: matmul(a, b, c, rung=rung))
    graphs = {"rung": operands.graph(own, repeats), "cublas": operands.graph(cublas, repeats)}
    samples: dict[str, list[float]] = {"rung": [], "cublas": []}
    for number in range(-1, rounds):  # the first round warms up
        for name in ("rung", "cublas", "cublas", "rung"):
            took = timed(graphs[name]) / repeats
            if number >= 0:
                samples[name].append(took)
    return Measured(rung, shape, operands.count, samples["rung"], samples["cublas"])


def timed(graph: torch.cuda.CUDAGraph) -> float:
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    before.record()
    graph.replay()
    after.record()
    after.synchronize()
    return float(before.elapsed_time(after))


def sized(text: str) -> tuple[int, int, int]:
    m, n, k = map(int, text.split("x"))
    return m, n, k


def line(one: Measured) -> str:
    own, other = one.tflops(one.rung_ms), one.tflops(one.cublas_ms)
    shape = "x".join(map(str, one.shape))
    return f"{one.rung:22} {shape:18} {own:7.1f} TFLOP/s  cuBLAS {other:7.1f}  ratio {one.ratio:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", nargs="*", default=NAMES)
    parser.add_argument("--shapes", nargs="*", help="MxNxK; for every rung. Default: 8192³, and a dozen for the last")
    parser.add_argument("--rounds", type=int, default=6, help="of A B B A")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    asked = [sized(shape) for shape in given.shapes or ()]
    todo = [(rung, shape) for rung in given.rungs for shape in asked or (SHAPES if rung == NAMES[-1] else [CUBE])]
    measured = []
    for rung, shape in todo:
        measured.append(measure(rung, shape, given.rounds))
        print(line(measured[-1]), flush=True)
        torch.cuda.empty_cache()
    last = [one.ratio for one in measured if one.rung == NAMES[-1]]
    if last:
        print(
            f"{NAMES[-1]}: geometric mean {statistics.geometric_mean(last):.3f}, least {min(last):.3f} of {len(last)}"
        )
    if given.output:
        driver = torch.cuda.get_device_name(0), torch.version.cuda, date.today().isoformat()
        given.output.write_text(json.dumps({"device": driver, "measured": [asdict(one) for one in measured]}))


if __name__ == "__main__":
    main()
