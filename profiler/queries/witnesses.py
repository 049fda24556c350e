"""The longest overlaps of two selections, as operations that anyone can look up."""

from __future__ import annotations

from ..analysis.findable import findable
from ..analysis.longest import witnesses
from ..arrays.types import Int64
from ..evidence import Witness
from ..trace.model import Operations, Trace


def longest(trace: Trace, a: Int64, b: Int64, count: int) -> tuple[Witness, ...]:
    """At most `count` pairs, an operation of `a` and one of `b` on another stream, the longest shared time first.

    Args:
        a, b: row indices into `trace.operations`.
    """
    one, two = trace.operations.take(a), trace.operations.take(b)
    return tuple(_witness(trace, one, i, two, j) for i, j in witnesses(one, two, count))


def _witness(trace: Trace, a: Operations, i: int, b: Operations, j: int) -> Witness:
    start, end = max(a.start[i], b.start[j]), min(a.end[i], b.end[j])
    return Witness(findable(trace, a, i), findable(trace, b, j), int(start), int(end))
