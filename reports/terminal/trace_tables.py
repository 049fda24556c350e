"""The answers of `aisp-prof trace …` as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...profiler.queries.alignment import DiffRow
from ...profiler.queries.copies import CopyRow
from ...profiler.queries.diff import TraceDiff
from ...profiler.queries.kernels import KernelRow
from ...profiler.queries.launches import LaunchRow
from ...profiler.queries.overlap import OverlapRow
from ...profiler.queries.summary import DeviceRow, RangeRow, Summary
from ...profiler.queries.table import Table
from ..catalog import catalog
from ..hostile import visible
from ..units import NOTHING
from .tables import LONGEST, count, gpu, more, name, share, size, table, time

Lines = list[str]


def summary_lines(answer: Summary) -> Lines:
    """Completeness comes first: it says what the rest is worth."""
    state = answer.completeness
    stated = "it states no count" if state.events_stated is None else f"{count(state.events_stated)} stated"
    lines = [f"{state.status}: {count(state.events_found)} CUDA events found, {stated}"]
    lines += [f"  {visible(catalog('en').finding(finding).seen)}" for finding in state.findings]
    if state.status == "incomplete" and answer.whole_classes:
        lines.append(f"  nothing speaks against: {', '.join(answer.whole_classes)}")
    length = time(answer.end - answer.start)
    lines += [
        f"export schema {visible(answer.schema_version) or 'unknown'}, {length} from the first event to the last",
        "",
    ]
    for device in answer.devices:
        lines += [*_device(device), ""]
    lines += table(
        ("pid", "threads", "calls", "operations", "ranges", "devices"),
        [(str(p.pid), *map(count, (p.threads, p.calls, p.ops, p.ranges, len(p.gpu_uuids)))) for p in answer.processes],
    )
    lines += ["", *_ledger(answer)]
    lines += ["", *kernel_lines(answer.kernels, 0)] if answer.kernels else []
    lines += ["", *_ranges(answer.ranges)] if answer.ranges else []
    return lines + ([*([] if answer.ranges else [""]), *map(visible, answer.notes)] if answer.notes else [])


def _device(row: DeviceRow) -> Lines:
    what = f"{count(row.kernels)} kernels, {count(row.copies)} copies, {count(row.memsets)} memsets"
    lines = [f"{name(row.name or 'unnamed device')}  {visible(row.label)}  {what}"]
    lines.append(f"  busy {time(row.busy)} of {time(row.span)}, idle {time(row.idle)}")
    if row.migrations:
        moved = f"{count(row.migrations)} migrations of unified memory, {time(row.migration_time)}"
        lines.append(f"  {moved}: kernels wait for them, so they count as no overlap")
    if row.untraced_graphs:
        lines.append(f"  {count(row.untraced_graphs)} graphs traced as a whole: overlap inside them is unknown")
        return lines
    lines.append(f"  overlap of streams {time(row.overlap)}, at most {count(row.max_in_flight)} operations at once")
    for label, whole, hidden, exposed in (
        ("copies", row.copy_time, row.copy_hidden, row.copy_exposed),
        ("communication", row.comm_time, row.comm_hidden, row.comm_exposed),
    ):
        if whole:
            lines.append(f"  {label} {time(whole)}: {share(hidden)} hidden by compute, {time(exposed)} exposed")
    return lines


def _ledger(answer: Summary) -> Lines:
    n = {line.code: count(line.count) for line in answer.ledger}
    lines = [
        f"{n[what]} {what} = {n[f'{what}_one_by_one']} one by one + {n[f'{what}_in_graphs']} in graphs"
        f" + {n[f'{what}_unmatched']} without a launch"
        for what in ("kernels", "copies", "memsets")
    ]
    calls = f"{n['kernel_launch_calls']} kernel and {n['graph_launch_calls']} graph launch calls, {n['syncs']} syncs"
    rest = (
        f"{n['captured_calls']} under capture, {n['failed_calls']} failed, {n['unmatched_calls']} without an operation"
    )
    return [*lines, calls, rest, *([] if answer.ledger_closes else ["the ledger does not close"])]


def _ranges(rows: Sequence[RangeRow]) -> Lines:
    return table(
        ("range", "device", "instances", "operations", "GPU span", "longest", "busy"),
        [
            (
                name(f"{row.domain}:{row.name}" if row.domain else row.name),
                visible(row.gpu_uuid)[:8] or visible(row.label),
                *map(count, (row.instances, row.ops)),
                *map(time, (row.span, row.longest, row.busy)),
            )
            for row in rows
        ],
        2,
    )


def range_lines(rows: Table, limit: int) -> Lines:
    """One line per range instance and device."""
    shown = rows.head(limit)
    lines = table(
        (
            "range",
            "pid",
            "tid",
            "device",
            "ops",
            "kernels",
            "GPU span",
            "busy",
            "idle",
            "overlap",
            "in flight",
            "busiest",
        ),
        [
            (
                name(f"{row['domain']}:{row['name']}" if row["domain"] else row["name"])
                + (" open" if row["open"] else ""),
                *(str(row[key]) for key in ("pid", "tid")),
                gpu(row["gpu_uuid"], row["device"]),
                *(count(row[key]) for key in ("ops", "kernels")),
                *(time(row[key]) for key in ("span", "busy", "idle", "overlap")),
                count(row["max_in_flight"]),
                _engine(row),
            )
            for row in shown.rows()
        ],
    )
    return lines + more(len(shown), len(rows)) if len(rows) else []


def _engine(row: Mapping[str, Any]) -> str:
    """The busiest engine, and its share of the span."""
    return f"{row['engine']} {share(row['busiest'])}" if row["engine"] and row["busiest"] is not None else NOTHING


def kernel_lines(rows: Sequence[KernelRow], limit: int, longest: int = LONGEST) -> Lines:
    """One line per kernel and device."""
    shown = rows[: limit or None]
    lines = table(
        ("kernel", "device", "kind", "share", "total", "count", "median", "min", "max"),
        [
            (
                name(row.name, longest),
                gpu(row.gpu_uuid, row.device, row.label),
                row.kind,
                share(row.share),
                time(row.time.sum),
                count(row.count),
                *map(time, (row.time.median, row.time.min, row.time.max)),
            )
            for row in shown
        ],
        3,
    )
    return lines + more(len(shown), len(rows)) if rows else []


def copy_lines(rows: Sequence[CopyRow]) -> Lines:
    """One line per kind of copy and device."""
    lines = table(
        ("kind", "device", "memory", "count", "bytes", "total", "rate", "median", "hidden by compute"),
        [
            (
                row.kind,
                gpu(row.gpu_uuid, row.device, row.label),
                "pageable" if row.pageable else "",
                count(row.count),
                size(row.bytes.sum),
                time(row.time.sum),
                f"{size(row.rate)}/s" if row.rate is not None else "–",
                time(row.time.median),
                share(row.hidden),
            )
            for row in rows
        ],
        3,
    )
    staged = any(row.pageable for row in rows)
    note = "pageable copies are staged through the host: their overlap is no evidence of an asynchronous copy"
    return [*lines, *([note] if staged else [])] if rows else []


def launch_lines(rows: Sequence[LaunchRow]) -> Lines:
    """One line per API function."""
    return (
        table(
            (
                "call",
                "calls",
                "executed",
                "captured",
                "failed",
                "unmatched",
                "operations",
                "total",
                "median",
                "latency",
            ),
            [
                (
                    name(row.name),
                    *map(count, (row.calls, row.executed, row.captured, row.failed, row.unmatched, row.operations)),
                    *map(time, (row.time.sum, row.time.median)),
                    time(row.launch_latency.median if row.launch_latency else None),
                )
                for row in rows
            ],
        )
        if rows
        else []
    )


def gap_lines(rows: Table, totals: Mapping[str, Mapping[str, int]], limit: int) -> Lines:
    """One line per cause, then one per gap."""
    causes = [(cause.replace("_", " "), count(n["gaps"]), time(n["length"])) for cause, n in totals.items()]
    shown = rows.head(limit)
    head = ("cause", "call", "before", "after", "device", "start", "length", "waiting", "calling", "outside", "queued")
    lines = [*table(("cause", "gaps", "together"), causes), ""]
    lines += table(
        head,
        [
            (
                row["cause"].replace("_", " "),
                name(row["call"] or "", 32),
                *(name(row[f"{side}_name"] or row[f"{side}_kind"] or "", 24) for side in ("before", "after")),
                gpu(row["gpu_uuid"], row["device"]),
                f"{row['start'] / 1e9:.6f} s",
                *(time(row[key]) for key in head[6:]),
            )
            for row in shown.rows()
        ],
        5,
    )
    return lines + more(len(shown), len(rows)) if len(rows) else []


def overlap_lines(rows: Sequence[OverlapRow]) -> Lines:
    """One block per device: both selections, what they share, and the witnesses."""
    lines: Lines = []
    for row in rows:
        lines.append(f"{_on(row)}: {time(row.overlap)} shared")
        sides = (
            (row.a, row.a_ops, row.a_time, row.a_hidden, row.a_exposed),
            (row.b, row.b_ops, row.b_time, row.b_hidden, row.b_exposed),
        )
        for text, ops, whole, hidden, exposed in sides:
            lines.append(
                f"  {name(text)}: {count(ops)} operations, {time(whole)}; {share(hidden)} hidden, {time(exposed)} exposed"
            )
        if row.shared_ops:
            lines.append(f"  {count(row.shared_ops)} operations are in both selections: each overlaps itself")
        if row.untraced_graphs:
            lines.append(
                f"  {count(row.untraced_graphs)} graphs were traced as a whole: what overlaps inside is unknown"
            )
        for seen in row.witnesses:
            pair = (
                f"{op.table} row {op.row} ({name(op.name or op.kind, 24)}, stream {op.stream})"
                for op in (seen.a, seen.b)
            )
            lines.append(f"  {time(seen.end - seen.start)} from {count(seen.start)} ns: {' with '.join(pair)}")
    return lines


def _on(row: OverlapRow) -> str:
    return f"device {gpu(row.gpu_uuid, row.device)}" if row.gpu_uuid else visible(row.label)


def diff_lines(answer: TraceDiff, limit: int) -> Lines:
    """One block per device: the spans, the ledger, and one line per name."""
    lines: Lines = list(answer.notes)
    for device in answer.devices:
        lines.append(f"device {_uuid(device.gpu_a)} → {_uuid(device.gpu_b)}")
        lines.append(f"  span {time(device.a.span)} → {time(device.b.span)}: {_signed(device.change)}")
        lines += [f"    {code:<10} {_signed(ns)}" for code, ns in device.ledger.items()]
        shown = device.rows[: limit or None]
        lines += table(("operation", "status", "count", "total a", "total b", "change"), map(_diff_cells, shown), 2)
        lines += more(len(shown), len(device.rows))
    return lines


def _uuid(uuid: str) -> str:
    return visible(uuid)[:8] or "without uuid"


def _diff_cells(row: DiffRow) -> tuple[str, ...]:
    counts = count(row.count_a) if row.count_a == row.count_b else f"{count(row.count_a)} → {count(row.count_b)}"
    return name(row.name or row.kind), row.status, counts, time(row.sum_a), time(row.sum_b), _signed(row.change)


def _signed(ns: int) -> str:
    return f"+{time(ns)}" if ns > 0 else time(ns)
