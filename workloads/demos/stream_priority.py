"""How long a short kernel waits behind matrix products on another stream: at their priority, and at a higher one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from random import Random
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING

from ...errors import AispError
from ...kernels.elementwise.sin_exp_chain import sin_exp_chain
from ...kernels.gemm.matmul_gelu import pointers
from ..device import Device, Stream
from .demo import Demo, positive, quantile, spread

if TYPE_CHECKING:
    from torch import Tensor

TRAIN = 3
"""Products per train: three of 8192 x 8192 x 8192 in bf16 take about 4 ms on an H200."""
TILE = 128 * 256
"""Elements of a product that one block of its kernel computes."""
PROBE_ELEMENTS, PROBE_ROUNDS = 1 << 19, 36
LATEST = 0.6
"""A probe is submitted at a random moment in this first part of the train, so that a product is always running."""


class Train:
    """Products on a stream of the lowest priority, and the probe: the sin/exp chain, about 20 µs long."""

    def __init__(self, device: Device, n: int) -> None:
        self._device = device
        self._x, self._w = (device.normal(n * n, seed).view(n, n).bfloat16() for seed in (1, 2))
        self._bias, self._y = self._x[0].clone(), self._x.clone()
        self._in = device.normal(PROBE_ELEMENTS, 3)
        self._out: Tensor = self._in.clone()
        self._stream = device.stream()
        self._start, self._end, self._last = (device.event() for _ in range(3))

    def product(self) -> None:
        pointers(self._x, self._w, self._bias, self._y)

    def probe(self) -> None:
        sin_exp_chain(self._in, self._out, PROBE_ROUNDS)

    def alone(self, work: Callable[[], None], stream: Stream, count: int = 20) -> list[int]:
        """Times of `work` on its own, in ns by events, after as many warm-up runs."""
        times = []
        for _ in range(2 * count):
            self._device.synchronize()
            self._start.record(stream)
            with self._device.on(stream):
                work()
            self._end.record(stream)
            self._device.synchronize()
            times.append(self._device.elapsed_ns(self._start, self._end))
        return times[count:]

    def latency(self, stream: Stream, delay_ns: int) -> int | None:
        """From a probe's submission on an empty `stream`, `delay_ns` after the train's, to its end; None if the train
        had ended by then."""
        self._device.synchronize()
        with self._device.on(self._stream):
            for _ in range(TRAIN):
                self.product()
        self._last.record(self._stream)
        until = perf_counter_ns() + delay_ns
        while perf_counter_ns() < until:
            pass
        self._start.record(stream)
        with self._device.on(stream):
            self.probe()
        self._end.record(stream)
        self._device.synchronize()
        running = self._device.elapsed_ns(self._start, self._last) > 0
        return self._device.elapsed_ns(self._start, self._end) if running else None


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Probes at both priorities in turn; their latencies, and what one wave of the products' blocks takes."""
    from ...kernels.driver.launch import sm_count

    train = Train(device, asked.gemm)
    streams = {"same": device.stream(), "high": device.stream(-1)}
    probe, product = train.alone(train.probe, streams["same"]), train.alone(train.product, streams["same"])
    waves = -(-(asked.gemm**2 // TILE) // sm_count())
    wave_ns = round(median(product) / waves)
    random, latencies = Random(asked.seed), dict[str, list[int]]((name, []) for name in streams)
    missed = 0
    for _ in range(asked.probes):
        for name, stream in streams.items():
            latency = train.latency(stream, round(random.uniform(0, LATEST * TRAIN * median(product))))
            missed += latency is None
            latencies[name] += [] if latency is None else [latency]
    if missed > asked.probes:
        raise AispError(f"{missed} of {2 * asked.probes} probes came after the products", "ask for a larger --gemm")
    worst = {name: quantile(latency, 0.99) for name, latency in latencies.items()}
    waited = max(worst["high"] - median(probe), 0)
    return [
        f"a probe by itself    {spread(probe)}",
        f"a product by itself  {spread(product)}: {waves} waves of blocks, {wave_ns / 1e3:.1f} us each",
        *(f"{name} priority        {_latency(latency)}" for name, latency in latencies.items()),
        f"high priority ends {worst['same'] / worst['high']:.1f}x sooner at p99, after {waited / wave_ns:.2f} waves of waiting",
        f"  from a probe's submission to its end by CUDA events, {TRAIN} products queued; {missed} probes came too late",
    ]


def _latency(times_ns: list[int]) -> str:
    shares = " ".join(f"p{100 * share:g} {quantile(times_ns, share) / 1e3:.1f}" for share in (0.5, 0.9, 0.99))
    return f"{shares} us  n {len(times_ns)}"


def tiled(text: str) -> int:
    """A number of rows divisible by the products' tiles."""
    value = positive(text)
    if value % 256:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 256")
    return value


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--probes", type=positive, default=200, metavar="N", help="at each priority (200)")
    parser.add_argument("--gemm", type=tiled, default=8192, metavar="N", help="rows, columns and depth (8192)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of submission (1)")


DEMO = Demo(
    "ch11-stream-priority",
    "A short kernel beside long matrix products: what a stream's priority does to its latency.",
    ("cuda", "triton", "cc>=8.0"),
    _options,
    measure,
)
