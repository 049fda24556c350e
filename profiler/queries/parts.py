"""Cut a trace into the pieces that `trace diff` compares: the whole of it, or each instance of a range."""

from __future__ import annotations

import numpy as np

from ..trace.model import Trace
from .diff import Part
from .range_numbers import operations_inside, process_wide
from .ranges import chosen_ranges


def part(trace: Trace, name: str | None = None, attribution: str = "thread") -> Part:
    """The whole trace, or one piece for each instance of the ranges of a name or glob that launched GPU work."""
    if name is None:
        return Part(trace, (trace.operations,))
    chosen = chosen_ranges(trace, name=name)
    view = process_wide(trace) if attribution == "process" else trace
    ranges, operations = operations_inside(view, chosen)
    order = np.lexsort((operations, trace.ranges.row[ranges], trace.ranges.start[ranges]))
    ranges, operations = ranges[order], operations[order]
    cuts = np.flatnonzero(np.diff(ranges)) + 1
    pieces = np.split(operations, cuts) if len(operations) else []
    return Part(trace, tuple(trace.operations.take(piece) for piece in pieces))
