"""Exports whose tables have a suffix (_V2, _V3): whatever names a row names the table that holds it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.capture.run import check_trace
from aisp_prof.profiler.queries.gaps import gaps
from aisp_prof.profiler.queries.overlap import overlap
from aisp_prof.profiler.queries.raw import operations
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.export.columns import export_trace
from trace_builder import TraceBuilder

KINDS = ("RUNTIME", "KERNEL", "MEMCPY", "MEMSET", "GRAPH_TRACE")
SUFFIXES = {f"CUPTI_ACTIVITY_KIND_{kind}": "_V3" for kind in KINDS}


def built(folder: Path, work: bool = True) -> Path:
    trace = TraceBuilder(suffixes=SUFFIXES)
    p = trace.process(1)
    p.range("step", 0, 100)
    if work:
        p.copy("h2d", 64, (10, 11), (20, 60), stream=8)
        p.kernel("gemm", (13, 14), (30, 50), stream=7)
        p.memset(8, (15, 16), (70, 75))
    p.call("cudaDeviceSynchronize_v3020", (20, 90))
    return trace.write(folder / "t.sqlite")


def tables_named(data: object) -> set[str]:
    """Every value of a key `table`, however deep."""
    if isinstance(data, dict):
        mine = {str(value) for key, value in data.items() if key.endswith("table") and value is not None}
        return mine.union(*map(tables_named, data.values()))
    return set().union(*map(tables_named, data)) if isinstance(data, list) else set()


def plainly(rows: object) -> object:
    return json.loads(json.dumps(rows, default=lambda one: {n: getattr(one, n) for n in one.__dataclass_fields__}))


def test_every_table_named_is_in_the_file(tmp_path: Path) -> None:
    path = built(tmp_path)
    trace = read_trace(path)
    claims = ("hidden(h2d, compute) >= 0.1", "syncs_per_iteration == 0", "overlap_ratio >= 0.1")
    exported = tmp_path / "perfetto.json"
    export_trace(trace, "perfetto", exported)
    told = [
        plainly(check(trace, Question(claims, {"step": "step"})).claims),
        plainly(overlap(trace, "h2d", "compute")),
        [list(table.rows()) for table in (operations(trace), gaps(trace))],
        json.loads(exported.read_bytes())["traceEvents"],
    ]
    with closing(sqlite3.connect(path)) as connection:
        there = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    for one in told:
        assert tables_named(one)
        assert tables_named(one) <= there


def test_an_export_is_found_to_hold_what_the_reader_finds(tmp_path: Path) -> None:
    check_trace(built(tmp_path))
    with pytest.raises(EnvironmentLacks, match="not one GPU operation"):
        check_trace(built(tmp_path, work=False))
