"""The measured protocol: warm up until the times settle, then A B B A …, one iteration a block, timed by events."""

from __future__ import annotations

from statistics import median

from ..declaration import VARIANTS
from ..errors import UsageError
from .annotate import Notes
from .device import Device
from .pair import Workload
from .record import Measurement, Timed

ITERATIONS = 20
WARMUP_GROUP = 3
WARMUP_CAP = 30
SETTLED = 0.01
"""Warm-up ends when the medians of two successive groups of `WARMUP_GROUP` iterations agree within this."""


def order(iterations: int) -> tuple[str, ...]:
    """The variants in the order they run: rounds of A B B A, so that a steady drift of the clocks cancels.

    Raises:
        UsageError: `iterations`, a variant's count, is not a positive even number.
    """
    if iterations < 2 or iterations % 2:
        raise UsageError(
            f"{iterations} iterations a variant do not make whole rounds of A B B A", "use an even number, 2 or more"
        )
    a, b = VARIANTS
    return (a, b, b, a) * (iterations // 2)


class IterationTimer:
    """Times one iteration on the device's own clock, the same way for every variant.

    All streams of the workload wait for the start event, and the end event waits for all of them, whether the variant uses
    one or many. The events are made once, so that an iteration creates nothing.
    """

    def __init__(self, device: Device, workload: Workload) -> None:
        self._device, self._workload = device, workload
        self._main = device.stream()
        self._start, self._end = device.event(), device.event()
        self._joins = [(stream, device.event()) for stream in workload.streams]

    def submit(self, variant: str) -> None:
        """Enqueue one iteration between the two events."""
        self._start.record(self._main)
        for stream, _ in self._joins:
            stream.wait_event(self._start)
        self._workload.run(variant)
        for stream, joined in self._joins:
            joined.record(stream)
            self._main.wait_event(joined)
        self._end.record(self._main)

    def wait(self) -> int:
        """Wait for the end event; the time between the two events in ns."""
        self._end.synchronize()
        return self._device.elapsed_ns(self._start, self._end)


def measure(key: str, workload: Workload, device: Device, notes: Notes, iterations: int = ITERATIONS) -> Measurement:
    """Warm up both variants, then measure `iterations` of each.

    Raises:
        UsageError: as `order`.
    """
    sequence = order(iterations)
    timer = IterationTimer(device, workload)
    warmup = {}
    for variant in VARIANTS:
        device.synchronize()
        with notes.range(f"{key}.{variant}.warmup", "warmup"):
            warmup[variant] = _warm_up(timer, variant)
    counts = dict.fromkeys(VARIANTS, 0)
    timed = []
    for variant in sequence:
        timed.append(
            Timed(variant, counts[variant], _block(f"{key}.{variant}", counts[variant], variant, timer, device, notes))
        )
        counts[variant] += 1
    return Measurement(warmup, tuple(timed))


def _warm_up(timer: IterationTimer, variant: str) -> int:
    """How many iterations it took; the first compile kernels, map memory and raise the clocks."""
    times: list[int] = []
    while len(times) < WARMUP_CAP:
        for _ in range(WARMUP_GROUP):
            timer.submit(variant)
            times.append(timer.wait())
        if len(times) > WARMUP_GROUP:
            before, now = median(times[-2 * WARMUP_GROUP : -WARMUP_GROUP]), median(times[-WARMUP_GROUP:])
            if abs(now - before) <= SETTLED * before:
                break
    return len(times)


def _block(name: str, index: int, variant: str, timer: IterationTimer, device: Device, notes: Notes) -> int:
    """One measured iteration in its ranges; the device is idle when they open and when they close."""
    device.synchronize()
    with notes.window(f"{name}.window"), notes.range(f"{name}.measure", "measure"):
        with notes.range("iter", "iter", index):
            with notes.range("stage:submit", "stage"):
                timer.submit(variant)
            with notes.range("stage:wait", "stage"):
                event_ns = timer.wait()
        device.synchronize()
    return event_ns
