"""The measured protocol: warm up until the times settle, then A B B A …, one iteration a block, timed by events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

from ..declaration import VARIANTS, Declaration
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

HOLD_FACTOR = 3
HOLD_CAP_NS = 50_000_000


def order(iterations: int, variants: Sequence[str] = VARIANTS) -> tuple[str, ...]:
    """The variants in the order they run: A B B A, then B A A B, and again (A B C C B A, B C A A C B, C A B B A C).

    There and back, so that a steady drift of the clocks cancels; each time beginning with the next variant, so that
    none keeps the outer positions to itself.

    Raises:
        UsageError: `iterations`, a variant's count, is not a positive even number.
    """
    if iterations < 2 or iterations % 2:
        raise UsageError(
            f"{iterations} iterations a variant do not make whole rounds of A B B A", "use an even number, 2 or more"
        )
    names = tuple(variants)
    begun = [place % len(names) for place in range(iterations // 2)]
    turns = [names[first:] + names[:first] for first in begun]
    return tuple(name for turn in turns for name in (*turn, *reversed(turn)))


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

    def hold(self, ns: int) -> None:
        """Delay the GPU's start on what is submitted next by about `ns`, by which time the host has queued all of it."""
        self._device.hold(self._main, ns)

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
        """Wait for the end event; returns the time between the two events in ns."""
        self._end.synchronize()
        return self._device.elapsed_ns(self._start, self._end)


def measure(
    declaration: Declaration,
    workload: Workload,
    device: Device,
    notes: Notes,
    iterations: int = ITERATIONS,
    settle: bool = True,
) -> Measurement:
    """Warm up every variant, then measure `iterations` of each.

    Without `settle` the times mean nothing: one iteration warms up each variant, and the GPU is not held back.

    Where the pair is `queued`, a spinning kernel holds the GPU back for `HOLD_FACTOR` times the longest submission seen in
    the warm-up: as nvbench's blocking kernel does, except that it ends on its own and so cannot deadlock.

    Raises:
        UsageError: as `order`.
    """
    sequence = order(iterations, declaration.names)
    timer = IterationTimer(device, workload)
    warmup, longest_ns = {}, 0
    for variant in declaration.names:
        device.synchronize()
        with notes.range(f"{declaration.key}.{variant}.warmup", "warmup"):
            warmup[variant], submit_ns = _warm_up(timer, variant) if settle else _once(timer, variant)
        longest_ns = max(longest_ns, submit_ns)
    hold_ns = min(HOLD_FACTOR * longest_ns, HOLD_CAP_NS) if declaration.queued else 0
    counts = dict.fromkeys(declaration.names, 0)
    timed = []
    for variant in sequence:
        block = _Block(f"{declaration.key}.{variant}", variant, counts[variant], hold_ns)
        timed.append(Timed(variant, block.index, block.run(timer, device, notes)))
        counts[variant] += 1
    return Measurement(warmup, hold_ns, tuple(timed))


def _warm_up(timer: IterationTimer, variant: str) -> tuple[int, int]:
    """How many iterations it took, and the longest time in ns that the host took to submit one, not counting the first group.

    The first iterations compile kernels, map memory and raise the clocks.
    """
    times: list[int] = []
    submit_ns: list[int] = []
    while len(times) < WARMUP_CAP:
        for _ in range(WARMUP_GROUP):
            begun = perf_counter_ns()
            timer.submit(variant)
            submit_ns.append(perf_counter_ns() - begun)
            times.append(timer.wait())
        if len(times) > WARMUP_GROUP:
            before, now = median(times[-2 * WARMUP_GROUP : -WARMUP_GROUP]), median(times[-WARMUP_GROUP:])
            if abs(now - before) <= SETTLED * before:
                break
    return len(times), max(submit_ns[WARMUP_GROUP:])


def _once(timer: IterationTimer, variant: str) -> tuple[int, int]:
    timer.submit(variant)
    timer.wait()
    return 1, 0


@dataclass(frozen=True, slots=True)
class _Block:
    """One measured iteration of a variant; its ranges' names begin with `name`."""

    name: str
    variant: str
    index: int
    hold_ns: int

    def run(self, timer: IterationTimer, device: Device, notes: Notes) -> int:
        """Run it and return its time by the events, in ns; the device is idle when its ranges open and when they close."""
        device.synchronize()
        with notes.window(f"{self.name}.window"), notes.range(f"{self.name}.measure", "measure"):
            if self.hold_ns:
                with notes.range("stage:hold", "stage"):
                    timer.hold(self.hold_ns)
            with notes.range("iter", "iter", self.index):
                with notes.range("stage:submit", "stage"):
                    timer.submit(self.variant)
                with notes.range("stage:wait", "stage"):
                    event_ns = timer.wait()
            device.synchronize()
        return event_ns
