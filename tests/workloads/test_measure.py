"""Forking, joining and warming up, seen through a device that writes down what is asked of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.streams import PAIR
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.measure import HOLD_CAP_NS, WARMUP_CAP, IterationTimer, measure


class Spy(CpuDevice):
    """Streams and events that log what they are told; iteration times come from `times`."""

    def __init__(self, times: list[int] | None = None) -> None:
        self.log: list[str] = []
        self.made = 0
        self.times = times or [1000]
        self.asked = 0

    def _make(self, kind: str) -> Any:
        self.made += 1
        return _Named(f"{kind}{self.made}", self.log)

    def stream(self) -> Any:
        return self._make("stream")

    def event(self) -> Any:
        return self._make("event")

    def elapsed_ns(self, start: Any, end: Any) -> int:
        self.asked += 1
        return self.times[min(self.asked, len(self.times)) - 1]

    def hold(self, stream: Any, ns: int) -> None:
        self.log.append(f"hold {stream.name}")
        self.held = ns


class _Named:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def wait_event(self, event: _Named) -> None:
        self.log.append(f"{self.name} waits {event.name}")

    def record(self, stream: _Named) -> None:
        self.log.append(f"{self.name} on {stream.name}")

    def synchronize(self) -> None:
        self.log.append(f"host waits {self.name}")


class Work:
    def __init__(self, device: Spy, streams: int) -> None:
        self.device = device
        self.streams = [device.stream() for _ in range(streams)]

    def run(self, variant: str) -> None:
        self.device.log.append(variant)


def test_every_stream_is_forked_and_joined_whatever_the_variant_uses() -> None:
    device = Spy()
    work: Any = Work(device, 2)  # stream1, stream2
    timer = IterationTimer(device, work)  # main: stream3; start, end: event4, event5; joins: event6, event7
    expected = {}
    for variant in ("baseline", "optimized"):
        device.log.clear()
        timer.submit(variant)
        timer.wait()
        expected[variant] = [line for line in device.log if line != variant]
    assert expected["baseline"] == expected["optimized"]
    assert expected["baseline"] == [
        "event4 on stream3",
        "stream1 waits event4",
        "stream2 waits event4",
        "event6 on stream1",
        "stream3 waits event6",
        "event7 on stream2",
        "stream3 waits event7",
        "event5 on stream3",
        "host waits event5",
    ]


def warmed(times: list[int], notes: Notes) -> int:
    device = Spy(times)
    work: Any = Work(device, 1)
    return measure(PAIR.declaration, work, device, notes, iterations=2).warmup["baseline"]


def test_warm_up_ends_when_two_medians_agree(notes: Notes) -> None:
    assert warmed([1000] * 20, notes) == 6


def test_warm_up_goes_on_while_times_fall(notes: Notes) -> None:
    falling = [5000, 4000, 3000, 2000, 1900, 1800, 1000, 1000, 1000, 1005, 1005, 1005, 1005]
    assert warmed(falling, notes) == 12


def test_warm_up_is_capped_where_times_never_settle(notes: Notes) -> None:
    assert warmed([1000 * (step + 1) for step in range(200)], notes) == WARMUP_CAP


@pytest.mark.parametrize("queued", [True, False])
def test_a_queued_pair_is_submitted_behind_a_hold(notes: Notes, queued: bool) -> None:
    device = Spy()
    work: Any = Work(device, 1)
    found = measure(replace(PAIR.declaration, queued=queued), work, device, notes, iterations=2)
    measured = device.log[len(device.log) // 2 :]
    assert ("hold stream2" in measured) is queued
    assert (0 < found.hold_ns < HOLD_CAP_NS) is queued
    if queued:
        assert device.held == found.hold_ns
        assert measured[measured.index("hold stream2") + 1].endswith("on stream2")  # the start event, then the work
