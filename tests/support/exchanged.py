"""A real capture in which a variant ran another one's code, as where an optimization, or one step of it, was undone.

The trace, the manifest's event times and the counters are rewritten together, as if the program had called the other code under
the variant's name: each window is replaced by the other variant's window of the same number, and all that came after it moves.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisp_prof.profiler.store.captures import Capture
from rewritten import Data, Trace, _count, rewritten

_COUNTED = (*(f"CUPTI_ACTIVITY_KIND_{name}" for name in ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME")),)
"""What nsys counts as CUDA events."""
_BY_CORRELATION = "CUPTI_ACTIVITY_KIND_CUDA_EVENT"
_PUSH_POP, _START_END = 59, 60
_CALLED = "correlationId IN (SELECT correlationId FROM CUPTI_ACTIVITY_KIND_RUNTIME WHERE start >= ? AND start <= ?)"
_EVER = 1 << 62


def exchanged(
    capture: Capture,
    captures: Path,
    instead: Mapping[str, str],
    more: Callable[[Trace], None] | None = None,
    name: str = "exchanged",
) -> Capture:
    """A copy of `capture` below `captures` in which each variant of `instead` ran what the one named for it runs.

    `more` changes the trace further, as the functions of `rewritten` do. {"optimized": "baseline"} is the whole optimization
    undone; a step and the one before it, that step alone.
    """
    pair, counted = capture.manifest.pair, capture.folder / "counters.csv"

    def change(trace: Trace) -> None:
        replace(trace, pair, instead)
        if more:
            more(trace)
        if counted.exists():
            order = capture.manifest.to_json()["runs"]["counted"]["order"]
            replace_counters(counted, captures / f"{pair}-{name}" / counted.name, pair, order, instead)

    return rewritten(capture, captures, change, lambda data: told(data, instead), name, fit=more is not None)


@dataclass(frozen=True, slots=True)
class _Swap:
    """A window [start, end] of a variant, and the one [from_start, from_end] that is to stand there; ns."""

    start: int
    end: int
    from_start: int
    from_end: int
    variant: str
    other: str

    @property
    def longer(self) -> int:
        return (self.from_end - self.from_start) - (self.end - self.start)


def _moved(trace: Trace, swaps: Sequence[_Swap]) -> str:
    """An old time -> the new one, when windows are replaced by others of other lengths: SQL with `{}` for the old one.

    From `first` on, up to the next, a time moves by `shift`, and inside a window to `most` at the most.
    """
    trace.execute("CREATE TEMP TABLE moved (first INTEGER PRIMARY KEY, shift INTEGER, most INTEGER)")
    pieces, shift = [(-_EVER, 0, _EVER)], 0
    for swap in swaps:
        pieces.append((swap.start, shift, shift + swap.start + swap.from_end - swap.from_start))
        shift += swap.longer
        pieces.append((swap.end, shift, _EVER))
    trace.executemany("INSERT OR REPLACE INTO moved VALUES (?, ?, ?)", pieces)
    return "(SELECT min({0} + shift, most) FROM temp.moved WHERE first <= {0} ORDER BY first DESC LIMIT 1)"


def replace(trace: Trace, pair: str, instead: Mapping[str, str]) -> None:
    """Put copies of the other variants' windows where those of `instead` were."""
    swaps = sorted(_swaps(trace, pair, instead), key=lambda swap: swap.start)
    tables, before = _timed(trace), _events(trace)
    for table in tables:
        trace.execute(f"CREATE INDEX by_start_{table} ON {table} (start)")
    copies = [(swap, number, _rows_of(trace, tables, swap)) for number, swap in enumerate(swaps, 1)]
    for swap in swaps:
        _remove(trace, tables, swap)
    moved = _moved(trace, swaps)
    for table in tables:
        trace.execute(f"DROP INDEX by_start_{table}")
        trace.execute(f"UPDATE {table} SET start = {moved.format('start')}, end = {moved.format('end')}")
    stop = moved.format("stopTime")
    trace.execute(f"UPDATE ANALYSIS_DETAILS SET stopTime = {stop}, duration = {stop} - startTime")
    strings, step = _strings(trace), _highest_correlation(trace) + 1
    for swap, number, every in copies:
        shift = trace.execute(f"SELECT {moved.format('?1')}", (swap.start,)).fetchone()[0] - swap.from_start
        for table, rows in every.items():
            _insert(trace, table, [_renamed(row, strings, pair, swap, shift, number, step) for row in rows])
    trace.execute("DROP TABLE temp.moved")
    after = _events(trace)
    _count(trace, after[0] - before[0])
    _count(trace, after[1] - before[1], "NVTX")


def _swaps(trace: Trace, pair: str, instead: Mapping[str, str]) -> Iterator[_Swap]:
    for variant, other in instead.items():
        mine, theirs = _windows(trace, f"{pair}.{variant}.window"), _windows(trace, f"{pair}.{other}.window")
        assert len(mine) == len(theirs) > 0, (pair, variant, other)
        for (start, end), (from_start, from_end) in zip(mine, theirs, strict=True):
            yield _Swap(start, end, from_start, from_end, variant, other)


def _windows(trace: Trace, name: str) -> list[tuple[int, int]]:
    """From the start of each window to its end."""
    query = """SELECT n.start, n.end FROM NVTX_EVENTS n LEFT JOIN StringIds s ON s.id = n.textId
        WHERE n.eventType = ? AND COALESCE(n.text, s.value) = ? ORDER BY n.start"""
    return trace.execute(query, (_START_END, name)).fetchall()


