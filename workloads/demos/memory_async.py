"""Temporaries allocated at once and in the order of their stream, and what the pool held meanwhile."""

from __future__ import annotations

import argparse
from statistics import median
from typing import TYPE_CHECKING, cast

from ..ch11.stream_ordered import Temporaries
from ..device import Device
from ..measure import WARMUP_GROUP, IterationTimer, order
from .demo import Demo, positive, spread

if TYPE_CHECKING:
    from ...kernels.driver.memory import Pool, PoolUse

STREAMS, KIB = 8, 8192


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both allocators in the order A B B A, and the pool's own count of its memory."""
    work = Temporaries(device, {"streams": STREAMS, "rounds": asked.rounds, "kib": KIB, "steps": 1})
    work.inputs(1)
    device.synchronize()
    timer = IterationTimer(device, work)
    times: dict[str, list[int]] = {"baseline": [], "optimized": []}
    runs = 0
    for at, variant in enumerate((*order(2 * WARMUP_GROUP), *order(2 * asked.iterations))):
        timer.submit(variant)
        elapsed = timer.wait()
        runs += variant == "optimized"
        times[variant] += [elapsed] if at >= 4 * WARMUP_GROUP else []
    use = cast("Pool", work.memories["optimized"]).use()
    allocations = runs * STREAMS * asked.rounds
    return [
        f"{STREAMS} streams, {asked.rounds} temporaries of {KIB >> 10} MiB on each, two kernels a temporary",
        f"cuMemAlloc, cuMemFree  {spread(times['baseline'])}",
        f"stream-ordered pool    {spread(times['optimized'])}",
        f"speedup                {median(times['baseline']) / median(times['optimized']):.2f}x of the medians",
        *pool_lines(use, allocations, KIB << 10),
    ]


def pool_lines(use: PoolUse, allocations: int, size: int) -> list[str]:
    """What the pool reports after `allocations` of `size` bytes each."""
    fresh = -(-use.reserved_high // size)
    return [
        f"pool                   {use.reserved_high >> 20} MiB reserved at most, {use.used_high >> 20} MiB of it in use at once",
        f"                       now {use.reserved >> 20} MiB reserved, {use.used >> 20} MiB in use",
        f"reuse                  {1 - fresh / allocations:.2%} of {allocations} allocations: all but {fresh}, for which it has room",
    ]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=positive, default=8, metavar="N", help="temporaries on each stream (8)")
    parser.add_argument("--iterations", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch11-memory-async",
    "Allocating at once and in the order of a stream, and what the pool holds.",
    ("cuda",),
    _options,
    measure,
)
