"""`trace gaps`: when a device was idle, and what the host was doing.

A gap ends with the operations that start then; the one whose launch was called first explains it. Before that call the
host had not asked for anything; after it the work was queued and the device waited, for another stream or for itself.
A synchronising call explains a gap if the launch would have come in half the time or less had the host not waited.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.overlap import busy_time
from ..arrays.blocks import gathered, in_order
from ..arrays.intervals import Intervals, union
from ..arrays.rows import Rows
from ..arrays.types import Bools, Int64
from ..arrays.windows import Windows, by_group
from ..trace.model import KINDS, Trace
from .synchronising import blocking_calls
from .table import Column, Table

CAUSES = ("synchronising_call", "no_launch_queued", "queued", "capture_boundary", "launch_not_traced")
SYNCHRONISING, NOT_QUEUED, QUEUED, BOUNDARY, NOT_TRACED = range(len(CAUSES))


@dataclass(frozen=True, slots=True, eq=False)
class Gaps(Rows):
    """Gaps of one or more devices, columns of shape (n,); times in ns.

    gpu          index into `trace.gpus`
    cause        index into CAUSES
    waiting      of the gap, the launching thread spent this much in synchronising calls before it launched;
    calling      in other CUDA calls;
    outside      outside any CUDA call;
    queued       and this much passed after the launch was called: the four sum to the length, unless at a boundary or
                 where the launch is unknown, when all are 0
    waited       the whole length of those synchronising calls, with what lies before the gap
    before       row index into `trace.operations` of the one that ended last before the gap, -1 at the beginning
    after        of the one that ends the gap, -1 at the end
    call         row index into `trace.calls`: the synchronising call, else the launch; -1 for neither
    """

    gpu: Int64
    start: Int64
    end: Int64
    cause: Int64
    waiting: Int64
    calling: Int64
    outside: Int64
    queued: Int64
    waited: Int64
    before: Int64
    after: Int64
    call: Int64


def find_gaps(trace: Trace) -> Gaps:
    """All gaps of all devices, the boundaries of the capture among them, by device and time."""
    return Gaps(**trace.table("gaps", partial(_found, trace)))


def _found(trace: Trace) -> dict[str, Int64]:
    waits = blocking_calls(trace)
    of_devices = in_order(partial(_of_device, trace, waits=waits), range(len(trace.gpus)))
    parts = [part for some in of_devices for part in some]
    columns = {name: [getattr(part, name) for part in parts] for name in Gaps.__slots__}
    return {name: np.concatenate(arrays or [np.empty(0, np.int64)]) for name, arrays in columns.items()}


def _of_device(trace: Trace, gpu: int, waits: Bools) -> list[Gaps]:
    """`waits` marks the calls that wait. Nothing for a device whose operations all have length zero: idleness is then undefined."""
    mine = np.flatnonzero(trace.operations.gpu == gpu)
    bounds = busy_time(trace.operations.take(mine))
    if not len(bounds):
        return []
    low, high = _window(trace)
    start = np.concatenate([[min(low, bounds.start[0])], bounds.end])
    end = np.concatenate([bounds.start, [max(high, bounds.end[-1])]])
    before, after = _neighbours(trace, mine, start, end)
    cause, parts, call = _explained(trace, waits, start, end, after)
    for edge in (0, -1):
        cause[edge], call[edge], parts[:, edge] = BOUNDARY, -1, 0
    waiting, calling, outside, queued, waited = parts
    device = np.full(len(start), gpu, np.int64)
    between = Gaps(device, start, end, cause, waiting, calling, outside, queued, waited, before, after, call)
    return [between.take(end > start)]


def _window(trace: Trace) -> tuple[int, int]:
    """The first and last instant about which the trace says anything."""
    rows = [rows for rows in (trace.operations, trace.calls, trace.ranges) if len(rows)]
    return min(int(part.start.min()) for part in rows), max(int(part.end.max()) for part in rows)


def _neighbours(trace: Trace, mine: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64]:
    """For each gap the operation that ends last before it, and of those that start at its end the first launched."""
    operations, calls = trace.operations, trace.calls
    real = gathered(operations.end, mine) > gathered(operations.start, mine)
    mine = mine if real.all() else mine[real]
    launch, begun, ended = (gathered(c, mine) for c in (operations.launch, operations.start, operations.end))
    called = np.where(launch >= 0, gathered(calls.start, launch) if len(calls) else 0, np.iinfo(np.int64).max)
    by_end, by_start = np.argsort(ended, kind="stable"), np.lexsort((called, begun))
    last = np.searchsorted(gathered(ended, by_end), start, "right") - 1
    first = np.searchsorted(gathered(begun, by_start), end, "left")
    by_end, by_start = gathered(mine, by_end), gathered(mine, by_start)
    before = np.where(last >= 0, by_end[np.maximum(last, 0)], -1)
    after = np.where(first < len(by_start), by_start[np.minimum(first, len(by_start) - 1)], -1)
    return before.astype(np.int64), after.astype(np.int64)


def _explained(trace: Trace, waits: Bools, start: Int64, end: Int64, after: Int64) -> tuple[Int64, Int64, Int64]:
    """Each gap's cause, its four parts and the total wait, shape (5, n), and its call."""
    launch = np.where(after >= 0, trace.operations.launch[after], -1)
    cause = np.full(len(start), NOT_TRACED, np.int64)
    parts, call = np.zeros((5, len(start)), np.int64), launch.copy()
    known = np.flatnonzero(launch >= 0)
    thread = trace.calls.codes("thread")
    by_thread = known[by_group(thread.code[launch[known]], len(thread.values))]
    for here, own in _on_one_line(trace, waits, by_thread, thread.code[launch[by_thread]], start, end):
        until = np.clip(trace.calls.start[launch[here]], start[here], end[here])
        shift = own.shift[thread.code[launch[here]]]
        waiting, waited = _spent(own.waits, start[here] + shift, until + shift)
        calling = _spent(own.calls, start[here] + shift, until + shift)[0] - waiting
        late, queued = until - start[here], end[here] - until
        parts[:, here] = waiting, calling, late - waiting - calling, queued, waited
        synchronised = (waiting > 0) & (2 * waited >= late) & (late >= queued)
        cause[here] = np.where(synchronised, SYNCHRONISING, np.where(late > queued, NOT_QUEUED, QUEUED))
        call[here] = np.where(synchronised, own.last_wait(until + shift), launch[here])
    return cause, parts, call