def _timed(trace: Trace) -> list[str]:
    tables = [name for (name,) in trace.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    return [table for table in tables if {"start", "end"} <= set(_columns(trace, table))]


def _columns(trace: Trace, table: str) -> list[str]:
    return [name for (name,) in trace.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()]


def _rows_of(trace: Trace, tables: Sequence[str], swap: _Swap) -> dict[str, list[dict[str, Any]]]:
    """All that the other window holds, as column -> value: by its start, and CUDA's events by their calls."""
    found = {}
    bounds = swap.from_start, swap.from_end
    for table in tables:
        only = f" AND eventType IN ({_PUSH_POP}, {_START_END})" if table == "NVTX_EVENTS" else ""
        found[table] = _fetched(trace, table, f"start >= ? AND start <= ?{only}", bounds)
    if _columns(trace, _BY_CORRELATION):
        found[_BY_CORRELATION] = _fetched(trace, _BY_CORRELATION, _CALLED, bounds)
    return found


def _fetched(trace: Trace, table: str, where: str, bounds: Sequence[int]) -> list[dict[str, Any]]:
    cursor = trace.execute(f"SELECT * FROM {table} WHERE {where}", tuple(bounds))
    names = [one[0] for one in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _remove(trace: Trace, tables: Sequence[str], swap: _Swap) -> None:
    bounds, inside = (swap.start, swap.end), "start >= ? AND start <= ?"
    if _columns(trace, _BY_CORRELATION):
        trace.execute(f"DELETE FROM {_BY_CORRELATION} WHERE {_CALLED}", bounds)
    for table in tables:
        only = f" AND eventType IN ({_PUSH_POP}, {_START_END})" if table == "NVTX_EVENTS" else ""
        trace.execute(f"DELETE FROM {table} WHERE {inside}{only}", bounds)


def _renamed(
    row: Mapping[str, Any], strings: Mapping[int, str], pair: str, swap: _Swap, shift: int, number: int, step: int
) -> dict[str, Any]:
    """A row of the other window as one of this: later, with ids of its own, and under the variant's name."""
    new = dict(row)
    for column in ("start", "end"):
        if new.get(column) is not None:
            new[column] += shift
    for column in ("correlationId", "rangeId"):
        if new.get(column):
            new[column] += step * number
    if new.get("textId") is not None or new.get("text"):
        text = new["text"] or strings[new["textId"]]
        if text.startswith(f"{pair}.{swap.other}."):
            new |= {"text": text.replace(f".{swap.other}.", f".{swap.variant}.", 1), "textId": None}
    return new


def _insert(trace: Trace, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        names = rows[0].keys()
        told = f"{table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        trace.executemany(f"INSERT INTO {told}", [tuple(row.values()) for row in rows])


def _strings(trace: Trace) -> dict[int, str]:
    return dict(trace.execute("SELECT id, value FROM StringIds").fetchall())


def _highest_correlation(trace: Trace) -> int:
    return int(trace.execute("SELECT max(correlationId) FROM CUPTI_ACTIVITY_KIND_RUNTIME").fetchone()[0])


def _events(trace: Trace) -> tuple[int, int]:
    """How many rows nsys counts as CUDA events, and as NVTX events."""
    there = {name for (name,) in trace.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    rows = {table: _length(trace, table) for table in {*_COUNTED, "NVTX_EVENTS"} & there}
    return sum(rows.values()) - rows["NVTX_EVENTS"], rows["NVTX_EVENTS"]


def _length(trace: Trace, table: str) -> int:
    return int(trace.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def told(data: Data, instead: Mapping[str, str]) -> None:
    """The same in the manifest: the times of CUDA events in every run, and the work that the variants state."""
    for run in data["runs"].values():
        times = {(one["variant"], one["index"]): one["event_ns"] for one in run["iterations"]}
        for one in run["iterations"]:
            one["event_ns"] = times[instead.get(one["variant"], one["variant"]), one["index"]]
        work = dict(run.get("declared") or {})
        run["declared"] = {variant: work[instead.get(variant, variant)] for variant in work}


_RANGE = re.compile(r"aisp:[\w.]+\.(\w+)\.measure:")


def replace_counters(source: Path, target: Path, pair: str, order: Sequence[str], instead: Mapping[str, str]) -> None:
    """The same in what ncu counted: the other variants' kernels under these names.

    `order` names the variant of each counted iteration; all those of a variant have as many kernels.
    """
    with source.open(newline="") as file:
        head, units, *rows = csv.reader(file)
    ranges = next(place for place, name in enumerate(head) if "Push/Pop_Range" in name)
    kernels: dict[str, list[list[str]]] = {variant: [] for variant in order}
    for row in rows:
        kernels[_RANGE.findall(row[ranges])[0]].append(row)
    taken, made = dict.fromkeys(order, 0), list[list[str]]()
    for variant in order:
        other, place = instead.get(variant, variant), taken[variant]
        length = len(kernels[other]) // order.count(other)
        old, new = f"{pair}.{other}.", f"{pair}.{variant}."
        for row in kernels[other][place * length : (place + 1) * length]:
            made.append([str(len(made)), *(cell.replace(old, new) for cell in row[1:])])
        taken[variant] += 1
    with target.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([head, units, *made])
