"""How far CUDA events can be trusted: compared with the GPU's own clock, read by the timed kernel itself; and their
resolution."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from math import gcd
from statistics import median
from typing import TYPE_CHECKING

from ..device import Device, Stream
from .demo import Demo, positive

if TYPE_CHECKING:
    from torch import Tensor

LENGTHS_NS = (10_000, 100_000, 1_000_000, 10_000_000)
QUEUE_NS = 200_000
"""How long the stream is held back, so that events and kernel are queued before the first of them is reached."""
WARMUP = 3


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Kernels of known length between two events, and pairs of events with nothing between them."""
    import torch

    stream, times = device.stream(), torch.zeros(2, dtype=torch.int64, device=device.kind)
    lines = ["kernel by its own clock (%globaltimer)   by events    longer by       n"]
    clock = 0
    for length in LENGTHS_NS:
        pairs = [_timed(device, stream, times, length) for _ in range(WARMUP + asked.samples)][WARMUP:]
        lines.append(compared(pairs))
        clock = gcd(clock, *(own for own, _ in pairs))
    empty = [_empty(device, stream) for _ in range(WARMUP + 5 * asked.samples)][WARMUP:]
    return [
        *lines,
        f"two events with nothing between them: {resolution(empty)}",
        f"  medians; %globaltimer counted in steps of {clock} ns here. Events also enclose the kernel's start and end.",
        "  This compares events with the GPU's clock, not with CUPTI: for that, capture a pair and see its perturbation.",
    ]


def compared(pairs: Sequence[tuple[int, int]]) -> str:
    """One line of (by its own clock, by events) in ns."""
    own, events = (median(column) for column in zip(*pairs, strict=True))
    longer = median(event - clock for clock, event in pairs)
    return f"{own / 1e3:>34.1f} us  {events / 1e3:>10.1f} us  {longer / 1e3:>6.2f} us  {longer / own:>6.2%}  {len(pairs):>4}"


def resolution(empty: Sequence[int]) -> str:
    """The granularity of elapsed times: how many distinct values, and the smallest step between two of them."""
    values = sorted(set(empty))
    steps = [after - before for before, after in pairwise(values)]
    step = f"smallest step {min(steps)} ns" if steps else "always the same"
    return f"median {median(empty):.0f} ns, {len(values)} different times, {step}  n {len(empty)}"


def _timed(device: Device, stream: Stream, times: Tensor, length_ns: int) -> tuple[int, int]:
    """A kernel's length in ns by its own clock, and by the events around it."""
    from ...kernels.elementwise.spin_triton import launch

    start, end = device.event(), device.event()
    device.synchronize()
    device.hold(stream, QUEUE_NS)
    start.record(stream)
    with device.on(stream):
        launch(times, length_ns)
    end.record(stream)
    end.synchronize()
    begun, ended = times.tolist()
    return ended - begun, device.elapsed_ns(start, end)


def _empty(device: Device, stream: Stream) -> int:
    start, end = device.event(), device.event()
    device.hold(stream, QUEUE_NS)
    start.record(stream)
    end.record(stream)
    end.synchronize()
    return device.elapsed_ns(start, end)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=positive, default=50, metavar="N", help="kernels of each length (50)")


DEMO = Demo(
    "ch11-event-timing",
    "CUDA events against the GPU's own clock: how much longer they say a kernel is, and in what steps.",
    ("cuda", "triton"),
    _options,
    measure,
)