@dataclass(frozen=True, slots=True)
class _Line:
    """The calls of some threads on one line of time, each thread in a window of its own, moved by `shift`.

    calls, waits    when any call of a thread, or any that waits, was in flight
    wait            row indices of the calls that wait, in the order of `wait_start`, when they began
    """

    shift: Int64
    calls: Intervals
    waits: Intervals
    wait: Int64
    wait_start: Int64

    def last_wait(self, time: Int64) -> Int64:
        """The last call that waits and began before each time; whatever comes first in the line where there is none."""
        if not len(self.wait):
            return np.full(len(time), -1, np.int64)
        return self.wait[np.maximum(np.searchsorted(self.wait_start, time, "left") - 1, 0)]


def _on_one_line(
    trace: Trace, waiting: Bools, gaps: Int64, thread: NDArray[Any], start: Int64, end: Int64
) -> Iterator[tuple[Int64, _Line]]:
    """Gaps, which lie together by the thread of their launch, each with the calls of its thread; several parts where the
    windows of all threads do not fit into 64 bits."""
    if not len(gaps):
        return
    calls, codes = trace.calls, trace.calls.codes("thread")
    mine = np.zeros(len(codes.values), bool)
    mine[thread] = True
    rows = np.flatnonzero(mine[codes.code])
    group = np.concatenate((codes.code[rows], thread)).astype(np.int64)
    low, high = (np.concatenate((a, b)) for a, b in ((calls.start[rows], start[gaps]), (calls.end[rows], end[gaps])))
    windows = Windows.of(group, len(codes.values), low, high)
    if windows is None and thread[0] != thread[-1]:
        middle = np.searchsorted(thread, thread[len(thread) // 2], "left") or np.searchsorted(
            thread, thread[0], "right"
        )
        for some in (slice(0, middle), slice(middle, None)):
            yield from _on_one_line(trace, waiting, gaps[some], thread[some], start, end)
        return
    shift = np.zeros(len(codes.values), np.int64) if windows is None else windows.shift
    moved = calls.start[rows] + shift[codes.code[rows]], calls.end[rows] + shift[codes.code[rows]]
    waits = np.flatnonzero(waiting[rows])
    waits = waits[np.argsort(moved[0][waits], kind="stable")]
    filled = union(*moved), union(moved[0][waits], moved[1][waits])
    yield gaps, _Line(shift, *filled, rows[waits], moved[0][waits])


def _spent(filled: Intervals, start: Int64, end: Int64) -> tuple[Int64, Int64]:
    """How much of each [start, end) the calls fill, nested ones counted once, and the total length of the calls that
    reach into it."""
    if not len(filled):
        return np.zeros(len(start), np.int64), np.zeros(len(start), np.int64)
    before = np.concatenate([[0], np.cumsum(filled.end - filled.start)])
    first = np.searchsorted(filled.end, start, "right")  # the calls that reach into [start, end) are first .. last - 1
    last = np.maximum(np.searchsorted(filled.start, end, "left"), first)
    whole = before[last] - before[first]
    low = filled.start[np.minimum(first, len(filled) - 1)]
    high = filled.end[np.maximum(last - 1, 0)]
    cut = np.maximum(start - low, 0) + np.maximum(high - end, 0)
    return np.where(last > first, whole - cut, 0), whole


def by_cause(table: Table) -> dict[str, dict[str, int]]:
    """How many gaps each cause has, and how long they are together, in ns."""
    length, cause = table.flat()["length"].values, table.flat()["cause"].values
    return {
        name: {"gaps": int((cause == code).sum()), "length": int(length[cause == code].sum())}
        for code, name in enumerate(CAUSES)
    }


def gaps(trace: Trace, least: int = 1, limit: int | None = None) -> Table:
    """The gaps as rows of docs/json.md, the longest first.

    Args:
        least: leave out gaps shorter than this, in ns.
        limit: at most so many rows.
    """
    every = find_gaps(trace)
    length = every.end - every.start
    order = np.lexsort((every.start, every.gpu, -length))
    order = order[length[order] >= least][:limit]
    chosen = every.take(order)
    neighbours = {
        **_operation(trace, "before", chosen.before),
        **_operation(trace, "after", chosen.after),
    }
    return Table({**_times(trace, chosen), **neighbours})


def _times(trace: Trace, chosen: Gaps) -> dict[str, Column | Table]:
    none = chosen.call < 0
    call = np.where(none, 0, chosen.call)
    calls = trace.calls if len(trace.calls) else None
    rows, names = (calls.row[call], calls.name[call]) if calls else (call, chosen.call)
    return {
        "gpu_uuid": Column(chosen.gpu, [gpu.uuid for gpu in trace.gpus]),
        "device": Column(np.array([gpu.device for gpu in trace.gpus], np.int64)[chosen.gpu]),
        **{name: Column(getattr(chosen, name)) for name in ("start", "end")},
        "length": Column(chosen.end - chosen.start),
        "cause": Column(chosen.cause, CAUSES),
        **{name: Column(getattr(chosen, name)) for name in ("waiting", "calling", "outside", "queued", "waited")},
        "call": Column(np.where(none, -1, names), trace.strings, none),
        "call_row": Column(rows, missing=none),
    }


def _operation(trace: Trace, side: str, index: Int64) -> dict[str, Column | Table]:
    none: NDArray[np.bool_] = index < 0
    o, at = trace.operations, np.where(none, 0, index)
    return {
        f"{side}_table": Column(o.table[at].astype(np.int64), trace.tables, none),
        f"{side}_row": Column(o.row[at], missing=none),
        f"{side}_name": Column(o.name[at], trace.strings, none),
        f"{side}_kind": Column(o.kind[at].astype(np.int64), KINDS, none),
        f"{side}_stream": Column(o.stream[at], missing=none),
    }
