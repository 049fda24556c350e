"""Which operations each range launched, one pair each; the numbers of ranges are in `analysis.range_table`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..analysis.projection import calls_inside
from ..arrays.types import Int64
from ..trace.model import Trace


def process_wide(trace: Trace) -> Trace:
    """The same trace with every range counting the launches of all threads of its process, as a range does that another
    thread closes."""
    ranges = trace.ranges
    anyone = replace(ranges, start_end=np.ones(len(ranges), bool), end_thread=ranges.thread + 1)
    return replace(trace, ranges=anyone)


def operations_inside(trace: Trace, chosen: Int64) -> tuple[Int64, Int64]:
    """Pairs (range, operation) by launch containment: row indices into `trace.ranges` and `trace.operations`."""
    launch = trace.operations.launch
    working = np.zeros(len(trace.calls), bool)
    working[launch[launch >= 0]] = True
    ranges, calls = calls_inside(trace, chosen, working)
    order = np.argsort(launch, kind="stable")
    low, high = (np.searchsorted(launch[order], calls, side) for side in ("left", "right"))
    counts = high - low
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(ranges, counts), order[np.repeat(low, counts) + offset]
