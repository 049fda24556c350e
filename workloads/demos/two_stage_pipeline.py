"""A chain of FMAs over tiles in shared memory: copy, wait, compute, and two stages of cuda::pipeline, by CUDA events."""

from __future__ import annotations

import argparse
from statistics import median
from typing import TYPE_CHECKING

from ...errors import AispError
from ...kernels.elementwise import two_stages
from ..device import Device
from .demo import Demo, positive, spread

if TYPE_CHECKING:
    from torch import Tensor

_BLOCKS_PER_MULTIPROCESSOR = 2
"""Few enough that a block's waiting is not hidden by its neighbours."""


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both ways in the order A B B A, after both were checked against fp64."""
    from ...kernels.driver.launch import sm_count

    stream, blocks = device.stream(), _BLOCKS_PER_MULTIPROCESSOR * sm_count()
    n = (asked.mib << 18) // two_stages.TILE * two_stages.TILE
    x, y = device.normal(n, 7), device.empty(n)
    errors = {way: _error(device, x, y, asked.steps, way, blocks) for way in two_stages.WAYS}
    times: dict[str, list[int]] = {way: [] for way in two_stages.WAYS}
    for way in (*two_stages.WAYS, *reversed(two_stages.WAYS)) * asked.rounds:
        begun, ended = device.event(), device.event()
        with device.on(stream):
            begun.record(stream)
            two_stages.chain(x, y, asked.steps, way, blocks)
            ended.record(stream)
        ended.synchronize()
        times[way].append(device.elapsed_ns(begun, ended))
    one, two = (median(times[way]) for way in two_stages.WAYS)
    return [
        f"{n * 4 >> 20} MiB in tiles of 16 KiB, {asked.steps} FMAs an element, {blocks} blocks; errors against fp64 "
        + ", ".join(f"{error:.1e}" for error in errors.values()),
        f"one stage   {spread(times['one_stage'])}",
        f"two stages  {spread(times['two_stages'])}",
        f"speedup     {one / two:.2f}x of the medians",
    ]


def _error(device: Device, x: Tensor, y: Tensor, steps: int, way: str, blocks: int) -> float:
    """The error against fp64, of an output that was all NaN before.

    Raises:
        AispError: it is more than rounding explains.
    """
    y.fill_(float("nan"))
    device.synchronize()
    two_stages.chain(x, y, steps, way, blocks)
    wide = two_stages.reference(x, steps)
    error = float((y.double() - wide).norm() / wide.norm())
    if not error <= 1e-5:
        raise AispError(f"{way} differs from fp64 by {error:.1e}", "report it: docs/demos.md")
    return error


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mib", type=positive, default=512, metavar="N", help="MiB of fp32 (512)")
    parser.add_argument("--steps", type=positive, default=64, metavar="N", help="FMAs an element (64)")
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch09-two-stage-pipeline",
    "Copy, wait, compute against two stages of cuda::pipeline, over tiles in shared memory.",
    ("cuda", "cc>=9.0"),
    _options,
    measure,
)
