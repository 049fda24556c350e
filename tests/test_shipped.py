"""The captures that ship: their proofs recomputed from the traces, against golden files, plain SQL and a real nsys.

The golden files are made anew by: AISP_UPDATE_GOLDEN=1 scripts/test tests/test_shipped.py
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from aisp_prof.profiler.evidence import Evidence
from aisp_prof.profiler.queries.ranges import ranges
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.trace.reader import read_trace
from shared import by_own_tracer, page_of, plain_trace, proven, shipped, shown_device

HERE = Path(__file__).parent
EVERY = shipped()
CAPTURES = tuple({capture.manifest.pair: capture for capture in EVERY}.values())
"""The oldest of each pair, whose numbers have stood longest; newer ones ship so that expectations rest on captures that agree."""
RECORDED = "ch11.streams-20261120T222929Z-2cd45c"
"""The capture whose reports a real nsys wrote."""

KERNEL, MEMCPY, MEMSET, RUNTIME = (f"CUPTI_ACTIVITY_KIND_{name}" for name in ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME"))


def golden(name: str, found: str, see: str = "") -> None:
    path = HERE / "golden" / name
    if os.environ.get("AISP_UPDATE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text(), see or f"{name} differs"


def name(capture: Capture) -> str:
    return f"tracer.{capture.manifest.pair}" if capture == by_own_tracer() else capture.manifest.pair


@pytest.fixture(params=(*CAPTURES, by_own_tracer()), ids=name)
def capture(request: pytest.FixtureRequest) -> Capture:
    return request.param


@pytest.fixture
def evidence(capture: Capture) -> Evidence:
    return proven(capture.id)


@pytest.fixture
def trace(capture: Capture) -> Iterator[sqlite3.Connection]:
    with plain_trace(capture) as connection:
        yield connection


def test_something_ships() -> None:
    assert "ch11.streams" in {capture.manifest.pair for capture in CAPTURES}


def test_every_number_is_recomputed(capture: Capture, evidence: Evidence) -> None:
    """The numbers first, so that a changed one is shown by name; the hash then speaks for all that the table leaves out."""
    pair, data = name(capture), evidence.to_json()
    golden(
        f"{pair}.csv", numbers_table([data["baseline"], *data["between"], data["optimized"], *data.get("beyond", ())])
    )
    del data["manifest"]
    whole = json.dumps(data, sort_keys=True, ensure_ascii=False).encode()
    see = f"""the proof of {pair} changed outside the numbers of {pair}.csv; to see where, run here and at the commit before
    aisp-prof report {pair.replace(".", ":")} --capture {capture.id} --format html --out DIRECTORY --json > PROOF.json
and compare the two: diff <(python3 -m json.tool BEFORE.json) <(python3 -m json.tool AFTER.json)"""
    golden(f"{pair}.sha256", hashlib.sha256(whole).hexdigest() + "\n", see)


def numbers_table(variants: list[dict[str, Any]]) -> str:
    """A row a metric and variant, in the proof's own order; n counts the iterations that have the number."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("metric", "variant", "n", "min", "median", "max"))
    for variant in variants:
        every: dict[str, list[float]] = {}
        for iteration in variant["iterations"]:
            for metric, number in iteration["numbers"].items():
                every.setdefault(metric, []).append(number)
        writer.writerows(
            (metric, variant["name"], len(found), min(found), median(found), max(found))
            for metric, found in every.items()
        )
    return table.getvalue()


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_page_says_what_it_said(capture: Capture, lang: str) -> None:
    golden(f"{name(capture)}.{lang}.txt", visible_text(page_of(capture.id, lang)))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self.hidden and data.strip():
            self.lines.append(" ".join(data.split()))


def visible_text(html: str) -> str:
    parser = _Text()
    parser.feed(html)
    return "\n".join(parser.lines) + "\n"


def iterations(trace: sqlite3.Connection, variant: str) -> list[tuple[int, int, int]]:
    """Thread and bounds of the measured iterations, by SQL alone."""
    query = """
        SELECT i.globalTid, i.start, i.end FROM NVTX_EVENTS m LEFT JOIN StringIds b ON b.id = m.textId
            CROSS JOIN NVTX_EVENTS i LEFT JOIN StringIds a ON a.id = i.textId
        WHERE i.eventType = 59 AND m.eventType = 59 AND m.globalTid = i.globalTid
            AND i.start BETWEEN m.start AND m.end AND i.end <= m.end
            AND COALESCE(i.text, a.value) = 'iter' AND COALESCE(m.text, b.value) LIKE '%.' || ? || '.measure'
        ORDER BY i.start"""
    return trace.execute(query, (variant,)).fetchall()


TALKS = "(SELECT value FROM StringIds WHERE id = o.shortName) LIKE 'nccl%'"


def operations(
    trace: sqlite3.Connection, bounds: tuple[int, int, int], whole_process: bool = False, device: int = 0
) -> list[tuple[int, int, int, int]]:
    """(start, end, kind, bytes) of what was launched inside the range on its thread, or by its process, and ran on the device; kind 0 is a
    kernel, -2 one of NCCL's, -1 a memset, else the copy's."""
    found = []
    for table, extra in ((KERNEL, f"-2 * ({TALKS}), 0"), (MEMSET, "-1, o.bytes"), (MEMCPY, "o.copyKind, o.bytes")):
        query = f"""SELECT DISTINCT o.rowid, o.start, o.end, {extra} FROM {table} o JOIN {RUNTIME} r
            ON r.correlationId = o.correlationId AND (r.globalTid & -16777216) = o.globalPid
            WHERE r.globalTid {"& -16777216 = ?1 & -16777216" if whole_process else "= ?1"}
                AND r.start BETWEEN ?2 AND ?3 AND r.end <= ?3 AND o.deviceId = ?4"""
        found += [row[1:] for row in trace.execute(query, (*bounds, device))]
    return sorted(found)


