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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...profiler.arrays.types import Int64
from ...profiler.trace.model import KINDS, Trace, pid_of

_CATEGORY_NVTX, _CATEGORY_API, _CATEGORY_MARK = "nvtx", "api", "mark"

EXACT_NS = 1000 << 43
"""Below 2^43 µs, 101 days, neighbouring doubles are no more than 0.00098 µs apart."""
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
    lane = np.zeros(len(start), np.int64)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    used = 0
    for i in np.lexsort((-end, start)).tolist():
        while busy and busy[0][0] <= start[i]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, used)
            used += 1
        lane[i] = heapq.heappop(free)
        heapq.heappush(busy, (int(max(end[i], start[i])), int(lane[i])))
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


def events(trace: Trace) -> Iterator[str]:
    """Every event of the file as one line of JSON, the names of its processes and tracks first."""
    hosts = {int(key): number for number, key in enumerate(_processes(trace), 1)}
    devices = {gpu: len(hosts) + 1 + gpu for gpu in range(len(trace.gpus))}
    for key, pid in hosts.items():
        yield from _named("process", pid, 0, f"process {pid_of(key)}", pid)
    for gpu, pid in devices.items():
        label = f"{trace.gpus[gpu].name or 'GPU'} {trace.gpus[gpu].uuid or gpu}"
        yield from _named("process", pid, 0, label, pid)
    threads = _host_tracks(trace, hosts)
    streams = _stream_tracks(trace, devices)
    for track in (*(track for _, track in threads), *streams):
        yield from _named("thread", track.pid, track.tid, track.label, track.tid)
    places = np.zeros((len(trace.calls), 2), np.int64)
    for what, track in threads:
        if what == _CATEGORY_API:
            places[track.rows] = track.pid, track.tid
        yield from {_CATEGORY_API: _calls, _CATEGORY_NVTX: _ranges, _CATEGORY_MARK: _marks}[what](trace, track)
    for track in streams:
        yield from _operations(trace, track, places)


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


def _slice(track: Track, name: str, category: str, start: int, end: int, arguments: str) -> str:
    times = f'"ts": {_us(start)}, "dur": {_us(end - start)}'
    where = f'"ph": "X", "pid": {track.pid}, "tid": {track.tid}'
    return f'{{{where}, {times}, "cat": "{category}", "name": {name}, "args": {{{arguments}}}}}'


def _us(ns: int) -> str:
    """Nanoseconds as µs with three decimals; nothing is rounded."""
    whole, rest = divmod(abs(ns), 1000)
    return f"{'-' if ns < 0 else ''}{whole}.{rest:03d}"


def _columns(track: Track, *columns: NDArray[np.generic]) -> Iterator[tuple[int, ...]]:
    return zip(*(column[track.rows].tolist() for column in columns), strict=True)


def _spelled(trace: Trace, index: NDArray[np.int64], empty: Sequence[str] = ("?",)) -> dict[int, str]:
    return {i: json.dumps(trace.text(i) or empty[0]) for i in np.unique(index).tolist()}


def _ranges(trace: Trace, track: Track) -> Iterator[str]:
    r = trace.ranges
    names = _spelled(trace, r.text[track.rows])
    for start, end, text, row, is_open in _columns(track, r.start, r.end, r.text, r.row, r.is_open):
        arguments = f'"row": {row}' + (', "open": true' if is_open else "")
        yield _slice(track, names[text], _CATEGORY_NVTX, start, end, arguments)


def _marks(trace: Trace, track: Track) -> Iterator[str]:
    m = trace.marks
    names = _spelled(trace, m.text[track.rows])
    where = f'"ph": "i", "s": "t", "pid": {track.pid}, "tid": {track.tid}, "cat": "{_CATEGORY_MARK}"'
    for time, text, row in _columns(track, m.time, m.text, m.row):
        yield f'{{{where}, "ts": {_us(time)}, "name": {names[text]}, "args": {{"row": {row}}}}}'


def _calls(trace: Trace, track: Track) -> Iterator[str]:
    c = trace.calls
    names = _spelled(trace, c.name[track.rows])
    for start, end, name, row, correlation in _columns(track, c.start, c.end, c.name, c.row, c.correlation):
        yield _slice(track, names[name], _CATEGORY_API, start, end, f'"row": {row}, "correlation": {correlation}')


def _operations(trace: Trace, track: Track, places: Int64) -> Iterator[str]:
    """Slices, and an arrow to each from the call that submitted it."""
    o, tables = trace.operations, trace.tables
    names = _spelled(trace, o.name[track.rows])
    columns = (o.start, o.end, o.name, o.kind, o.table, o.row, o.launch, o.bytes)
    for start, end, name, kind, table, row, launch, size in _columns(track, *columns):
        label = names[name] if name >= 0 else f'"{KINDS[kind]}"'
        arguments = f'"table": "{tables[table]}", "row": {row}' + (f', "bytes": {size}' if size >= 0 else "")
        yield _slice(track, label, KINDS[kind], start, end, arguments)
        if launch >= 0:
            yield from _arrow(trace, launch, places[launch].tolist(), track, start, f"{tables[table]} {row}")


def _arrow(trace: Trace, launch: int, place: list[int], track: Track, start: int, key: str) -> Iterator[str]:
    begin = int(trace.calls.start[launch])
    same = f'"cat": "launch", "name": "launch", "id": "{key}"'
    yield f'{{"ph": "s", "pid": {place[0]}, "tid": {place[1]}, "ts": {_us(begin)}, {same}}}'
    yield f'{{"ph": "f", "bp": "e", "pid": {track.pid}, "tid": {track.tid}, "ts": {_us(start)}, {same}}}'
