"""Work on several streams as branches between two points of the first one: what a CUDA graph can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..device import Device, Stream


class Branches:
    """Forks `streams` from the first of them and joins them to it again; its events are used by nothing else."""

    def __init__(self, device: Device, streams: Sequence[Stream]) -> None:
        self._first, *self._others = streams
        self._forked, *self._joined = [device.event() for _ in streams]

    def around(self, work: Callable[[], None]) -> Callable[[], None]:
        """What enqueues `work`, all of it between fork and join."""

        def branched() -> None:
            self._forked.record(self._first)
            for stream in self._others:
                stream.wait_event(self._forked)
            work()
            for stream, joined in zip(self._others, self._joined, strict=True):
                joined.record(stream)
                self._first.wait_event(joined)

        return branched