def nanoseconds_of_both(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> int:
    """Shared time of two lists whose intervals are disjoint within each list."""
    return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in one for b in two)


@pytest.mark.parametrize("variant", ["baseline", "optimized"])
def test_numbers_agree_with_plain_sql(evidence: Evidence, trace: sqlite3.Connection, variant: str) -> None:
    shown = getattr(evidence, variant).iterations
    ranges = iterations(trace, variant)
    ran = [run for run in evidence.manifest.iterations("traced") if run.variant == variant]
    assert len(shown) == len(ranges) == len(ran) >= 12
    whole_process = evidence.manifest.declaration.attribution == "process"
    device = shown_device(evidence, trace)
    for iteration, bounds in zip(shown, ranges, strict=True):
        found = operations(trace, bounds, whole_process, device)
        assert (iteration.start, iteration.end) == (found[0][0], max(op[1] for op in found))
        numbers = iteration.numbers
        kernels = [op[:2] for op in found if op[2] == 0]
        talking = [op[:2] for op in found if op[2] == -2]
        assert numbers["kernels_per_iteration"] == len(kernels) + len(talking)
        assert numbers["memsets_per_iteration"] == sum(op[2] == -1 for op in found)
        assert numbers["copies_per_iteration"] == sum(op[2] > 0 for op in found)
        assert numbers["sum(compute)"] == sum(end - start for start, end in kernels)
        assert numbers.get("sum(comm)", 0) == sum(end - start for start, end in talking)
        if talking:
            both = nanoseconds_of_both(kernels, talking)
            assert numbers["hidden(compute, comm)"] == both / sum(end - start for start, end in kernels)
        copies_agree_with_plain_sql(numbers, found)


def copies_agree_with_plain_sql(numbers: Mapping[str, float], found: list[tuple[int, int, int, int]]) -> None:
    copies_in, copies_out = ([op[:2] for op in found if op[2] == kind] for kind in (1, 2))
    both = nanoseconds_of_both(copies_in, copies_out)  # one engine a direction: its copies never overlap each other
    assert numbers["overlap(h2d, d2h)"] == both
    busy_in = sum(end - start for start, end in copies_in)
    assert numbers.get("hidden(h2d, d2h)") == (both / busy_in if busy_in else None)
    bytes_in = sum(op[3] for op in found if op[2] == 1)
    assert numbers.get("rate(h2d)") == (bytes_in * 1e9 / busy_in if busy_in else None)


def nanoseconds_of_any(intervals: list[tuple[int, int]]) -> int:
    """The time that a list of intervals covers, by counting at each of its bounds how many are open."""
    bounds = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    covered = opened = begun = 0
    for at, step in bounds:
        covered += at - begun if opened else 0
        opened, begun = opened + step, at
    return covered


@pytest.mark.parametrize("variant", ["baseline", "optimized"])
def test_the_busiest_engine_agrees_with_plain_sql(capture: Capture, trace: sqlite3.Connection, variant: str) -> None:
    """Kernels, NCCL's kernels with copies to other GPUs (kind 10), copies in (1), copies out (2), of every device."""
    whole_process = capture.manifest.declaration.attribution == "process"
    read = read_trace(capture.trace_path)
    rows = {
        (row["device"], row["start"]): row
        for row in ranges(read, "aisp", "iter", attribution="process" if whole_process else "thread").rows()
    }
    devices = sorted({device for device, _ in rows})
    for device, bounds in product(devices, iterations(trace, variant)):
        found = operations(trace, bounds, whole_process, device)
        kinds = {"compute": (0,), "h2d": (1,), "d2h": (2,), "peer": (10, -2)}
        busy = {name: nanoseconds_of_any([op[:2] for op in found if op[2] in kind]) for name, kind in kinds.items()}
        span, most = max(op[1] for op in found) - found[0][0], max(busy.values())
        row = rows[device, bounds[1]]
        assert max(busy, key=busy.__getitem__) == row["engine"]
        assert (row["busiest"], row["bound"]) == (most / span, span / most)


def test_the_speedup_agrees_with_plain_sql(evidence: Evidence, trace: sqlite3.Connection) -> None:
    """Of the trace, or, where tracing changed the times, of the untraced run's events."""
    manifest, times = evidence.manifest, {}
    assert evidence.speedup is not None
    for variant in ("baseline", "optimized"):
        if evidence.speedup.source == "events":
            runs = manifest.iterations("untraced")
            times[variant] = median(run.event_ns for run in runs if run.variant == variant)
        else:
            whole_process = manifest.declaration.attribution == "process"
            device = shown_device(evidence, trace)
            every = [operations(trace, bounds, whole_process, device) for bounds in iterations(trace, variant)]
            times[variant] = median(max(op[1] for op in ops) - ops[0][0] for ops in every)
    assert evidence.speedup.value == times["baseline"] / times["optimized"]


def test_projections_agree_with_nsys() -> None:
    """`nsys stats -r nvtx_gpu_proj_trace` of nsys 2025.3 on the capture of streams."""
    evidence = proven(RECORDED)
    with (HERE / "traces" / "ch11-streams.stats" / "nvtx_gpu_proj_trace.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["Name"] == "aisp:iter"]
    recorded = sorted(
        (int(r["Projected Start (ns)"]), int(r["Projected Duration (ns)"]), int(r["NumGPUOps"])) for r in rows
    )
    ours = sorted(
        (i.start, i.end - i.start, int(i.numbers["kernels_per_iteration"] + i.numbers["copies_per_iteration"]))
        for variant in (evidence.baseline, evidence.optimized)
        for i in variant.iterations
    )
    assert ours == recorded
