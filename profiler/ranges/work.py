"""The operations that were launched, as the numbers of ranges look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.streams import share_their_stream
from ..arrays.blocks import gathered
from ..arrays.types import Bools, Int64
from ..trace.model import Operations, Trace
from .attribution import LaunchOrder


@dataclass(frozen=True, slots=True)
class Work:
    """Operations in the order in which they were launched, arrays of shape (n,).

    lane      a number for each stream; empty unless streams are looked at
    tangled   shares time with another operation of its own stream; empty likewise
    tidy      as in `LaunchOrder`; if not, `returned` says when each one's call returned
    """

    operations: Operations
    lane: NDArray[Any]
    tangled: Bools
    tidy: bool
    returned: Int64

    @classmethod
    def of(cls, trace: Trace, order: LaunchOrder, streams: bool) -> Work:
        """The work of a launch order; `streams` is whether anything will be asked that tells streams apart."""
        operations = trace.operations.take(order.operation)
        lane: NDArray[Any] = np.empty(0, np.int64)
        tangled = np.empty(0, bool)
        if streams:
            lane = trace.operations.lanes()
            tangled = gathered(share_their_stream(lane, trace.operations.start, trace.operations.end), order.operation)
            lane = gathered(lane, order.operation)
        returned = operations.start[:0] if order.tidy else trace.calls.end[operations.launch]
        return cls(operations, lane, tangled, order.tidy, returned)
