"""Which device a graph traced as a whole ran on: its record names its first node's device, and a host node has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from ...arrays.types import Int64
from ..model import pid_of
from ..schema import GRAPH_TRACE
from .columns import Columns, Invalid, picked

_NO_DEVICE = (1 << 31) - 1
"""INT_MAX stands for none (seen in a record whose first node runs on the host); a machine has fewer than DEVICES GPUs."""


def place_graphs(
    graphs: Columns, others: Sequence[Columns], ordinals: Mapping[int, AbstractSet[int]], invalid: Invalid
) -> Columns:
    """Put graphs without a device where the rest of their process ran: on its only device, else on the only one that knows
    their stream. What cannot be placed is left out and counted, since it would hide that a device was busy.

    Args:
        others: the columns of all other operations.
        ordinals: pid -> the CUDA devices that it saw, if the export says; used for a process without other operations.
    """
    nowhere = (graphs["deviceId"] < 0) | (graphs["deviceId"] >= _NO_DEVICE)
    if not nowhere.any():
        return graphs
    known = _known([*others, {name: picked(column, ~nowhere) for name, column in graphs.items()}])
    device, keep = graphs["deviceId"].copy(), np.ones(len(nowhere), bool)
    for at in np.flatnonzero(nowhere).tolist():
        process, stream = int(graphs["globalPid"][at]), int(graphs["streamId"][at])
        mine = known.get(process, {}) or {ordinal: set() for ordinal in ordinals.get(pid_of(process), ())}
        fitting = list(mine) if len(mine) == 1 else [d for d, streams in mine.items() if stream in streams]
        keep[at] = len(fitting) == 1
        device[at] = fitting[0] if len(fitting) == 1 else 0
    if not keep.all():
        invalid["graphs_without_device", GRAPH_TRACE] = int((~keep).sum())
    placed = {**graphs, "deviceId": device}
    return placed if keep.all() else {name: picked(column, keep) for name, column in placed.items()}


def _known(tables: Sequence[Columns]) -> dict[int, dict[int, set[int]]]:
    """process -> device -> the streams on which anything ran there."""
    streams: dict[int, dict[int, set[int]]] = {}
    for table in tables:
        columns: list[Int64] = [table[name] for name in ("globalPid", "deviceId", "streamId")]
        for process, device, stream in np.unique(np.stack(columns), axis=1).T.tolist():
            streams.setdefault(process, {}).setdefault(device, set()).add(stream)
    return streams
