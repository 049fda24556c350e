"""The trace builder writes what real exports hold: tests that pass on its traces say something of theirs."""

import sqlite3

import pytest
from aisp_prof.profiler.trace.reader import read_trace
from recorded_headers import headers
from trace_builder import TraceBuilder

REAL = headers()


def everything(generation, **options):
    trace = TraceBuilder(generation=generation, **options)
    p = trace.process(7)
    p.sees(trace.gpu("uuid-a"))
    p.range("open", 5, None)
    p.kernel("k", (10, 12), (20, 90), node=(1 << 32) + 5)
    p.copy("h2d", 64, (13, 14), (30, 40))
    p.memset(64, (15, 16), (41, 42))
    p.graph((17, 18), (95, 99))
    trace.add("CUDA_GRAPH_EVENTS", start=1, end=2, eventClass=0, globalTid=p.thread(1), nameId=1,
              **{"graphNodeId" if generation in ("2022.4", "2023.4") else "graphId": 1})  # fmt: skip
    return trace


def columns(path):
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        return {table: [row[1] for row in connection.execute(f"pragma table_info({table})")] for table in tables}


@pytest.mark.parametrize("generation", REAL)
def test_every_table_that_was_recorded_has_its_columns_in_their_order(tmp_path, generation):
    built, compared = columns(everything(generation).write(tmp_path / "t.sqlite")), 0
    for table, real in REAL[generation].items():
        if table in built:
            assert built[table] == [name for name in real if name in built[table]], table
            compared += 1
    assert compared >= 5


@pytest.mark.parametrize("generation", REAL)
def test_metadata_lies_in_the_table_of_its_version(tmp_path, generation):
    built = columns(everything(generation).write(tmp_path / "t.sqlite"))
    for table in ("META_DATA_EXPORT", "EXPORT_META_DATA"):
        assert (table in built) == (table in REAL[generation])


@pytest.mark.parametrize("table", ["CUPTI_ACTIVITY_KIND_KERNEL", "NVTX_EVENTS", "DIAGNOSTIC_EVENT", "ANALYSIS_DETAILS",
                                   "META_DATA_EXPORT", "StringIds"])  # fmt: skip
def test_suffixed_tables_are_those_of_the_plain_name(tmp_path, table):
    plain = read_trace(everything("2025.3").write(tmp_path / "plain.sqlite"))
    suffixed = read_trace(everything("2025.3", suffixes={table: "_V3"}).write(tmp_path / "suffixed.sqlite"))
    assert suffixed.schema.version == plain.schema.version
    assert suffixed.rows == plain.rows
    assert suffixed.diagnostics == plain.diagnostics
    assert suffixed.ranges.is_open.tolist() == plain.ranges.is_open.tolist() == [True]


def test_every_column_that_is_read_is_in_the_newest_headers():
    known = {table: {name.lower() for name in names} for table, names in REAL["2025.3"].items()}
    assert {"duration"} <= known["ANALYSIS_DETAILS"]
    assert {"copykind", "correlationid", "migrationcause"} <= known["CUPTI_ACTIVITY_KIND_MEMCPY"]
    assert {"vmid", "id", "uuid", "name"} <= known["TARGET_INFO_GPU"]
    assert {"pid", "cudaid", "gpuid"} <= known["TARGET_INFO_CUDA_DEVICE"]
    assert {"severity", "text", "globalpid"} <= known["DIAGNOSTIC_EVENT"]
