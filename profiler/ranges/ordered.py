"""Launches in order, and the slices of them that ranges hold, by the compiled core, where it is."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref

import numpy as np

from ...errors import EnvironmentLacks
from ..arrays.codes import Codes
from ..arrays.types import Int64
from ..arrays.windows import Windows
from ..core.library import MEMORY, Column, Order, SlicesHeld, core
from ..trace.model import Calls

_UNSORTED, _UNTIDY = 1, 2
Ordered = tuple[Int64, Int64, Int64, Windows, Int64, Int64, Int64, Int64, bool]
"""The fields of `CallOrder`."""


def ordered(launch: Int64, calls: Calls, keys: Codes, gpus: Codes) -> Ordered | None:
    """Operations that have a launch by key, device and launch; None where numpy must order them.

    Raises:
        EnvironmentLacks: memory ran out.
    """
    library, groups = core(), len(keys.values) * len(gpus.values)
    if library is None:
        return None
    given = [np.ascontiguousarray(column) for column in (launch, calls.start, calls.end)]
    item, begin, finish = (np.empty(len(launch), np.int64) for _ in range(3))
    group, bounds = np.empty(groups, np.int64), np.empty(groups + 1, np.int64)
    job = Order(len(launch), len(calls), len(keys.values), len(gpus.values))
    job.key, job.gpu = Column.of(keys.code), Column.of(gpus.code)
    job.launch, job.start, job.end = (column.ctypes.data for column in given)
    job.item, job.begin, job.finish, job.group, job.bounds = (
        column.ctypes.data for column in (item, begin, finish, group, bounds)
    )
    count: int = library.aisp_order(byref(job))
    if count == MEMORY:
        raise EnvironmentLacks("memory ran out", "on a machine with more, or of a smaller trace")
    if count < 1:
        return None
    item, begin, finish, group, bounds = (
        item[:count], begin[:count], finish[:count], group[: job.groups], bounds[: job.groups + 1],
    )  # fmt: skip
    windows = Windows.of_parts(bounds[:-1], begin, finish)
    if windows is None:
        return None
    told = library.aisp_shift(
        job.groups, bounds.ctypes.data, windows.shift.ctypes.data, count, begin.ctypes.data, finish.ctypes.data
    )
    if told < 0 or told & _UNSORTED:
        return None
    tidy = not told & _UNTIDY
    returned = finish[:0] if tidy else finish - np.repeat(windows.shift, np.diff(bounds))
    key, gpu = keys.values[group // len(gpus.values)], gpus.values[group % len(gpus.values)]
    return key, gpu, bounds, windows, item, begin, finish, returned, tidy


def slices_held(
    ranges: Mapping[str, Int64], groups: Mapping[str, Int64], launches: Mapping[str, Int64]
) -> tuple[Int64, Int64] | None:
    """Where the slices of the launches begin and stop that ranges hold; None where numpy must look.

    Args:
        ranges: `group`, `start` and `end` of each.
        groups: `bounds`, and the window of each: `low`, `high` and `shift`.
        launches: of each, moved into its window, what must not lie before a range (`first`) and not after it (`last`).
    """
    library, count = core(), len(ranges["group"])
    if library is None:
        return None
    begin, stop = np.empty(count, np.int64), np.empty(count, np.int64)
    job = SlicesHeld(count, len(groups["low"]), len(launches["first"]))
    flat = {name: np.ascontiguousarray(column) for name, column in {**ranges, **groups, **launches}.items()}
    for name, column in {**flat, "begin": begin, "stop": stop}.items():
        setattr(job, name, column.ctypes.data)
    return None if library.aisp_slices(byref(job)) else (begin, stop)
