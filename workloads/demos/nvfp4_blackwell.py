"""Blackwell's products of NVFP4 in two schedules, side by side. Compiled, never run by its authors."""

from __future__ import annotations

import argparse
from statistics import median

from ...errors import AispError
from ...kernels.nvfp4 import blackwell
from ...kernels.nvfp4 import format as nvfp4
from ..device import Device
from .demo import Demo, positive, spread

_TOLERANCE = 4e-3


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both in the order A B B A, after both were checked against fp64; whether the GPU can run them is checked
    first."""
    import torch

    blackwell.require(*torch.cuda.get_device_capability())
    edge = asked.edge
    a, b = (nvfp4.pack(device.normal(edge * edge, seed).view(edge, edge)) for seed in (1, 2))
    y, stream = torch.empty(edge, edge, dtype=torch.bfloat16, device=device.kind), device.stream()
    wide = blackwell.reference(a, b)
    for schedule in blackwell.SHAPES:
        y.fill_(float("nan"))
        blackwell.matmul(a, b, y, schedule)
        if not (error := float((y.double() - wide).norm() / wide.norm())) <= _TOLERANCE:
            raise AispError(f"{schedule} differs from fp64 by {error:.1e}", "report it: docs/demos.md")
    times: dict[blackwell.Schedule, list[int]] = {schedule: [] for schedule in blackwell.SHAPES}
    for schedule in (*times, *reversed(times)) * asked.rounds:
        begun, ended = device.event(), device.event()
        with device.on(stream):
            begun.record(stream)
            blackwell.matmul(a, b, y, schedule)
            ended.record(stream)
        ended.synchronize()
        times[schedule].append(device.elapsed_ns(begun, ended))
    gain = median(times["in_turn"]) / median(times["with_roles"])
    return [*(f"{name:<10} {spread(series)}" for name, series in times.items()), f"with roles {gain:.2f}x"]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--edge", type=positive, default=8192, metavar="N", help="of the square matrices (8192)")
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch09-nvfp4-blackwell",
    "Blackwell's products of NVFP4, in turn and by warps with roles; ends at once on any other GPU.",
    ("cuda",),
    _options,
    measure,
)
