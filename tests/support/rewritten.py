"""Captures with a regression built in: a copy of a real or a built one, with its SQLite trace and its manifest rewritten."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import Manifest, folder_facts, write_manifest
from pair_trace import manifest
from shared import unpacked
from trace_builder import TraceBuilder

KERNEL, MEMCPY, MEMSET, RUNTIME = (f"CUPTI_ACTIVITY_KIND_{name}" for name in ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME"))
OPERATIONS = (KERNEL, MEMCPY, MEMSET)

Trace = sqlite3.Connection
Data = dict[str, Any]


def built(
    captures: Path, trace: TraceBuilder, claims: Sequence[str], name: str = "a", day: int = 1, **rest: Any
) -> Capture:
    """A capture of a built trace of ch11:streams, made on a day of January 2027."""
    folder = captures / f"ch11.streams-{name}"
    folder.mkdir(parents=True)
    created = f"2027-01-{day:02}T12:00:00.000000Z"
    with _opened(trace.write(folder / "trace.sqlite")) as connection:
        _begun(connection, began_ns(created))
    changes = {"id": f"ch11.streams-{name}", "commit": {"sha": f"c{name}", "dirty": False}}
    more = {
        "created_utc": created,
        "hardware_key": "h200",
        "size": "default",
        "sizes": {"chunks": 4},
        "gpus": [{"name": "NVIDIA H200", "uuid": "GPU-a0ae1ff2-b9e3", "driver": "580.159.04", "mig": False}],
        "versions": {"nsys": "2025.3.1.0", "driver": "580.159.04"},
        "command": ["aisp-prof", "capture", "ch11"],
        "profile": "minimal",
    }
    data = {**manifest(claims, **changes), **more, **rest, "files": folder_facts(folder)}
    return _written(folder, data)


def rewritten(
    capture: Capture,
    captures: Path,
    change: Callable[[Trace], None] | None = None,
    told: Callable[[Data], None] | None = None,
    name: str = "changed",
    day: int = 20,
    fit: bool = True,
) -> Capture:
    """A copy of a capture below `captures`: `change` rewrites its trace, `told` its manifest; hashes are made to fit.

    Without `fit` the manifest's event times are what `told` says, also where the trace does not allow them.
    """
    folder = captures / f"{capture.manifest.pair}-{name}"
    folder.mkdir(parents=True)
    path, plain = capture.trace_path, folder / "trace.sqlite"
    shutil.copyfile(unpacked(path) if path.suffix == ".xz" else path, plain)
    data = json.loads(json.dumps(capture.manifest.to_json()))
    created = f"2027-02-{day:02}T12:00:00.000000Z"
    later = _utc_ns(created) - _utc_ns(data["created_utc"])
    data |= {"id": folder.name, "created_utc": created}
    conditions = data["conditions"] or {}
    for sample in filter(None, (conditions.get("before"), *conditions.get("during", ()), conditions.get("after"))):
        sample["utc_ns"] += later
    with _opened(plain) as connection:
        if change:
            change(connection)
        _begun(connection, later=later)
        connection.commit()
        if told:
            told(data)
        if fit:
            _fit(connection, data)
    return _written(folder, {**data, "files": folder_facts(folder)})


@contextmanager
def _opened(path: Path) -> Iterator[Trace]:
    """A copy that is made anew where anything fails: no page is kept for a rollback, and nothing waits for the disk."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
        connection.commit()


def began_ns(created_utc: str) -> int:
    """When the session of a built capture began, in ns since 1970: a minute before its manifest was written."""
    return _utc_ns(created_utc) - 60 * 10**9


def _utc_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def _begun(trace: Trace, at: int = 0, later: int = 0) -> None:
    """The session began at a moment, or so much later."""
    moment = "?" if at else "utcEpochNs + ?"
    trace.execute(f"UPDATE TARGET_INFO_SESSION_START_TIME SET utcEpochNs = {moment}", (at or later,))


