"""The CUDA twin of ch11-stream-overlap: chunks through copy in, a CUDA C++ kernel and copy out, on one stream and on three."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from ...kernels.elementwise import affine_chain
from ..ch11.stream_ordered import THERE
from ..device import Device, Stream
from ..measure import HOLD_CAP_NS, HOLD_FACTOR, WARMUP_GROUP, IterationTimer, order
from .demo import Demo, positive, spread
from .turns import check

if TYPE_CHECKING:
    from torch import Tensor


class Chunks:
    """`n` fp32 elements of pinned memory in `chunks` chunks, y = 1 - x by an odd number of steps, back into pinned memory."""

    def __init__(self, device: Device, n: int, chunks: int, steps: int) -> None:
        self._device, self._steps, self.chunks = device, steps, chunks
        self.streams: Sequence[Stream] = [device.stream() for _ in range(3)]
        self._host_in, self._host_out = device.pinned(n), device.pinned(n)
        self._in, self._out = device.empty(n), device.empty(n)
        buffers = (self._host_in, self._in, self._out, self._host_out)
        self._pieces = list(zip(*(buffer.chunk(chunks) for buffer in buffers), strict=True))
        self._arrived, self._computed = ([device.event() for _ in range(chunks)] for _ in range(2))

    @property
    def output(self) -> Tensor:
        return self._host_out

    def inputs(self, seed: int) -> None:
        self._host_in.copy_(self._device.normal(self._host_in.numel(), seed))

    def reference(self) -> Tensor:
        """In fp64: as each second step undoes the first, one step is left."""
        return affine_chain.reference(self._host_in, *THERE, 1)

    def exact(self) -> None:
        return None

    def poison(self) -> None:
        self._host_out.fill_(float("nan"))

    def run(self, variant: str) -> None:
        copies_in, kernels, copies_out = self.streams if variant == "optimized" else [self.streams[0]] * 3
        for piece, arrived, computed in zip(self._pieces, self._arrived, self._computed, strict=True):
            host_in, device_in, device_out, host_out = piece
            with self._device.on(copies_in):
                device_in.copy_(host_in, non_blocking=True)
            arrived.record(copies_in)
            kernels.wait_event(arrived)
            with self._device.on(kernels):
                affine_chain.fused(device_in, device_out, *THERE, self._steps)
            computed.record(kernels)
            copies_out.wait_event(computed)
            with self._device.on(copies_out):
                host_out.copy_(device_out, non_blocking=True)


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both in the order A B B A, after both were checked against fp64."""
    n = (asked.mib << 18) // asked.chunks * asked.chunks
    work = Chunks(device, n, asked.chunks, asked.steps | 1)
    work.inputs(7)
    device.synchronize()
    for variant in ("baseline", "optimized"):
        work.poison()
        device.synchronize()
        work.run(variant)
        device.synchronize()
        wide = work.reference()
        check(variant, float((work.output.double() - wide).norm() / wide.norm()), 1e-6)
    times = timed(device, work, asked.iterations)
    speedup = median(times["baseline"]) / median(times["optimized"])
    return [
        f"{n >> 18} MiB in {asked.chunks} chunks, each copied in, through a CUDA C++ kernel of {asked.steps | 1} FMAs an element, and out",
        f"one stream     {spread(times['baseline'])}",
        f"three streams  {spread(times['optimized'])}",
        f"speedup        {speedup:.2f}x of the medians",
    ]


def timed(device: Device, work: Chunks, iterations: int) -> dict[str, list[int]]:
    """In ns, each iteration queued behind a hold, so that the host's calls are no part of it."""
    timer = IterationTimer(device, work)
    times: dict[str, list[int]] = {"baseline": [], "optimized": []}
    for at, variant in enumerate((*order(2 * WARMUP_GROUP), *order(2 * iterations))):
        timer.hold(HOLD_CAP_NS // HOLD_FACTOR)
        timer.submit(variant)
        elapsed = timer.wait()
        times[variant] += [elapsed] if at >= 4 * WARMUP_GROUP else []
    return times


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mib", type=positive, default=256, metavar="N", help="MiB of fp32 (256)")
    parser.add_argument("--chunks", type=positive, default=16, metavar="N", help="chunks (16)")
    parser.add_argument("--steps", type=positive, default=1601, metavar="N", help="FMAs an element, made odd (1601)")
    parser.add_argument("--iterations", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch11-streams-overlap-cuda",
    "Copies and CUDA C++ kernels of chunks on one stream and on three: the twin of ch11-stream-overlap.",
    ("cuda",),
    _options,
    measure,
)
