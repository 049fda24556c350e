"""A trace as Chrome trace events, which Perfetto opens: one track per lane, and nothing in a lane overlaps.

A process of the file is either a host process or a device. Streams, threads and NVTX domains get as many lanes as they need:
what would overlap, such as nested ranges or dependent launches of one stream, moves to the next lane of its own.
Format: "Trace Event Format" of the Chromium project; times are in µs there, written with three decimals. Readers hold
them as doubles, which distinguish nanoseconds up to `EXACT_NS`: a trace with later times, such as a normalized one's
since 1970, is written relative to its first instant, which the file's `otherData` states.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...profiler.arrays.codes import Codes
from ...profiler.arrays.types import Int64
from ...profiler.core.library import MICRO, SAID
from ...profiler.trace.model import KINDS, Trace, pid_of
from .lines import Part

_CATEGORY_NVTX, _CATEGORY_API, _CATEGORY_MARK = "nvtx", "api", "mark"

EXACT_NS = 1000 << 43
"""Below 2^43 µs, 101 days, neighbouring doubles are no more than 0.00098 µs apart."""
_ROWS = 1 << 16
_DEEPEST = 1000
_TIMES = {"operations": ("start", "end"), "calls": ("start", "end"), "ranges": ("start", "end"), "marks": ("time",)}


@dataclass(frozen=True, slots=True)
class Track:
    """Rows of one table that share a lane: `pid` and `tid` are numbers of the file, not of the traced machine."""

    pid: int
    tid: int
    label: str
    rows: Int64


def lanes(start: Int64, end: Int64) -> Int64:
    """The lane of each interval, shape (n,): the lowest that is free, so that no two in one lane overlap. The longer of
    two that start together goes first, which gives nested ranges one lane per level. Touching is no overlap; an
    interval of length zero takes the instant at which it stands.
    """
    order = np.lexsort((-end, start))
    lane = np.empty(len(start), np.int64)
    first, until = start[order], np.maximum(start, end)[order]
    depth = _depths(first, until)
    lane[order] = _lowest_free(first, until) if depth is None else depth
    return lane


def _depths(start: Int64, end: Int64) -> Int64 | None:
    """How many of the intervals before each are around it, if none overlaps another otherwise, nor has length zero (which
    none contains): these hold the lowest lanes. None if that is not so, or needs too many steps. Both in order of `lanes`."""
    if (start[1:] >= end[:-1]).all():
        return np.zeros(len(start), np.int64)
    if (start == end).any():
        return None
    depth = np.arange(len(start)) - np.searchsorted(np.sort(end, kind="stable"), start, "right")
    deepest = int(depth.max())
    if deepest > _DEEPEST:
        return None
    around = np.flatnonzero(depth == 0)
    for level in range(1, deepest + 1):
        inside = np.flatnonzero(depth == level)
        if (end[inside] > end[around[np.searchsorted(around, inside) - 1]]).any():
            return None
        around = inside
    return depth


def _lowest_free(start: Int64, end: Int64) -> list[int]:
    """The same lanes however the intervals overlap, one interval after the other."""
    lane: list[int] = []
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    used = 0
    for begin, until in zip(start.tolist(), end.tolist(), strict=True):
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, used)
            used += 1
        lane.append(heapq.heappop(free))
        heapq.heappush(busy, (until, lane[-1]))
    return lane


def rebased(trace: Trace) -> tuple[Trace, int]:
    """The trace relative to its first instant, and that instant in ns; unchanged, and 0, if the file's times are exact
    as they are, or would not be exact either way."""
    parts = {name: getattr(trace, name) for name in _TIMES}
    columns = [getattr(parts[part], name) for part, names in _TIMES.items() for name in names if len(parts[part])]
    first, last = min((int(c.min()) for c in columns), default=0), max((int(c.max()) for c in columns), default=0)
    if max(-first, last) < EXACT_NS or last - first >= EXACT_NS:
        return trace, 0
    moved = {
        part: replace(rows, **{name: getattr(rows, name) - first for name in _TIMES[part]})
        for part, rows in parts.items()
    }
    return replace(trace, **moved), first


def events(trace: Trace) -> tuple[list[str], int, Iterator[tuple[int, Sequence[Part]]]]:
    """The names of processes and tracks, each an event, how many events there are with them, and the others as lines, each
    behind a comma and a line end."""
    hosts = {int(key): number for number, key in enumerate(_processes(trace), 1)}
    devices = {gpu: len(hosts) + 1 + gpu for gpu in range(len(trace.gpus))}
    names: list[str] = []
    for key, pid in hosts.items():
        names += _named("process", pid, 0, f"process {pid_of(key)}", pid)
    for gpu, pid in devices.items():
        label = f"{trace.gpus[gpu].name or 'GPU'} {trace.gpus[gpu].uuid or gpu}"
        names += _named("process", pid, 0, label, pid)
    threads = _host_tracks(trace, hosts)
    streams = _stream_tracks(trace, devices)
    for track in (*(track for _, track in threads), *streams):
        names += _named("thread", track.pid, track.tid, track.label, track.tid)
    rows = sum(map(len, (trace.ranges, trace.marks, trace.calls, trace.operations)))
    arrows = 2 * int((trace.operations.launch >= 0).sum())
    return names, len(names) + rows + arrows, _lines(trace, threads, streams)


def _lines(
    trace: Trace, threads: Sequence[tuple[str, Track]], streams: Sequence[Track]
) -> Iterator[tuple[int, Sequence[Part]]]:
    def of(category: str) -> list[Track]:
        return [track for what, track in threads if what == category]

    calls = of(_CATEGORY_API)
    places = np.zeros((2, len(trace.calls)), np.int64)
    for track in calls:
        places[:, track.rows] = [[track.pid], [track.tid]]
    for make, tracks in (
        (_ranges(trace), of(_CATEGORY_NVTX)),
        (_marks(trace), of(_CATEGORY_MARK)),
        (_calls(trace), calls),
        (_operations(trace, places), streams),
    ):
        rows = np.concatenate([np.empty(0, np.int64), *(track.rows for track in tracks)])
        lengths = [len(track.rows) for track in tracks]
        pid = np.repeat(np.array([track.pid for track in tracks], np.int64), lengths)
        tid = np.repeat(np.array([track.tid for track in tracks], np.int64), lengths)
        for low in range(0, len(rows), _ROWS):
            some = slice(low, low + _ROWS)
            yield len(rows[some]), make(rows[some], pid[some], tid[some])


def _processes(trace: Trace) -> list[int]:
    parts = (trace.operations.process, trace.calls.process, trace.ranges.process, trace.marks.process)
    return [int(key) for key in np.unique(np.concatenate(parts))]


def _host_tracks(trace: Trace, hosts: dict[int, int]) -> list[tuple[str, Track]]:
    """Lanes of NVTX ranges by thread, domain and kind, then marks and API calls by thread."""
    tracks: list[tuple[str, Track]] = []
    ranges, calls = trace.ranges, trace.calls
    for rows in _split(ranges.thread, ranges.domain, ranges.start_end):
        at = int(rows[0])
        domain = trace.text(int(ranges.domain[at]))
        label = f"NVTX {domain}".rstrip() + (" start/end" if ranges.start_end[at] else "")
        where = hosts[int(ranges.process[at])], int(ranges.thread[at]) & 0xFFFFFF
        tracks += [(_CATEGORY_NVTX, t) for t in _lay(rows, ranges.start, ranges.end, where, label, len(tracks))]
    for rows in _split(trace.marks.thread):
        at = int(rows[0])
        pid, thread = hosts[int(trace.marks.process[at])], int(trace.marks.thread[at]) & 0xFFFFFF
        tracks.append((_CATEGORY_MARK, Track(pid, len(tracks) + 1, f"thread {thread} NVTX marks", rows)))
    for rows in _split(calls.thread):
        at = int(rows[0])
        where = hosts[int(calls.process[at])], int(calls.thread[at]) & 0xFFFFFF
        tracks += [(_CATEGORY_API, t) for t in _lay(rows, calls.start, calls.end, where, "CUDA API", len(tracks))]
    return tracks


def _lay(rows: Int64, start: Int64, end: Int64, where: tuple[int, int], label: str, used: int) -> list[Track]:
    pid, thread = where
    return _tracks(rows, lanes(start[rows], end[rows]), pid, f"thread {thread} {label}", used)


def _stream_tracks(trace: Trace, devices: dict[int, int]) -> list[Track]:
    tracks: list[Track] = []
    operations = trace.operations
    several, contexts = len(np.unique(operations.process)) > 1, _several_contexts(trace)
    for rows in _split(operations.gpu, operations.lanes()):
        at = int(rows[0])
        owner = f"process {pid_of(int(operations.process[at]))} " if several else ""
        label = f"{owner}stream {operations.stream[at]}"
        label += f" context {operations.context[at]}" if int(operations.process[at]) in contexts else ""
        lane = lanes(operations.start[rows], operations.end[rows])
        tracks += _tracks(rows, lane, devices[int(operations.gpu[at])], label, len(tracks))
    return tracks


def _several_contexts(trace: Trace) -> set[int]:
    """The processes that use more than one context."""
    pairs = np.unique(np.stack([trace.operations.process, trace.operations.context]), axis=1)
    process, count = np.unique(pairs[0], return_counts=True)
    return {int(key) for key in process[count > 1]}


def _split(*keys: NDArray[np.generic]) -> list[Int64]:
    """Row indices grouped by equal keys."""
    if not len(keys[0]):
        return []
    order = np.lexsort(keys[::-1])
    changed = np.zeros(len(order) - 1, bool)
    for key in keys:
        changed |= key[order][1:] != key[order][:-1]
    return np.split(order, np.flatnonzero(changed) + 1)


def _tracks(rows: Int64, lane: Int64, pid: int, label: str, used: int) -> list[Track]:
    """One track per lane; track ids start above those already `used`."""
    count = int(lane.max()) + 1
    names = [label if number == 0 else f"{label} ({number + 1})" for number in range(count)]
    parts = np.split(rows[np.argsort(lane, kind="stable")], np.cumsum(np.bincount(lane))[:-1])
    return [Track(pid, used + number + 1, names[number], part) for number, part in enumerate(parts)]


def _named(what: str, pid: int, tid: int, label: str, order: int) -> Iterator[str]:
    where = f'"ph": "M", "pid": {pid}, "tid": {tid}'
    yield f'{{{where}, "name": "{what}_name", "args": {{"name": {json.dumps(label)}}}}}'
    yield f'{{{where}, "name": "{what}_sort_index", "args": {{"sort_index": {order}}}}}'


def _slice(begin: str, pid: Int64, tid: Int64, start: Int64, end: Int64) -> list[Part]:
    return [
        Part(f',\n{{"ph": {begin}, "pid": ', pid),
        Part(', "tid": ', tid),
        Part(', "ts": ', start, MICRO),
        Part(', "dur": ', end - start, MICRO),
    ]


def _spelled(trace: Trace, index: NDArray[np.int64]) -> Callable[[Int64], Part]:
    """The names of rows as JSON; of a kind of operation, coded as -1 - kind, its own."""

    def spell(i: int) -> str:
        return f'"{KINDS[-1 - i]}"' if i < 0 else json.dumps(trace.text(i) or "?")

    used = Codes.of(index)
    texts = [spell(i) for i in used.values.tolist()]
    return lambda rows: Part(', "name": ', used.code[rows], SAID, texts)


_Make = Callable[[Int64, Int64, Int64], Sequence[Part]]
"""The parts of lines, of rows of a table and the pid and tid of each in the file."""


def _ranges(trace: Trace) -> _Make:
    r = trace.ranges
    names = _spelled(trace, r.text)
    return lambda rows, pid, tid: [
        *_slice('"X"', pid, tid, r.start[rows], r.end[rows]),
        Part(f', "cat": "{_CATEGORY_NVTX}"'),
        names(rows),
        Part(', "args": {"row": ', r.row[rows]),
        Part(', "open": true', where=r.is_open[rows]),
        Part("}}"),
    ]


def _marks(trace: Trace) -> _Make:
    m = trace.marks
    names = _spelled(trace, m.text)
    return lambda rows, pid, tid: [
        Part(',\n{"ph": "i", "s": "t", "pid": ', pid),
        Part(', "tid": ', tid),
        Part(f', "cat": "{_CATEGORY_MARK}", "ts": ', m.time[rows], MICRO),
        names(rows),
        Part(', "args": {"row": ', m.row[rows]),
        Part("}}"),
    ]


def _calls(trace: Trace) -> _Make:
    c = trace.calls
    names = _spelled(trace, c.name)
    return lambda rows, pid, tid: [
        *_slice('"X"', pid, tid, c.start[rows], c.end[rows]),
        Part(f', "cat": "{_CATEGORY_API}"'),
        names(rows),
        Part(', "args": {"row": ', c.row[rows]),
        Part(', "correlation": ', c.correlation[rows]),
        Part("}}"),
    ]


def _operations(trace: Trace, places: Int64) -> _Make:
    """Slices, and an arrow to each from the call that submitted it."""
    o = trace.operations
    names = _spelled(trace, np.where(o.name < 0, -1 - o.kind.astype(np.int64), o.name))

    def parts(rows: Int64, pid: Int64, tid: Int64) -> list[Part]:
        start, table, row, launch, size = (
            column[rows] for column in (o.start, o.table.astype(np.int64), o.row, o.launch, o.bytes)
        )
        return [
            *_slice('"X"', pid, tid, start, o.end[rows]),
            Part(', "cat": "', o.kind[rows].astype(np.int64), SAID, KINDS),
            Part('"'),
            names(rows),
            Part(', "args": {"table": "', table, SAID, trace.tables),
            Part('", "row": ', row),
            Part(', "bytes": ', size, where=size >= 0),
            Part("}}"),
            *_arrow(trace, launch, places, (pid, tid), start, (table, row)),
        ]

    return parts


def _arrow(
    trace: Trace, launch: Int64, places: Int64, to: tuple[Int64, Int64], start: Int64, key: tuple[Int64, Int64]
) -> Iterator[Part]:
    """The two ends of each arrow, called by the operation's table and row."""
    there = launch >= 0
    call = np.where(there, launch, 0)
    if not there.any():
        return
    for begin, (pid, tid), time in (
        (',\n{"ph": "s", "pid": ', places[:, call], trace.calls.start[call]),
        (',\n{"ph": "f", "bp": "e", "pid": ', to, start),
    ):
        yield Part(begin, pid, where=there)
        yield Part(', "tid": ', tid, where=there)
        yield Part(', "ts": ', time, MICRO, where=there)
        yield Part(', "cat": "launch", "name": "launch", "id": "', key[0], SAID, trace.tables, there)
        yield Part(" ", key[1], where=there)
        yield Part('"}', where=there)
