"""Find the API call that submitted an operation: by process and correlation id, the outermost call of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .columns import Int64

if TYPE_CHECKING:
    from .model import Calls

_BITS = 33  # CUPTI's correlation ids are 32 bits wide; process numbers go above them


def _keys(process: Int64, correlation: Int64, processes: Int64) -> Int64:
    """One integer for (process, correlation id); -1 where there is no usable id. Ids are unique per process only."""
    where = np.searchsorted(processes, process)
    inside = np.minimum(where, max(len(processes) - 1, 0))
    known = (processes[inside] == process) if len(processes) else np.zeros(len(process), bool)
    usable = known & (correlation >= 0) & (correlation < 1 << _BITS)
    return np.where(usable, (inside << _BITS) | correlation, -1)


def outermost_calls(process: Int64, correlation: Int64, start: Int64, end: Int64, row: Int64) -> NDArray[np.bool_]:
    """Which call stands for its correlation id: the first to start; of those that start together, the last to end.

    Calls without a correlation id stand for themselves.
    """
    keys = _keys(process, correlation, np.unique(process))
    order = np.lexsort((row, -end, start, keys))
    first = np.ones(len(keys), bool)
    first[1:] = keys[order][1:] != keys[order][:-1]
    outermost = np.empty(len(keys), bool)
    outermost[order] = first
    return outermost | (keys < 0)


def launches_of(process: Int64, correlation: Int64, calls: Calls) -> Int64:
    """For each operation the index of its outermost call, -1 without one. One call may have many operations (graphs)."""
    candidates = np.flatnonzero(calls.outermost)
    processes = np.unique(calls.process)
    keys = _keys(calls.process[candidates], calls.correlation[candidates], processes)
    candidates, keys = candidates[keys >= 0], keys[keys >= 0]
    order = np.argsort(keys)
    wanted = _keys(process, correlation, processes)
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    where = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    hit = (keys[order][where] == wanted) & (wanted >= 0)
    return np.where(hit, candidates[order][where], -1)
