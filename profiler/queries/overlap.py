"""`trace overlap`: how much of one selection's time another one hides, on each device, with witnesses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..analysis.intervals import Intervals
from ..analysis.overlap import busy_time, witnesses
from ..evidence import Op, Witness
from ..trace.model import GRAPH_LAUNCH, KINDS, TABLES, Operations, Trace
from .selectors import select


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """Two selections on one device, as docs/metrics.md defines overlap, hidden, exposed, bound and efficiency; ns.

    shared_ops       operations that are in both: each overlaps itself
    untraced_graphs  graphs on this device traced as a whole: what overlapped inside them is unknown, and not counted
    witnesses        the longest overlaps of two operations on different streams
    """

    gpu_uuid: str
    device: int
    a: str
    b: str
    a_ops: int
    b_ops: int
    shared_ops: int
    untraced_graphs: int
    a_time: int
    b_time: int
    overlap: int
    a_hidden: float | None
    b_hidden: float | None
    a_exposed: int
    b_exposed: int
    overlap_bound: int
    overlap_efficiency: float | None
    witnesses: tuple[Witness, ...]


def overlap(trace: Trace, a: str, b: str, count: int = 3) -> tuple[OverlapRow, ...]:
    """A row for each device on which either selection has operations, with at most `count` witnesses each.

    Raises:
        UsageError: a selector that means nothing.
    """
    first, second = select(trace, a), select(trace, b)
    devices = np.unique(trace.operations.gpu[first | second])
    return tuple(_row(trace, int(gpu), (a, b), (first, second), count) for gpu in devices)


def _row(
    trace: Trace, gpu: int, names: tuple[str, str], masks: tuple[NDArray[np.bool_], NDArray[np.bool_]], count: int
) -> OverlapRow:
    here = trace.operations.gpu == gpu
    a, b = (trace.operations.take(mask & here) for mask in masks)
    a_time, b_time = busy_time(a), busy_time(b)
    both, bound = a_time & b_time, min(a_time.length, b_time.length)
    shared = both.length
    return OverlapRow(
        gpu_uuid=trace.gpus[gpu].uuid,
        device=int((a if len(a) else b).device[0]),
        a=names[0],
        b=names[1],
        a_ops=len(a),
        b_ops=len(b),
        shared_ops=int((masks[0] & masks[1] & here).sum()),
        untraced_graphs=int((here & (trace.operations.kind == GRAPH_LAUNCH)).sum()),
        a_time=a_time.length,
        b_time=b_time.length,
        overlap=shared,
        a_hidden=_ratio(shared, a_time.length),
        b_hidden=_ratio(shared, b_time.length),
        a_exposed=a_time.length - shared,
        b_exposed=b_time.length - shared,
        overlap_bound=bound,
        overlap_efficiency=_ratio(shared, bound),
        witnesses=_witnesses(trace, _during(a, both), _during(b, both), count),
    )


def _during(operations: Operations, times: Intervals) -> Operations:
    """Those that run at some of the times: a witness search over all of a long trace's operations would take minutes."""
    following = np.searchsorted(times.end, operations.start, "right")
    inside = following < len(times)
    begins = times.start[np.minimum(following, len(times) - 1)] if len(times) else operations.end
    return operations.take(inside & (begins < operations.end))


def _witnesses(trace: Trace, a: Operations, b: Operations, count: int) -> tuple[Witness, ...]:
    pairs = witnesses(a, b, count) if count else []
    return tuple(_witness(trace, a, i, b, j) for i, j in pairs)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _witness(trace: Trace, a: Operations, i: int, b: Operations, j: int) -> Witness:
    start, end = max(a.start[i], b.start[j]), min(a.end[i], b.end[j])
    return Witness(op(trace, a, i), op(trace, b, j), int(start), int(end))


def op(trace: Trace, operations: Operations, index: int) -> Op:
    """One operation, findable by hand in its table."""
    size = int(operations.bytes[index])
    return Op(
        table=TABLES[operations.table[index]],
        row=int(operations.row[index]),
        name=trace.text(int(operations.name[index])),
        kind=KINDS[operations.kind[index]],
        device=int(operations.device[index]),
        stream=int(operations.stream[index]),
        start=int(operations.start[index]),
        end=int(operations.end[index]),
        bytes=size if size >= 0 else None,
    )
