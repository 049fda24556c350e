"""Find the API call that submitted an operation: by process and correlation id, the outermost call of several."""

from __future__ import annotations

from ctypes import byref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays.blocks import each_block
from ...arrays.groups import ascending, distinct_values
from ...arrays.places import Places
from ...arrays.types import Bools, Int64
from ...core.library import Claim, Column, KeysOfCalls, core

_LARGEST = 1 << 33  # CUPTI's correlation ids are 32 bits wide


@dataclass(frozen=True, slots=True)
class Keys:
    """A small number for each (process, correlation id) of the calls: `offset` of the process plus its ids from `low` on.

    Ids are unique per process only. Where they are too far apart for a table, `sparse` lists those that occur.
    """

    processes: Int64
    offset: Int64
    low: Int64
    high: Int64
    size: int
    sparse: Int64 | None

    def of(self, process: Int64, correlation: Int64) -> Int64:
        """Keys of shape (n,), -1 for a process or an id that no call has."""
        if not len(self.processes):
            return np.full(len(process), -1, np.int64)
        code = Places(self.processes).of(process)
        inside = (correlation >= self.low[code]) & (correlation <= self.high[code])
        inside &= self.processes[code] == process
        keys = np.where(inside, correlation + (self.offset - self.low)[code], -1)
        if self.sparse is None:
            return keys
        where = np.minimum(np.searchsorted(self.sparse, keys), len(self.sparse) - 1)
        return np.where(self.sparse[where] == keys, where, -1)


@dataclass(frozen=True, slots=True)
class Submissions:
    """The outermost call of every key: `call[key]`, with -1 at the end for key -1."""

    keys: Keys
    call: Int64 | NDArray[np.int32]

    def of(self, process: Int64, correlation: Int64) -> Int64:
        """For each operation, the index of the call that submitted it, -1 if there is none. One call may submit many
        (graphs)."""
        calls = np.empty(len(process), np.int64)
        library = core()
        if library is not None and self.call.dtype == np.int32:  # the core made the table
            columns = Column.of(process), Column.of(correlation)
            found = self.call.ctypes.data, len(process), *columns, calls.ctypes.data
            if not library.aisp_submitted(byref(_told(self.keys)), *found):
                return calls

        def look_up(block: slice) -> None:
            calls[block] = self.call[self.keys.of(process[block], correlation[block])]

        each_block(len(process), look_up)
        return calls


def call_keys(process: Int64, correlation: Int64) -> Keys:
    """Number the (process, correlation id) pairs of the calls; ids that are negative or wider than CUPTI's do not count."""
    processes = distinct_values(process)
    low, high = _ids(processes, process, correlation)
    span = np.maximum(high - low + 1, 0)
    whole = Keys(processes, np.cumsum(span) - span, low, high, int(span.sum()), None)
    if whole.size <= 8 * len(process) + (1 << 20):
        return whole
    ids = ascending(whole.of(process, correlation))
    return Keys(processes, whole.offset, low, high, int((ids >= 0).sum()), ids[ids >= 0])


def _ids(processes: Int64, process: Int64, correlation: Int64) -> tuple[Int64, Int64]:
    """The least and the largest usable id of each process, `_LARGEST` and -1 where it has none."""
    library = core()
    if library is not None:
        found = np.empty((2, len(processes)), np.int64)
        columns = Column.of(process), Column.of(correlation)
        given = processes.ctypes.data, len(processes), len(process), *columns, _LARGEST
        if not library.aisp_ids(*given, *(part.ctypes.data for part in found)):
            return found[0], found[1]
    places = Places(processes)

    def bounds(block: slice) -> tuple[Int64, Int64]:
        code = places.of(process[block])
        ids = correlation[block]
        usable = (ids >= 0) & (ids < _LARGEST)
        low, high = np.full(len(processes), _LARGEST), np.full(len(processes), -1)
        np.minimum.at(low, code, np.where(usable, ids, _LARGEST))
        np.maximum.at(high, code, np.where(usable, ids, -1))
        return low, high

    extremes = each_block(len(process), bounds)
    low = np.minimum.reduce([part[0] for part in extremes], initial=_LARGEST) if extremes else np.empty(0, np.int64)
    high = np.maximum.reduce([part[1] for part in extremes], initial=-1) if extremes else np.empty(0, np.int64)
    return low, high


def submissions(
    process: Int64, correlation: Int64, start: Int64, end: Int64, row: Int64
) -> tuple[Submissions, NDArray[np.bool_]]:
    """Which call stands for its key: the first to start; of those that start together, the last to end, then the first row.

    Returns:
        the table of those calls, and a mask, shape (calls,), of the calls that stand for a key or, having none, for
        themselves.
    """
    keys = call_keys(process, correlation)
    claimed = _claimed(keys, process, correlation, (start, end, row))
    if claimed is not None:
        return claimed
    call = np.full(keys.size + 1, -1, np.int64)
    own = np.empty(len(process), np.int64)

    def claim(block: slice) -> None:
        own[block] = keys.of(process[block], correlation[block])
        call[own[block]] = np.arange(block.start, block.stop)

    each_block(len(process), claim)
    call[-1] = -1
    lost = np.flatnonzero((call[own] != np.arange(len(own))) & (own >= 0))
    outermost = np.ones(len(own), bool)
    if len(lost):
        shared = np.zeros(keys.size + 1, bool)
        shared[own[lost]] = True
        rivals = np.flatnonzero(shared[own])
        outermost[rivals] = False
        best = _best(own[rivals], keys.size, [column[rivals] for column in (start, -end, row)])
        outermost[rivals[best]] = True
        call[own[rivals[best]]] = rivals[best]
    return Submissions(keys, call), outermost


def _claimed(
    keys: Keys, process: Int64, correlation: Int64, times: tuple[Int64, Int64, Int64]
) -> tuple[Submissions, Bools] | None:
    """The same by the compiled core, where it is and there is a place for every id."""
    library = core()
    if library is None or keys.sparse is not None:
        return None
    call, outermost = np.empty(keys.size + 1, np.int32), np.empty(len(process), bool)
    start, end, row = (np.ascontiguousarray(column, np.int64) for column in times)
    job = Claim(len(process), Column.of(process), Column.of(correlation))
    job.start, job.end, job.row, job.call, job.outermost = (a.ctypes.data for a in (start, end, row, call, outermost))
    done = library.aisp_claim(byref(_told(keys)), byref(job)) == 0
    return (Submissions(keys, call), outermost) if done else None


def _told(keys: Keys) -> KeysOfCalls:
    """The keys as the core is told of them; they live as long as `keys` do."""
    columns = (keys.processes, keys.offset, keys.low, keys.high)
    return KeysOfCalls(len(keys.processes), keys.size, *(column.ctypes.data for column in columns))


def _best(key: Int64, size: int, columns: list[Int64]) -> Int64:
    """For each key, the position of the element that is smallest in the first column, then the second, then the third."""
    left = np.arange(len(key))
    for column in columns:
        smallest = np.full(size, np.iinfo(np.int64).max)
        np.minimum.at(smallest, key[left], column[left])
        left = left[column[left] == smallest[key[left]]]
    return left
