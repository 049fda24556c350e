"""`trace overlap`: how much of one selection's time another one hides, on each device, with witnesses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..analysis.overlap import busy_time
from ..evidence import Witness
from ..trace.devices import labels
from ..trace.model import GRAPH_LAUNCH, MIGRATION, Trace
from .selectors import select
from .witnesses import longest


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """Two selections on one device, as docs/metrics.md defines overlap, hidden, exposed, bound and efficiency; ns.

    label            the device's uuid, else its ordinal and process
    shared_ops       operations in both selections: each overlaps itself
    untraced_graphs  graphs on this device traced as a whole: what overlapped inside them is unknown, and not counted
    witnesses        the longest overlaps of two operations on different streams
    """

    gpu_uuid: str
    device: int
    label: str
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


def overlap(trace: Trace, a: str, b: str, count: int = 3, attribution: str = "thread") -> tuple[OverlapRow, ...]:
    """A row for each device on which either selection has operations, with at most `count` witnesses each. Migrations of
    unified memory are in neither: kernels wait for them.

    Raises:
        UsageError: a selector that means nothing, or no such attribution.
    """
    of_programs = trace.operations.kind != MIGRATION
    first, second = (select(trace, selector, attribution) & of_programs for selector in (a, b))
    devices = np.unique(trace.operations.gpu[first | second])
    return tuple(_row(trace, int(gpu), (a, b), (first, second), count) for gpu in devices)


def _row(
    trace: Trace, gpu: int, names: tuple[str, str], masks: tuple[NDArray[np.bool_], NDArray[np.bool_]], count: int
) -> OverlapRow:
    here = trace.operations.gpu == gpu
    a, b = (trace.operations.take(mask & here) for mask in masks)
    a_time, b_time = busy_time(a), busy_time(b)
    shared, bound = (a_time & b_time).length, min(a_time.length, b_time.length)
    return OverlapRow(
        gpu_uuid=trace.gpus[gpu].uuid,
        device=int((a if len(a) else b).device[0]),
        label=labels(trace.gpus)[gpu],
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
        witnesses=longest(trace, np.flatnonzero(masks[0] & here), np.flatnonzero(masks[1] & here), count),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
