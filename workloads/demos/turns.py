"""Several ways to the same result, timed by CUDA events in turn, so that a drift of the clock is no difference between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from ...errors import AispError
from ..device import Device, Stream
from .demo import spread

Ways = Mapping[str, Callable[[], None]]
"""A name -> what enqueues the work on the current stream."""
WARMUP = 2
HOLD_NS = 3_000_000
"""How long the stream is held back before each run, so that all of it is queued before it may begin."""


def in_turn(device: Device, stream: Stream, ways: Ways, rounds: int) -> dict[str, list[int]]:
    """Each way's times in ns: all of them forwards and backwards, `rounds` times, after `WARMUP` runs of each."""
    for _ in range(WARMUP):
        for way in ways.values():
            _once(device, stream, way)
    times: dict[str, list[int]] = {name: [] for name in ways}
    for name in (*ways, *reversed(list(ways))) * rounds:
        times[name].append(_once(device, stream, ways[name]))
    return times


def table(times: Mapping[str, Sequence[int]], moved: Mapping[str, int] | None = None) -> list[str]:
    """A line for each way; with the bytes it must move, at which rate it does, in its median."""
    width = max(map(len, times))
    rates = {name: f"  {moved[name] / median(series):7.1f} GB/s" for name, series in times.items()} if moved else {}
    return [f"{name:<{width}}  {spread(series)}{rates.get(name, '')}" for name, series in times.items()]


def check(what: str, error: float, tolerance: float) -> None:
    """Nothing wrong is timed.

    Raises:
        AispError: the error is more than rounding explains, or NaN.
    """
    if not error <= tolerance:
        raise AispError(f"{what} differs from fp64 by {error:.1e}", "report it: docs/demos.md")


def _once(device: Device, stream: Stream, way: Callable[[], None]) -> int:
    begun, ended = device.event(), device.event()
    device.hold(stream, HOLD_NS)
    with device.on(stream):
        begun.record(stream)
        way()
        ended.record(stream)
    ended.synchronize()
    return device.elapsed_ns(begun, ended)
