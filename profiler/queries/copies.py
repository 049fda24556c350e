"""`trace copies`: a row for every kind of copy and device; memsets are listed too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..analysis.overlap import busy_time
from ..arrays.blocks import in_order
from ..arrays.groups import distinct_values
from ..arrays.intervals import Intervals
from ..trace.devices import labels
from ..trace.model import COMPUTE, COPIES, GRAPH_LAUNCH, KINDS, MEMORY_SET, MIGRATION, OTHER, Operations, Trace
from .kept import kept
from .spread import Spread, groups, spreads


@dataclass(frozen=True, slots=True)
class CopyRow:
    """All copies of one kind on one device (`label`: its uuid, else its ordinal and process); `bytes` in bytes, `time` and `busy`
    in ns, both spread over the records.

    count      the copies; a record may stand for a batch of them
    pageable   staged through pageable host memory: so overlap is no evidence of an asynchronous copy
    rate       bytes per second of busy time, exact (no integer division); None where no time passed
    hidden     the share of the busy time during which a compute kernel ran on that device; None where no time passed, where
               graphs were traced as a whole, and of migrations, which kernels wait for
    """

    kind: str  # h2d, d2h, d2d, p2p, other, memset or migration (of unified memory)
    pageable: bool
    gpu_uuid: str
    device: int
    label: str
    count: int
    bytes: Spread
    time: Spread
    busy: int
    rate: float | None
    hidden: float | None


def copies(trace: Trace) -> tuple[CopyRow, ...]:
    """The rows, the longest total time first."""
    return kept(trace, "copies", (CopyRow, Spread), partial(_rows, trace))


def _rows(trace: Trace) -> tuple[CopyRow, ...]:
    operations = trace.operations
    copied = operations.take(np.isin(operations.kind, (*COPIES, OTHER, MEMORY_SET, MIGRATION)))
    group, first = groups(copied.gpu, copied.kind, copied.pageable)
    sizes, times = spreads(group, copied.bytes), spreads(group, copied.end - copied.start)
    used = distinct_values(copied.gpu).tolist()
    computed = dict(zip(used, in_order(partial(_computed, trace), used), strict=True))
    rows = [
        _row(trace, copied.take(group == number), sizes[number], times[number], *computed[int(copied.gpu[at])])
        for number, at in enumerate(first)
    ]
    return tuple(
        sorted(rows, key=lambda row: (-row.time.sum, row.kind, row.gpu_uuid, row.device, row.label, row.pageable))
    )


def _computed(trace: Trace, gpu: int) -> tuple[Intervals, bool]:
    """When compute kernels ran on a device, and whether graphs were traced as a whole there."""
    here = trace.operations.take(trace.operations.gpu == gpu)
    return busy_time(here.of_kind(COMPUTE)), bool((here.kind == GRAPH_LAUNCH).any())


def _row(trace: Trace, group: Operations, size: Spread, time: Spread, compute: Intervals, graphs: bool) -> CopyRow:
    gpu, busy = int(group.gpu[0]), busy_time(group)
    known = busy.length > 0 and not graphs
    return CopyRow(
        kind=KINDS[group.kind[0]],
        pageable=bool(group.pageable[0]),
        gpu_uuid=trace.gpus[gpu].uuid,
        device=int(group.device[0]),
        label=labels(trace.gpus)[gpu],
        count=int(group.copies.sum()),
        bytes=size,
        time=time,
        busy=busy.length,
        rate=size.sum * 1e9 / busy.length if busy.length else None,
        hidden=(busy & compute).length / busy.length if known and group.kind[0] != MIGRATION else None,
    )
