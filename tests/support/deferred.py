"""A device on the host whose streams are real queues: work is written down when it is enqueued, and run later in any order
that the streams and events allow, so that a missing event shows as a wrong result."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.validate import same_bits
from torch.overrides import TorchFunctionMode

DEFERRED = ("copy_", "mm", "bmm", "sin", "sin_", "add", "add_", "mul_")
"""Operators that become work of the current stream; all others (views above all) run at once."""


@dataclass
class Node:
    """One enqueued operator: runs after `after`, all of them indices into the device's list."""

    stream: int
    work: Callable[[], object]
    after: frozenset[int]
    name: str


class DeferredStream:
    def __init__(self, device: DeferredDevice, number: int, priority: int) -> None:
        self.device, self.number, self.priority = device, number, priority
        self.after: set[int] = set()

    def wait_event(self, event: DeferredEvent) -> None:
        self.device.waits += 1
        if self.device.waits != self.device.forgets:
            self.after |= event.after


class DeferredEvent:
    def __init__(self, device: DeferredDevice) -> None:
        self.device = device
        self.after: frozenset[int] = frozenset()
        self.at_ns = 0

    def record(self, stream: DeferredStream) -> None:
        self.at_ns = perf_counter_ns()
        self.after = frozenset(stream.after)

    def synchronize(self) -> None:
        if not self.device.may_wait:
            raise AssertionError("a run must not wait for the device")
        if self.device.deferring:
            self.device.play(self.device.seed)


@dataclass
class DeferredDevice(CpuDevice):
    """`forgets` plants a fault: the wait of that number, counted from 1, is left out. `may_wait` lets the host wait for an event:
    all work runs then, in the order drawn from `seed`."""

    forgets: int = 0
    may_wait: bool = False
    seed: int = 0
    waits: int = 0
    nodes: list[Node] = field(default_factory=list)
    streams: list[DeferredStream] = field(default_factory=list)
    current: list[DeferredStream] = field(default_factory=list)
    deferring: bool = False

    def stream(self, priority: int = 0) -> Any:
        self.streams.append(DeferredStream(self, len(self.streams) + 1, priority))
        return self.streams[-1]

    def event(self) -> Any:
        return DeferredEvent(self)

    @contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        self.current.append(stream)
        try:
            yield
        finally:
            self.current.pop()

    def graph(self, stream: Any, work: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            with self.on(stream):
                work()

        return replay

    def enqueue(self, run: Callable[[], object]) -> None:
        """Write down what `run` enqueues."""
        self.deferring = True
        try:
            with _Deferring(self):
                run()
        finally:
            self.deferring = False

    def play(self, seed: int) -> list[str]:
        """Run what was written down, in an order drawn from `seed`; the names in that order."""
        was, self.deferring = self.deferring, False
        draw = random.Random(seed)
        eager = {node.stream: draw.random() for node in self.nodes}  # some streams run ahead of others
        waiting, done, names = list(range(len(self.nodes))), set[int](), list[str]()
        while waiting:
            ready = [i for i in waiting if self.nodes[i].after <= done]
            chosen = max(ready, key=lambda i: (eager[self.nodes[i].stream] + 0.2 * draw.random(), -i))
            self.nodes[chosen].work()
            names.append(self.nodes[chosen].name)
            done.add(chosen)
            waiting.remove(chosen)
        self.nodes.clear()
        for stream in self.streams:
            stream.after = set()
        self.deferring = was
        return names


class _Deferring(TorchFunctionMode):  # type: ignore[misc]
    def __init__(self, device: DeferredDevice) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name not in DEFERRED or not self.device.deferring:
            return function(*args, **kwargs)
        stream = self.device.current[-1]
        self.device.nodes.append(Node(stream.number, lambda: function(*args, **kwargs), frozenset(stream.after), name))
        stream.after = {len(self.device.nodes) - 1}
        return kwargs.get("out", args[0])


def orders_that_agree(build: Callable[[DeferredDevice], Any], variant: str, forgets: int = 0, seeds: int = 12) -> bool:
    """Whether one run of `variant` gives what running it at once gives, bit for bit, in every order tried."""
    work, device = _built(build, forgets)
    work.poison()
    work.run(variant)
    expected = work.output.clone()
    agree = True
    for seed in range(seeds):
        work.poison()
        device.waits, device.seed = 0, seed
        device.enqueue(lambda: work.run(variant))
        device.play(seed)
        agree = agree and same_bits(work.output, expected)
    return agree


def enqueued(build: Callable[[DeferredDevice], Any], variant: str) -> tuple[list[Node], int]:
    """What one run of `variant` enqueues, and how many times it makes a stream wait."""
    work, device = _built(build, 0)
    device.waits = 0
    device.enqueue(lambda: work.run(variant))
    return device.nodes, device.waits


def comes_after(nodes: Sequence[Node], late: int, early: int) -> bool:
    """Whether the order of streams and events makes `late` wait for `early`, both indices into `nodes`."""
    return any(i == early or comes_after(nodes, i, early) for i in nodes[late].after)


def _built(build: Callable[[DeferredDevice], Any], forgets: int) -> tuple[Any, DeferredDevice]:
    device = DeferredDevice(forgets=forgets)
    work = build(device)
    work.inputs(7)
    return work, device
