"""The Blackwell form of the GEMM ladder: tcgen05 by pairs of blocks beside cuBLAS. Compiled, never run by its authors."""

from __future__ import annotations

import argparse
from statistics import median

from ...errors import AispError
from ...kernels.gemm import ladder, tcgen05
from ..ch10.products import Multiply, cublas
from ..device import Device
from .demo import Demo, positive, spread

_TOLERANCE = 4e-3


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both in the order A B B A, after both were checked against fp64; whether the GPU can run it is checked
    first."""
    import torch

    tcgen05.require(*torch.cuda.get_device_capability())
    edge = asked.edge
    a, b = (device.normal(edge * edge, seed).view(edge, edge).bfloat16() for seed in (1, 2))
    c, stream = torch.empty_like(a), device.stream()
    ways: dict[str, Multiply] = {"cuBLAS": cublas, "tcgen05": tcgen05.matmul}
    wide = ladder.reference(a, b)
    for name, multiply in ways.items():
        c.fill_(float("nan"))
        multiply(a, b, c)
        if not (error := float((c.double() - wide).norm() / wide.norm())) <= _TOLERANCE:
            raise AispError(f"{name} differs from fp64 by {error:.1e}", "report it: docs/demos.md")
    times: dict[str, list[int]] = {name: [] for name in ways}
    for name in (*ways, *reversed(ways)) * asked.rounds:
        begun, ended = device.event(), device.event()
        with device.on(stream):
            begun.record(stream)
            ways[name](a, b, c)
            ended.record(stream)
        ended.synchronize()
        times[name].append(device.elapsed_ns(begun, ended))
    share = median(times["cuBLAS"]) / median(times["tcgen05"])
    return [*(f"{name:<8} {spread(series)}" for name, series in times.items()), f"of cuBLAS {share:.2f}"]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--edge", type=positive, default=8192, metavar="N", help="of the square matrices (8192)")
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch09-tcgen05-pipelined",
    "Blackwell's tensor cores by pairs of blocks, beside cuBLAS; ends at once on any other GPU.",
    ("cuda",),
    _options,
    measure,
)
