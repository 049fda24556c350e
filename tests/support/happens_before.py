"""A device that finds races: what each stream reads and writes while a variant enqueues, and what no event puts in order.

The CPU runs the work at once, in the order of submission, so wrong events go unseen there. This device runs it the same way,
but keeps a vector clock a stream, as race detectors do: of two accesses to the same bytes, one of them a write, the second is
in order if its stream has heard of the first through its own past, an event, or a host that waited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from aisp_prof.workloads.device import CpuDevice
from torch.utils._python_dispatch import TorchDispatchMode

Clock = Counter[int]


@dataclass(frozen=True)
class Access:
    """One operator: where and when it was enqueued, what that stream knew then, and the bytes that it touches."""

    name: str
    stream: int
    time: int
    knows: Clock
    reads: tuple[tuple[int, int], ...]
    writes: tuple[tuple[int, int], ...]

    def conflicts(self, later: Access) -> bool:
        return _meet(self.writes, later.writes) or _meet(self.writes, later.reads) or _meet(self.reads, later.writes)

    def before(self, later: Access) -> bool:
        return later.knows[self.stream] >= self.time


class OrderedDevice(CpuDevice):
    """`log` holds what was enqueued inside `watching`; streams in `deaf` ignore events, for tests of the tests."""

    def __init__(self) -> None:
        self.deaf: frozenset[int] = frozenset()
        self.log: list[Access] = []
        self._clocks: list[Clock] = []
        self._host: Clock = Counter()
        self._current: int | None = None
        self._alive: list[Any] = []  # addresses of what has died would be given to others

    def stream(self, priority: int = 0) -> Any:
        self._clocks.append(Counter())
        return _Stream(self, len(self._clocks) - 1)

    @contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        before, self._current = self._current, stream.number
        try:
            yield
        finally:
            self._current = before

    def graph(self, stream: Any, work: Any) -> Any:
        def replay() -> None:
            with self.on(stream):
                work()

        return replay

    def event(self) -> Any:
        return _Event(self)

    @contextmanager
    def watching(self) -> Iterator[list[Access]]:
        """Inside it every operator is written down."""
        self.log = []
        self._clocks = [Counter() for _ in self._clocks]
        self._host = Counter()
        with _Watch(self):
            yield self.log

    def races(self) -> list[tuple[Access, Access]]:
        pairs = ((a, b) for number, b in enumerate(self.log) for a in self.log[:number])
        return [(a, b) for a, b in pairs if a.stream != b.stream and a.conflicts(b) and not a.before(b)]

    def unjoined(self, root: int = 0) -> list[Access]:
        """What the root stream, and so whoever waits for it, has not heard of at the end."""
        return [access for access in self.log if self._clocks[root][access.stream] < access.time]

    def unforked(self, root: int = 0) -> list[Access]:
        """What would run before the root stream's first work: outside a captured graph."""
        return [access for access in self.log if not access.knows[root]]

    def wait(self, stream: int, clock: Clock) -> None:
        if stream not in self.deaf:
            self._clocks[stream] |= clock

    def wait_on_host(self, clock: Clock) -> None:
        self._host |= clock

    def clock(self, stream: int) -> Clock:
        return self._clocks[stream].copy()

    def note(self, name: str, read: list[Any], written: list[Any]) -> None:
        if self._current is None:
            raise AssertionError(f"{name} on no stream: it would go to the default one")
        clock = self._clocks[self._current]
        clock |= self._host
        clock[self._current] += 1
        self._alive += [*read, *written]
        spans = tuple(tuple(_span(tensor) for tensor in tensors) for tensors in (read, written))
        self.log.append(Access(name, self._current, clock[self._current], clock.copy(), *spans))


class _Stream:
    def __init__(self, device: OrderedDevice, number: int) -> None:
        self.device, self.number = device, number

    def wait_event(self, event: _Event) -> None:
        self.device.wait(self.number, event.clock)


class _Event:
    def __init__(self, device: OrderedDevice) -> None:
        self.device, self.clock = device, Counter[int]()

    def record(self, stream: _Stream) -> None:
        self.clock = self.device.clock(stream.number)

    def synchronize(self) -> None:
        self.device.wait_on_host(self.clock)


class _Watch(TorchDispatchMode):
    def __init__(self, device: OrderedDevice) -> None:
        super().__init__()
        self._device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        is_view = any(out.alias_info is not None and not out.alias_info.is_write for out in func._schema.returns)
        if not is_view:
            read: list[Any] = []
            written: list[Any] = []
            for position, argument in enumerate(func._schema.arguments):
                value = args[position] if position < len(args) else (kwargs or {}).get(argument.name)
                if isinstance(value, torch.Tensor):
                    writes = argument.alias_info is not None and argument.alias_info.is_write
                    (written if writes else read).append(value)
            fresh = [] if written else [out for out in _flat(result) if isinstance(out, torch.Tensor)]
            if read or written:
                self._device.note(str(func), read, written + fresh)
        return result


def _flat(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _span(tensor: Any) -> tuple[int, int]:
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    start = tensor.data_ptr()
    return start, start + (last + 1) * tensor.element_size() if tensor.numel() else start


def _meet(some: tuple[tuple[int, int], ...], others: tuple[tuple[int, int], ...]) -> bool:
    return any(a < d and c < b for a, b in some for c, d in others)
