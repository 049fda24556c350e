"""`trace kernels`: a row for every kernel name and device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


def kernels(trace: Trace, name: str = "*", full: bool = False) -> tuple[KernelRow, ...]:
    """The rows, the longest total time first.

    Args:
        name: a name or glob.
        full: tell kernels apart by their full names, template arguments included.
    """
    operations = trace.operations
    names, texts = operations.full_name if full else operations.name, trace.strings
    mine = np.isin(operations.kind, (COMPUTE, COMM))
    length = operations.end - operations.start
    whole = [int(length[mine & (operations.gpu == gpu)].sum()) for gpu in range(len(trace.gpus))]
    chosen = np.flatnonzero(mine & matches(names, texts, name))
    found = operations.take(chosen)
    group, first = groups(found.gpu, found.kind, names[chosen])
    nodes = np.bincount(group[found.graph_node != 0], minlength=len(first))
    rows = []
    for number, (at, time) in enumerate(zip(first, spreads(group, length[chosen]), strict=True)):
        gpu, text = int(found.gpu[at]), int(names[chosen[at]])
        share = time.sum / whole[gpu] if whole[gpu] else 0.0
        label, kind = texts[text] if text >= 0 else "", KINDS[found.kind[at]]
        where = (trace.gpus[gpu].uuid, int(found.device[at]))
        rows.append(KernelRow(label, kind, *where, time.n, int(nodes[number]), share, time))
    return tuple(sorted(rows, key=lambda row: (-row.time.sum, row.count, row.name, row.gpu_uuid, row.device)))
