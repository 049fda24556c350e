"""The operations that were launched, as the numbers of ranges look at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..trace.blocks import gathered
from ..trace.model import Operations, Trace
from ..trace.source.scan import Int64
from ..trace.windows import Windows, by_group
from .attribution import LaunchOrder

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Work:
    """Operations in the order in which they were launched, arrays of shape (n,).

    lane      a number for each stream; empty unless streams are looked at
    tangled   shares time with another operation of its own stream; empty likewise
    tidy      as in `LaunchOrder`; if not, `returned` says when each one's call returned
    """

    operations: Operations
    lane: Int64
    tangled: Bools
    tidy: bool
    returned: Int64

    @classmethod
    def of(cls, trace: Trace, order: LaunchOrder, streams: bool) -> Work:
        """The work of a launch order; `streams` is whether anything will be asked that tells streams apart."""
        operations = trace.operations.take(order.operation)
        lane, tangled = np.empty(0, np.int64), np.empty(0, bool)
        if streams:
            lane = trace.operations.lanes()
            tangled = gathered(shares_its_stream(lane, trace.operations), order.operation)
            lane = gathered(lane, order.operation)
        returned = lane[:0] if order.tidy else trace.calls.end[operations.launch]
        return cls(operations, lane, tangled, order.tidy, returned)


def shares_its_stream(lane: Int64, operations: Operations) -> Bools:
    """Which operations share time with another one of their own stream (dependent launches do); `lane` numbers streams."""
    lanes = int(lane.max(initial=-1)) + 1
    order = by_group(lane, lanes)
    own, start, end = (gathered(column, order) for column in (lane, operations.start, operations.end))
    if ((start[1:] >= end[:-1]) | (own[1:] != own[:-1])).all():
        return np.zeros(len(lane), bool)
    windows = Windows.of(own, lanes, start, end)
    if windows is None:
        return np.ones(len(lane), bool)
    start, end = start + windows.shift[own], end + windows.shift[own]
    if (start[1:] < start[:-1]).any():
        again = np.argsort(start, kind="stable")
        order, start, end = order[again], start[again], end[again]
    reach = np.maximum.accumulate(end)
    late = start[1:] < reach[:-1]
    found = np.zeros(len(lane), bool)
    found[order[1:]] |= late
    found[order[:-1]] |= end[:-1] > start[1:]
    return found
