"""Weights in NVFP4 on a Hopper GPU, every way to divide the product beside widening first: A B B A, random data (docs/nvfp4.md).

    python benchmarks/nvfp4_products.py -o FILE.json
    python benchmarks/nvfp4_products.py --shapes 7168x16384 --rounds 4

Sixteen weights in turn, so that each comes from device memory; launches lie in CUDA graphs, so the host's pace does not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch
from aisp_prof.kernels.nvfp4 import format as nvfp4  # noqa: TID251
from aisp_prof.kernels.nvfp4 import weights  # noqa: TID251

SHAPES = ((7168, 16384), (4096, 7168), (7168, 2048))
SETS, BATCH = 16, 128
LEAST_BLOCKS = 80
"""Of the 132 multiprocessors: ways that occupy fewer are left out."""


@dataclass(frozen=True)
class Measured:
    """One way at one shape: milliseconds for all weights, every sample, and the error against fp64 where it computes y."""

    shape: tuple[int, int]
    way: str
    ms: list[float]
    error: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.ms)


class Products:
    """Sixteen weights of one shape, as every way needs them."""

    def __init__(self, n: int, k: int) -> None:
        self.n, self.k = n, k
        matrices = (torch.randn(n, k, device="cuda") * k**-0.5 for _ in range(SETS))
        self.packed = [nvfp4.pack(matrix, 1e-5) for matrix in matrices]
        self.arranged = [weights.arranged(one) for one in self.packed]
        self.x = torch.randn(BATCH, k, device="cuda").bfloat16()
        self.y = torch.empty(SETS, BATCH, n, dtype=torch.bfloat16, device="cuda")
        self.wide = [torch.empty(n, k, dtype=torch.bfloat16, device="cuda") for _ in range(SETS)]
        self.widen_all()

    def widen_all(self) -> None:
        for packed, wide in zip(self.packed, self.wide, strict=True):
            weights.widen(packed, wide)

    def cublas(self) -> None:
        for wide, y in zip(self.wide, self.y, strict=True):
            torch.addmm(y, self.x, wide.t(), beta=0, alpha=1e-5, out=y)

    def widen_then_multiply(self) -> None:
        """Into one matrix, as it would be where memory is short."""
        for packed, y in zip(self.packed, self.y, strict=True):
            weights.widen(packed, self.wide[0])
            torch.addmm(y, self.x, self.wide[0].t(), beta=0, alpha=packed.scale, out=y)

    def by(self, cut: weights.Cut) -> Callable[[], None]:
        def go() -> None:
            for arranged, y in zip(self.arranged, self.y, strict=True):
                weights.matmul(self.x, arranged, y, cut)

        return go

    def ways(self) -> dict[str, Callable[[], None]]:
        multiprocessors = torch.cuda.get_device_properties(0).multi_processor_count
        cuts = [weights.Cut(rows, blocks) for rows in weights.STAGES for blocks in range(1, 9)]
        kept = [cut for cut in cuts if LEAST_BLOCKS <= self.n // cut.rows * cut.blocks <= multiprocessors]
        own = {f"{cut.rows} rows, {cut.blocks} blocks": self.by(cut) for cut in kept}
        return {"baseline": self.widen_then_multiply, "widening": self.widen_all, "cuBLAS": self.cublas, **own}

    def error(self, way: str, go: Callable[[], None]) -> float | None:
        if way == "widening":
            return None
        self.widen_all()
        self.y.fill_(float("nan"))
        go()
        right = weights.reference(self.x, self.packed[3])
        return float((self.y[3].double() - right).norm() / right.norm())


def captured(go: Callable[[], None]) -> torch.cuda.CUDAGraph:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        go()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        go()
    return graph


def milliseconds(graph: torch.cuda.CUDAGraph) -> float:
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(200_000)
    begun.record()
    graph.replay()
    ended.record()
    ended.synchronize()
    return float(begun.elapsed_time(ended))


def measure(n: int, k: int, rounds: int) -> list[Measured]:
    products = Products(n, k)
    ways = products.ways()
    errors = {way: products.error(way, go) for way, go in ways.items()}
    graphs = {way: captured(go) for way, go in ways.items()}
    samples: dict[str, list[float]] = {way: [] for way in ways}
    for way in (*ways, *reversed(ways)) * rounds:
        samples[way].append(milliseconds(graphs[way]))
    return [Measured((n, k), way, samples[way], errors[way]) for way in ways]


def told(found: list[Measured]) -> list[str]:
    """A line a way: time, share of the baseline's, rate, error."""
    (n, k), base = found[0].shape, found[0].median
    flops = SETS * weights.declared_flops(BATCH, n, k)
    lines = [f"{n} x {k}, {SETS} weights, {BATCH} rows"]
    for one in found:
        rate = "" if one.error is None else f"{flops / one.median / 1e9:5.0f} TFLOP/s  error {one.error:.1e}"
        lines.append(f"  {one.way:20} {one.median:7.4f} ms  {base / one.median:5.2f}x  {rate}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["x".join(map(str, shape)) for shape in SHAPES], metavar="NxK")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    everything: list[Measured] = []
    for shape in asked.shapes:
        n, k = map(int, shape.split("x"))
        found = measure(n, k, asked.rounds)
        everything += found
        print("\n".join(told(found)), flush=True)
    if asked.output:
        gpu = torch.cuda.get_device_name()
        rows = [asdict(one) for one in everything]
        asked.output.write_text(json.dumps({"gpu": gpu, "date": date.today().isoformat(), "measured": rows}, indent=1))


if __name__ == "__main__":
    main()
