"""The pair ch11.stream_ordered by itself: temporaries of CUDA C++ kernels on many streams, allocated at once and in stream order."""

from __future__ import annotations

import argparse
from statistics import median

from ..ch11.stream_ordered import Temporaries
from ..device import Device
from ..measure import WARMUP_GROUP, IterationTimer, order
from .demo import Demo, positive, spread
from .turns import check

VARIANTS = ("baseline", "optimized")


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both allocators in the order A B B A, after both were checked against fp64."""
    sizes = {"streams": asked.streams, "rounds": asked.rounds, "kib": asked.kib, "steps": asked.steps | 1}
    work = Temporaries(device, sizes)
    work.inputs(7)
    device.synchronize()
    for variant in VARIANTS:
        work.poison()
        device.synchronize()
        work.run(variant)
        device.synchronize()
        wide = work.reference()
        check(variant, float((work.output.double() - wide).norm() / wide.norm()), 1e-6)
    timer = IterationTimer(device, work)
    times: dict[str, list[int]] = {variant: [] for variant in VARIANTS}
    for at, variant in enumerate((*order(2 * WARMUP_GROUP), *order(2 * asked.iterations))):
        timer.submit(variant)
        elapsed = timer.wait()
        times[variant] += [elapsed] if at >= 4 * WARMUP_GROUP else []
    one, two = (median(times[variant]) for variant in VARIANTS)
    told = (
        f"{asked.streams} streams, {asked.rounds} temporaries of {asked.kib} KiB on each, two CUDA C++ kernels of "
        f"{asked.steps | 1} FMAs an element a temporary"
    )
    return [
        told,
        f"cuMemAlloc, cuMemFree            {spread(times['baseline'])}",
        f"cuMemAllocFromPoolAsync and Free {spread(times['optimized'])}",
        f"speedup                          {one / two:.2f}x of the medians",
    ]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=positive, default=8, metavar="N", help="streams (8)")
    parser.add_argument("--rounds", type=positive, default=8, metavar="N", help="temporaries on each (8)")
    parser.add_argument("--kib", type=positive, default=64, metavar="N", help="KiB of a temporary (64)")
    parser.add_argument("--steps", type=positive, default=49151, metavar="N", help="FMAs an element, made odd (49151)")
    parser.add_argument("--iterations", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch11-streams-ordered-cuda",
    "Temporaries of CUDA C++ kernels on eight streams: cuMemAlloc against a stream-ordered pool.",
    ("cuda",),
    _options,
    measure,
)
