"""`trace diff`: what became faster, slower, new or gone between two traces, or between instances of ranges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..arrays.blocks import both
from ..ranges.attribution import Attribution, operations_inside
from ..ranges.chosen import chosen_ranges
from ..trace.model import Trace
from .alignment import DeviceDiff, Part, aligned
from .notes import untraced_graphs
from .other_threads import other_threads
from .ranges import why_none


def part(trace: Trace, name: str | None = None, attribution: str = "thread") -> Part:
    """The whole trace, or one piece for each instance of the ranges of a name or glob that launched GPU work."""
    if name is None:
        everything = np.arange(len(trace.operations))
        return Part.of(trace, everything, np.zeros(len(everything), np.int64), 1)
    chosen = chosen_ranges(trace, name=name)
    chosen = chosen[np.lexsort((trace.ranges.row[chosen], trace.ranges.start[chosen]))]
    place, operation = operations_inside(trace, chosen, Attribution.named(attribution))
    number = np.cumsum(np.diff(place, prepend=-1) > 0) - 1
    return Part.of(trace, operation, number, int(number[-1]) + 1 if len(number) else 0)


@dataclass(frozen=True, slots=True)
class TraceDiff:
    """The answer of `trace diff`: what was compared, and device by device what changed. `notes` say what is missing."""

    a: str
    b: str
    range_a: str | None
    range_b: str | None
    attribution: str
    devices: tuple[DeviceDiff, ...]
    notes: tuple[str, ...]


def diff(a: Trace, b: Trace, range_a: str | None, range_b: str | None, attribution: str = "thread") -> TraceDiff:
    """Compare two traces, or ranges of them (None: the whole trace).

    Raises:
        UsageError: no such attribution.
    """
    Attribution.named(attribution)
    sides = ((a, range_a), (b, range_b))
    of_a, of_b = (partial(part, trace, name, attribution) for trace, name in sides)
    first, second = both(of_a, of_b)
    notes = [note for part, (_, name) in zip((first, second), sides, strict=True) for note in _missing(part, name)]
    notes += [note for trace, name in sides if name for note in other_threads(trace, name, attribution)]
    notes += [*untraced_graphs(a), *untraced_graphs(b)]
    if first.pieces and second.pieces and first.pieces != second.pieces:
        notes.append(f"{first.pieces} instances are compared with {second.pieces}: the sums differ by that too")
    return TraceDiff(
        str(a.path), str(b.path), range_a, range_b, attribution, aligned(first, second), tuple(dict.fromkeys(notes))
    )


def _missing(side: Part, name: str | None) -> list[str]:
    if len(side.operations):
        return []
    return ["the trace holds no GPU operation" if name is None else why_none(side.trace, None, name)]
