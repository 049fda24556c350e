"""How much of a chunked copy-compute-copy runs at the same time on three streams, by CUDA events around each piece of work."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter_ns
from typing import Any, cast

from ..ch11.streams import ChunkedChain
from ..device import Device, Event, Stream
from ..measure import HOLD_CAP_NS, HOLD_FACTOR, WARMUP_GROUP, IterationTimer, order
from .demo import Demo, positive, spread

SIZES = {
    "default": {"mib": 64, "chunks": 16, "rounds": 36},  # a quarter of the pair ch11.streams
    "small": {"mib": 4, "chunks": 8, "rounds": 4},
}


class Noting:
    """A device that records an event before and after what is enqueued inside `on`."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.noted: list[tuple[Event, Event]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    @contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        start, end = self._device.event(), self._device.event()
        with self._device.on(stream):
            start.record(stream)
            yield
            end.record(stream)
        self.noted.append((start, end))

    def intervals(self) -> list[tuple[int, int]]:
        """All recorded intervals, in ns since the first of them began."""
        first = self.noted[0][0]
        elapsed = self._device.elapsed_ns
        return [(elapsed(first, start), elapsed(first, end)) for start, end in self.noted]


def busy_and_overlap(intervals: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """How long at least one, and how long at least two of the intervals were in flight."""
    bounds = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    busy = overlap = depth = before = 0
    for time, change in bounds:
        busy += (time - before) * (depth >= 1)
        overlap += (time - before) * (depth >= 2)
        depth, before = depth + change, time
    return busy, overlap


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both variants in the order A B B A, and the overlap ratio of every iteration on three streams."""
    noting = Noting(device)
    work = ChunkedChain(cast(Device, noting), SIZES[asked.size])
    work.inputs(1)
    device.synchronize()
    timer = IterationTimer(device, work)
    hold_ns = min(HOLD_FACTOR * _longest_submission(timer), HOLD_CAP_NS)
    times: dict[str, list[int]] = {"baseline": [], "optimized": []}
    ratios = []
    for variant in order(2 * asked.iterations):
        noting.noted.clear()
        timer.hold(hold_ns)
        timer.submit(variant)
        times[variant].append(timer.wait())
        if variant == "optimized":
            busy, overlap = busy_and_overlap(noting.intervals())
            ratios.append(overlap / busy)
    speedup = median(times["baseline"]) / median(times["optimized"])
    sizes = SIZES[asked.size]
    return [
        f"{sizes['mib']} MiB in, a kernel, {sizes['mib']} MiB out, in {sizes['chunks']} chunks",
        f"one stream     {spread(times['baseline'])}",
        f"three streams  {spread(times['optimized'])}",
        f"speedup        {speedup:.2f}x of the medians",
        f"overlap ratio  median {median(ratios):.3f}  n {len(ratios)}  min {min(ratios):.3f}, max {max(ratios):.3f}",
        "  time with work of two or more streams in flight / time with any, by CUDA events around every copy and kernel",
        "  (a trace's own times: aisp-prof capture ch11:streams)",
    ]


def _longest_submission(timer: IterationTimer) -> int:
    """The longest submission in a few iterations of both variants, first iterations separately; ns on the host."""
    longest = 0
    for at in range(2 * WARMUP_GROUP):
        for variant in ("baseline", "optimized"):
            begun = perf_counter_ns()
            timer.submit(variant)
            longest = max(longest, perf_counter_ns() - begun) if at >= WARMUP_GROUP else 0
            timer.wait()
    return longest


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", choices=tuple(SIZES), default="default", help="default: a quarter of ch11.streams")
    parser.add_argument("--iterations", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch11-stream-overlap",
    "Copies and kernels on one stream and on three: how much time they share.",
    ("cuda", "triton"),
    _options,
    measure,
)
