"""`trace kernels`: a row for every kernel name and device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.names import fitting, matches
from ..arrays.blocks import gathered
from ..arrays.codes import counted, joined, summed
from ..arrays.groups import any_of
from ..arrays.types import Int64
from ..trace.devices import labels
from ..trace.model import COMM, COMPUTE, KINDS, Trace
from .kept import kept, known
from .spread import Spread, firsts_of, spreads


@dataclass(frozen=True, slots=True)
class KernelRow:
    """All executions of one kernel on one device; `time` in ns, `share` of all kernel time on that device in [0, 1].

    `graph_nodes` of the executions ran as nodes of a graph; `label` is the device's uuid, else its ordinal and process.
    """

    name: str
    kind: str  # compute or comm
    gpu_uuid: str
    device: int
    label: str
    count: int
    graph_nodes: int
    share: float
    time: Spread


def kernels(trace: Trace, name: str = "*", full: bool = False, top: int | None = None) -> tuple[KernelRow, ...]:
    """The rows, the longest total time first.

    Args:
        name: a name or glob.
        full: distinguish kernels by their full names, template arguments included.
        top: at most so many rows; by default all.
    """
    whole, fits = f"kernels{' in full' if full else ''}", fitting(name)
    if name == "*" and top is not None and not known(trace, whole):
        return kept(trace, f"{whole}, the first {top}", (KernelRow, Spread), partial(_rows, trace, "*", full, top))
    if not known(trace, whole) and (name != "*" or trace.derived is None):
        return _rows(trace, name, full, top)
    rows = kept(trace, whole, (KernelRow, Spread), partial(_rows, trace, "*", full, None))
    return tuple(row for row in rows if fits(row.name))[:top]


def _rows(trace: Trace, name: str, full: bool, top: int | None) -> tuple[KernelRow, ...]:
    operations = trace.operations
    names = operations.codes("full_name" if full else "name")
    fits = matches(names.values, trace.strings, name)
    mine = any_of(operations.kind, (COMPUTE, COMM))
    length = operations.end - operations.start
    gpu = operations.codes("gpu")
    whole = summed(gpu.code, len(gpu.values), np.where(mine, length, 0))
    chosen = np.flatnonzero(mine if fits.all() else mine & gathered(fits, names.code))
    keys = [gpu, operations.codes("kind"), names]
    group, count = joined([key.take(chosen) for key in keys])
    length = gathered(length, chosen)
    if top is not None and top < count:
        chosen, group, count, length = _longest(chosen, group, count, length, top)
    first = firsts_of(group, count)
    nodes = counted(group[operations.graph_node[chosen] != 0], count)
    rows, named = [], labels(trace.gpus)
    for number, (at, time) in enumerate(zip(chosen[first].tolist(), spreads(group, length), strict=True)):
        text = int(names.values[names.code[at]])
        label = named[int(gpu.values[gpu.code[at]])]
        rows.append(_row(trace, at, text, label, int(whole[gpu.code[at]]), int(nodes[number]), time))
    rows.sort(key=lambda row: (-row.time.sum, row.count, row.name, row.gpu_uuid, row.device, row.label))
    return tuple(rows[:top])


def _longest(
    chosen: Int64, group: NDArray[Any], count: int, length: Int64, top: int
) -> tuple[Int64, NDArray[Any], int, Int64]:
    """The executions of the groups whose total may be among the `top` largest, ties included."""
    total = summed(group, count, length)
    wanted = total >= (np.sort(total)[-top] if top else np.iinfo(np.int64).max)
    some = np.flatnonzero(gathered(wanted, group))
    number = np.cumsum(wanted) - 1
    mine = gathered(group, some)
    return gathered(chosen, some), gathered(number, mine), int(wanted.sum()), gathered(length, some)


def _row(trace: Trace, at: int, text: int, label: str, whole: int, nodes: int, time: Spread) -> KernelRow:
    """The row of one of its operations' group; `whole` is all kernel time on that device."""
    operations = trace.operations
    return KernelRow(
        name=trace.text(text),
        kind=KINDS[operations.kind[at]],
        gpu_uuid=trace.gpus[operations.gpu[at]].uuid,
        device=int(operations.device[at]),
        label=label,
        count=time.n,
        graph_nodes=nodes,
        share=time.sum / whole if whole else 0.0,
        time=time,
    )
