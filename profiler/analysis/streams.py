"""Streams run one operation after the other, or nearly so: where they do not, lengths are counted stream by stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import gathered
from ..arrays.types import Bools, Int64
from ..arrays.windows import Windows, by_group
from ..core.library import Column, core


def share_their_stream(lane: NDArray[Any], start: Int64, end: Int64) -> Bools:
    """Which operations share time with another one of their own stream, as dependent launches do.

    Args:
        lane: a small number for each stream; all arrays of shape (n,).
    """
    lanes = int(lane.max()) + 1 if len(lane) else 0
    if _in_turn(lane, lanes, start, end):
        return np.zeros(len(lane), bool)
    order = by_group(lane, lanes)
    own, start, end = (gathered(column, order) for column in (lane, start, end))
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


def _in_turn(lane: NDArray[Any], lanes: int, start: Int64, end: Int64) -> bool:
    """Whether each one, as they are given, begins when all before on its stream has ended; not known without the core."""
    library = core()
    if library is None or not (lane.dtype.kind == "u" or lane.dtype == np.int64):
        return False
    begin, finish = (np.ascontiguousarray(column, np.int64) for column in (start, end))
    apart: int = library.aisp_in_turn(len(lane), Column.of(lane), lanes, begin.ctypes.data, finish.ctypes.data)
    return apart == 1