def _fit(trace: Trace, data: Data) -> None:
    """CUDA events that show what the changed trace does: where a traced time is none that it allows, it is moved to the nearest
    that is, and the untraced times of the variant by the same share."""
    for variant in [one["name"] for one in data["declaration"]["variants"]]:
        bounds = iterations(trace, variant)
        listed = [one for one in data["runs"]["traced"]["iterations"] if one["variant"] == variant]
        if len(bounds) != len(listed):
            continue
        before = median(one["event_ns"] for one in listed)
        for one, around in zip(listed, bounds, strict=True):
            busy = _projected(trace, around)
            one["event_ns"] = min(max(one["event_ns"], busy), max(busy, around[2] - around[1]))
        share = median(one["event_ns"] for one in listed) / before
        for one in data["runs"]["untraced"]["iterations"]:
            one["event_ns"] = round(one["event_ns"] * (share if one["variant"] == variant else 1))


def _projected(trace: Trace, bounds: tuple[int, int, int]) -> int:
    """From the start of the first operation launched in an iteration to the end of the last."""
    found = [
        trace.execute(f"SELECT min(start), max(end) FROM {table} WHERE {_ours(table)}", bounds).fetchone()
        for table in _tables(trace)
    ]
    times = [times for times in found if times[0] is not None]
    return max(end for _, end in times) - min(start for start, _ in times) if times else 0


def _written(folder: Path, data: Data) -> Capture:
    found = Manifest.from_json(data)
    write_manifest(found, folder)
    return Capture(folder, found)


def iterations(trace: Trace, variant: str) -> list[tuple[int, int, int]]:
    """Thread, start and end of a variant's measured iterations."""
    query = """
        SELECT i.globalTid, i.start, i.end FROM NVTX_EVENTS m LEFT JOIN StringIds b ON b.id = m.textId
            CROSS JOIN NVTX_EVENTS i LEFT JOIN StringIds a ON a.id = i.textId
        WHERE i.eventType = 59 AND m.eventType = 59 AND m.globalTid = i.globalTid
            AND i.start BETWEEN m.start AND m.end AND i.end <= m.end
            AND COALESCE(i.text, a.value) = 'iter' AND COALESCE(m.text, b.value) LIKE '%.' || ? || '.measure'
        ORDER BY i.start"""
    return trace.execute(query, (variant,)).fetchall()


def _ours(table: str) -> str:
    """A condition: the operation was launched inside (thread, start, end)."""
    return f"{table}.correlationId IN (SELECT correlationId FROM {RUNTIME} WHERE globalTid = ? AND start >= ? AND end <= ?)"


