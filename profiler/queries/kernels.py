"""`trace kernels`: a row for every kernel name and device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..trace.blocks import gathered
from ..trace.columns import Int64
from ..trace.groups import any_of
from ..trace.model import COMM, COMPUTE, KINDS, Trace
from .names import matches
from .spread import Spread, groups, spreads


@dataclass(frozen=True, slots=True)
class KernelRow:
    """All executions of one kernel on one device; `time` in ns, `share` of all kernel time on that device in [0, 1].

    `graph_nodes` of the executions ran as nodes of a graph.
    """

    name: str
    kind: str  # compute or comm
    gpu_uuid: str
    device: int
    count: int
    graph_nodes: int
    share: float
    time: Spread


def kernels(trace: Trace, name: str = "*", full: bool = False, top: int | None = None) -> tuple[KernelRow, ...]:
    """The rows, the longest total time first.

    Args:
        name: a name or glob.
        full: tell kernels apart by their full names, template arguments included.
        top: at most so many rows; by default all.
    """
    operations = trace.operations
    names = operations.full_name if full else operations.name
    mine = any_of(operations.kind, (COMPUTE, COMM))
    length = operations.end - operations.start
    whole = [int(length[mine & (operations.gpu == gpu)].sum()) for gpu in range(len(trace.gpus))]
    chosen = np.flatnonzero(mine & matches(names, trace.strings, name))
    group, first = groups(*(gathered(column, chosen) for column in (operations.gpu, operations.kind, names)))
    length = gathered(length, chosen)
    if top is not None and top < len(first):
        chosen, group, length, first = _longest(chosen, group, length, len(first), top)
    nodes = np.bincount(group[operations.graph_node[chosen] != 0], minlength=len(first))
    rows = [
        _row(trace, names, whole, int(chosen[at]), int(nodes[number]), time)
        for number, (at, time) in enumerate(zip(first, spreads(group, length), strict=True))
    ]
    rows.sort(key=lambda row: (-row.time.sum, row.count, row.name, row.gpu_uuid, row.device))
    return tuple(rows[:top])


def _longest(
    chosen: Int64, group: Int64, length: Int64, groups_found: int, top: int
) -> tuple[Int64, Int64, Int64, list[int]]:
    """The executions of the groups whose total may be among the `top` largest: those of equal totals too."""
    total = np.zeros(groups_found, np.int64)
    np.add.at(total, group, length)
    wanted = total >= (np.sort(total)[-top] if top else np.iinfo(np.int64).max)
    some = np.flatnonzero(wanted[group])
    number, first = groups(group[some])
    return chosen[some], number, length[some], first


def _row(trace: Trace, names: Int64, whole: list[int], at: int, nodes: int, time: Spread) -> KernelRow:
    """A row by one of its operations."""
    operations = trace.operations
    gpu, text = int(operations.gpu[at]), int(names[at])
    return KernelRow(
        name=trace.text(text),
        kind=KINDS[operations.kind[at]],
        gpu_uuid=trace.gpus[gpu].uuid,
        device=int(operations.device[at]),
        count=time.n,
        graph_nodes=nodes,
        share=time.sum / whole[gpu] if whole[gpu] else 0.0,
        time=time,
    )