def _tables(trace: Trace) -> list[str]:
    there = {name for (name,) in trace.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [table for table in OPERATIONS if table in there]


def slower(variant: str, factor: float, every: int = 1) -> Callable[[Trace], None]:
    """Every operation of a variant takes, and comes, by this factor later after the first of its iteration; `every` 2 means
    only every second iteration."""

    def change(trace: Trace) -> None:
        for bounds in iterations(trace, variant)[::every]:
            starts = [
                trace.execute(f"SELECT min(start) FROM {table} WHERE {_ours(table)}", bounds).fetchone()[0]
                for table in _tables(trace)
            ]
            first = min(start for start in starts if start is not None)
            for table in _tables(trace):
                moved = f"CAST({first} + ({{0}} - {first}) * {factor} AS INTEGER)"
                values = f"start = {moved.format('start')}, end = {moved.format('end')}"
                trace.execute(f"UPDATE {table} SET {values} WHERE {_ours(table)}", bounds)

    return change


def slower_events(variant: str, factor: float) -> Callable[[Data], None]:
    """The same in the manifest: CUDA events of both runs."""

    def told(data: Data) -> None:
        for run in data["runs"].values():
            for entry in run["iterations"]:
                if entry["variant"] == variant:
                    entry["event_ns"] = int(entry["event_ns"] * factor)

    return told


def copies_out_last(trace: Trace) -> None:
    """One stream serialised: in every optimized iteration copies out begin when all else has ended."""
    for bounds in iterations(trace, "optimized"):
        out = f"copyKind = 2 AND {_ours(MEMCPY)}"
        begin = trace.execute(f"SELECT min(start) FROM {MEMCPY} WHERE {out}", bounds).fetchone()[0]
        copied_in = trace.execute(f"SELECT max(end) FROM {MEMCPY} WHERE copyKind = 1 AND {_ours(MEMCPY)}", bounds)
        computed = trace.execute(f"SELECT max(end) FROM {KERNEL} WHERE {_ours(KERNEL)}", bounds)
        late = max(copied_in.fetchone()[0], computed.fetchone()[0]) - begin
        trace.execute(f"UPDATE {MEMCPY} SET start = start + {late}, end = end + {late} WHERE {out}", bounds)


def a_sync_more(trace: Trace, every: int = 1) -> None:
    """A cudaStreamSynchronize at the end of every optimized iteration, or of every second, third, … with `every`."""
    found = iterations(trace, "optimized")[::every]
    for thread, _, end in found:
        _call(trace, "cudaStreamSynchronize_v3020", thread, end - 2, end - 1)
    _count(trace, len(found))


def launches_again(trace: Trace) -> None:
    """What ran as nodes of a graph in an optimized iteration is launched by a call each."""
    more = 0
    for bounds in iterations(trace, "optimized"):
        graphs = trace.execute(
            f"""SELECT r.rowid, r.correlationId, r.start FROM {RUNTIME} r JOIN StringIds s ON s.id = r.nameId
            WHERE s.value LIKE 'cudaGraphLaunch%' AND r.globalTid = ? AND r.start >= ? AND r.end <= ?""",
            bounds,
        ).fetchall()
        for row, correlation, start in graphs:
            more += _one_by_one(trace, bounds[0], correlation, start) - 1
            trace.execute(f"DELETE FROM {RUNTIME} WHERE rowid = ?", (row,))
    _count(trace, more)


def _one_by_one(trace: Trace, thread: int, correlation: int, start: int) -> int:
    made = 0
    for table, api in ((KERNEL, "cudaLaunchKernel_v7000"), (MEMSET, "cudaMemsetAsync_v3020")):
        if table not in _tables(trace):
            continue
        rows = trace.execute(f"SELECT rowid FROM {table} WHERE correlationId = ? ORDER BY start", (correlation,))
        for (row,) in rows.fetchall():
            new = _call(trace, api, thread, start + 4 * made, start + 4 * made + 2)
            trace.execute(f"UPDATE {table} SET correlationId = ?, graphNodeId = NULL WHERE rowid = ?", (new, row))
            made += 1
    return made


def _call(trace: Trace, api: str, thread: int, start: int, end: int) -> int:
    """One more API call; returns its correlation id."""
    known = trace.execute("SELECT id FROM StringIds WHERE value = ?", (api,)).fetchone()
    name = known[0] if known else trace.execute("SELECT max(id) + 1 FROM StringIds").fetchone()[0]
    if not known:
        trace.execute("INSERT INTO StringIds (id, value) VALUES (?, ?)", (name, api))
    (new,) = trace.execute(f"SELECT max(correlationId) + 1 FROM {RUNTIME}").fetchone()
    columns = "start, end, eventClass, globalTid, correlationId, nameId, returnValue"
    (kind,) = trace.execute(f"SELECT eventClass FROM {RUNTIME} LIMIT 1").fetchone()
    trace.execute(
        f"INSERT INTO {RUNTIME} ({columns}) VALUES (?, ?, ?, ?, ?, ?, 0)", (start, end, kind, thread, new, name)
    )
    return new


def _count(trace: Trace, more: int, what: str = "CUDA") -> None:
    """nsys says how many events it collected."""
    for row, text in trace.execute("SELECT rowid, text FROM DIAGNOSTIC_EVENT").fetchall():
        if found := re.match(rf"(Number of {what} events collected: \s*)([\d,]+)(.*)", text):
            stated = int(found[2].replace(",", "")) + more
            trace.execute(
                "UPDATE DIAGNOSTIC_EVENT SET text = ? WHERE rowid = ?", (f"{found[1]}{stated}{found[3]}", row)
            )


def half_the_kernels(trace: Trace) -> None:
    trace.execute(f"DELETE FROM {KERNEL} WHERE rowid % 2 = 0")


def a_against_a(trace: Trace) -> None:
    """Every second baseline iteration is called an optimized one; the optimized ones were never there."""
    query = """SELECT m.rowid, COALESCE(m.text, b.value), m.globalTid, m.start, m.end FROM NVTX_EVENTS m
        LEFT JOIN StringIds b ON b.id = m.textId
        WHERE m.eventType = 59 AND COALESCE(m.text, b.value) LIKE '%.measure' ORDER BY m.start"""
    seen = 0
    for row, text, *bounds in trace.execute(query).fetchall():
        if ".optimized." in text:
            _removed(trace, bounds)
            continue
        renamed = text.replace(".baseline.", ".optimized." if seen % 2 else ".baseline.")
        trace.execute("UPDATE NVTX_EVENTS SET text = ?, textId = NULL WHERE rowid = ?", (renamed, row))
        inner = "globalTid = ? AND start > ? AND end < ? AND int64Value IS NOT NULL"
        trace.execute(f"UPDATE NVTX_EVENTS SET int64Value = ? WHERE {inner}", (seen // 2, *bounds))
        seen += 1


def _removed(trace: Trace, bounds: Sequence[int]) -> None:
    """What was launched within these bounds, and the ranges there."""
    inside = "globalTid = ? AND start >= ? AND end <= ?"
    ids = [
        one for (one,) in trace.execute(f"SELECT correlationId FROM {RUNTIME} WHERE {inside}", tuple(bounds)).fetchall()
    ]
    marks, gone = ", ".join("?" * len(ids)), 0
    names = trace.execute("SELECT name FROM sqlite_master WHERE name LIKE 'CUPTI_ACTIVITY_KIND_%'").fetchall()
    for (table,) in names:
        removed = trace.execute(f"DELETE FROM {table} WHERE correlationId IN ({marks})", ids).rowcount
        gone += removed if table in (*OPERATIONS, RUNTIME) else 0  # nsys counts no others
    ranges = trace.execute(f"DELETE FROM NVTX_EVENTS WHERE {inside}", tuple(bounds)).rowcount
    _count(trace, -gone)
    _count(trace, -ranges, "NVTX")


def events_of_a(data: Data) -> None:
    """The runs of `a_against_a`."""
    for run in data["runs"].values():
        first = [entry for entry in run["iterations"] if entry["variant"] == "baseline"]
        run["iterations"] = [
            {**entry, "variant": "optimized" if place % 2 else "baseline", "index": place // 2}
            for place, entry in enumerate(first)
        ]
        run["order"] = [entry["variant"] for entry in run["iterations"]]


def wrong_outputs(data: Data) -> None:
    for run in data["runs"].values():
        run["validation"] |= {"valid": False, "max_relative_error": {"baseline": 1e-8, "optimized": 0.3}}


def another_gpu(trace: Trace) -> None:
    trace.execute("UPDATE TARGET_INFO_GPU SET name = 'NVIDIA A100-SXM4-80GB'")


def told_of_another_gpu(data: Data) -> None:
    data["hardware_key"] = "a100_sxm_80gb"
    for gpu in (data["gpus"][0], *(run["gpu"] for run in data["runs"].values() if "gpu" in run)):
        gpu["name"] = "NVIDIA A100-SXM4-80GB"
