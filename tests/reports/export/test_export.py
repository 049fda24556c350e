from __future__ import annotations

import csv
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.profiler.queries.ranges import ranges
from aisp_prof.profiler.queries.raw import calls, operations
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.export import columns as columns_export
from aisp_prof.reports.export.columns import check_target, export_trace, neutral
from aisp_prof.reports.export.perfetto import lanes
from busy_trace import busy_trace
from hypothesis import given
from hypothesis import strategies as st
from trace_builder import TraceBuilder

spans = st.tuples(st.integers(-20, 40), st.integers(0, 20))


@given(st.lists(spans))
def test_lanes_hold_nothing_that_overlaps_and_are_as_few_as_possible(pairs):
    start = np.array([s for s, _ in pairs], np.int64)
    end = start + np.array([length for _, length in pairs], np.int64)
    lane = lanes(start, end)
    for i in range(len(start)):
        for j in range(i):
            if lane[i] == lane[j]:
                assert min(end[i], end[j]) <= max(start[i], start[j])
    deepest = max((int(((start <= t) & (t < end)).sum()) for t in start), default=0)
    assert len(set(lane.tolist())) <= max(deepest, 1) + int((start == end).any())


def test_perfetto_holds_every_row_once_and_no_track_overlaps(tmp_path):
    built = busy_trace()
    for pid in (300, 301):
        thread = built.process(pid).thread(9)
        built.add("NVTX_EVENTS", start=5, end=None, eventType=34, text="now", globalTid=thread, domainId=0)
    trace = read_trace(built.write(tmp_path / "t.sqlite"))
    (written,) = export_trace(trace, "perfetto", tmp_path / "out" / "trace.json")
    data = json.loads(Path(written.file).read_text(encoding="ascii"))
    assert len(data["traceEvents"]) == written.rows
    tracks = defaultdict(list)
    for event in data["traceEvents"]:
        if event["ph"] == "X":
            begin = round(event["ts"] * 1000)
            tracks[event["pid"], event["tid"]].append((begin, begin + round(event["dur"] * 1000)))
    assert sum(map(len, tracks.values())) == len(trace.operations) + len(trace.calls) + len(trace.ranges)
    for track in tracks.values():
        track.sort()
        assert all(end <= following for (_, end), (following, _) in pairwise(track))
    names = {(e["pid"], e["tid"]) for e in data["traceEvents"] if e["name"] == "thread_name"}
    marks = [(e["pid"], e["tid"]) for e in data["traceEvents"] if e["ph"] == "i"]
    assert len(marks) == len(trace.marks) == 2
    assert names == set(tracks) | set(marks)
    arrows = [e for e in data["traceEvents"] if e["ph"] in "sf"]
    assert len(arrows) == 2 * int((trace.operations.launch >= 0).sum())


def test_perfetto_loses_no_nanosecond(tmp_path):
    built = TraceBuilder()
    built.process(1).kernel("k", (1, 2), (1_795_209_738_000_000_003, 1_795_209_738_000_001_004))
    export_trace(read_trace(built.write(tmp_path / "t.sqlite")), "perfetto", tmp_path / "t.json")
    assert '"ts": 1795209738000000.003, "dur": 1.001' in (tmp_path / "t.json").read_text()


SHAPES = Path(__file__).parents[2] / "traces" / "shapes"


def loaded(path):
    """Start and end in ns of every slice, as a reader has them that holds µs as doubles."""
    events = json.loads(path.read_text())["traceEvents"]
    return [(e["name"], e["ts"] * 1000, (e["ts"] + e["dur"]) * 1000) for e in events if e["ph"] == "X"]


def test_times_since_1970_stay_apart_to_the_nanosecond(tmp_path):
    trace = read_trace(SHAPES / "ts-normalize.sqlite.xz")
    export_trace(trace, "perfetto", tmp_path / "t.json")
    slices = loaded(tmp_path / "t.json")
    first = {name: round(start, 3) for name, start, _ in reversed(slices)}
    assert (first["k"], first["k2"], first["iter"]) == (20.0, 30.0, 0.0)
    offset = int(json.loads((tmp_path / "t.json").read_text())["otherData"]["offset_ns"])
    assert offset == int(min(trace.ranges.start))
    starts = sorted(round(start) + offset for _, start, _ in slices)
    assert starts == sorted([*trace.operations.start, *trace.calls.start, *trace.ranges.start])
    ends = sorted(round(end) + offset for _, _, end in slices)
    assert ends == sorted([*trace.operations.end, *trace.calls.end, *trace.ranges.end])


@pytest.mark.parametrize(
    "shift", [0, 10**15, 2**43 * 1000 - 10**6, 2**43 * 1000, -(2**43) * 1000, 1_795_209_738 * 10**9]
)
def test_a_shift_of_all_times_changes_no_distance(tmp_path, shift):
    trace = TraceBuilder()
    p = trace.process(1)
    for at in range(1000, 3000, 7):
        p.kernel("k", (at + shift, at + 2 + shift), (at + 3 + shift, at + 10 + shift))
    p.mark("m", 1001 + shift)
    path = tmp_path / "t.json"
    export_trace(read_trace(trace.write(tmp_path / "t.sqlite")), "perfetto", path)
    data = json.loads(path.read_text())
    offset = int(data["otherData"].get("offset_ns", 0))
    assert (offset != 0) is (abs(1000 + shift) >= 2**43 * 1000)
    kernels = [start for name, start, _ in loaded(path) if name == "k"]
    assert [round(start) + offset - shift for start in kernels] == [at + 3 for at in range(1000, 3000, 7)]
    (mark,) = [e["ts"] for e in data["traceEvents"] if e["ph"] == "i"]
    assert round(mark * 1000) + offset - shift == 1001


def test_csv_holds_every_row_and_no_formula(tmp_path):
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    written = export_trace(trace, "csv", tmp_path / "out")
    counts = {Path(file.file).name: file.rows for file in written}
    assert counts == {
        "operations.csv": len(trace.operations),
        "calls.csv": len(trace.calls),
        "ranges.csv": len(ranges(trace, everything=True)),
    }
    with (tmp_path / "out" / "ranges.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    evil = next(row for row in rows if "calc" in row["name"])
    assert (evil["name"], evil["domain"]) == ("'=cmd|' /C calc'!A0", "'@evil")
    with (tmp_path / "out" / "operations.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    expected = list(operations(trace).rows())
    assert [int(row["start"]) for row in found] == [row["start"] for row in expected]
    assert {row["bytes"] for row in found if row["kind"] == "compute"} == {""}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x"])
def test_formulas_are_neutralised(text):
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize(("cut", "first"), [("\t", "'\t"), ("\r", "'\r"), ("\n", "'\n"), (";", ";")])
def test_formulas_behind_what_may_cut_a_cell_are_neutralised_too(cut, first):
    assert neutral(f"{cut}=1") == f"{first}'=1"
    assert neutral(f"a{cut}=1") == f"a{cut}'=1"


@pytest.mark.parametrize("text", ["gemm", "a=b", "", None, "'quoted"])
def test_other_text_stays(text):
    assert neutral(text) == text


def test_parquet_is_what_the_frame_is(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow: pip install 'aisp-prof[parquet]'")
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    export_trace(trace, "parquet", tmp_path / "out", "process")
    for name, table in (("operations", operations(trace)), ("calls", calls(trace))):
        found = parquet.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        assert found == list(table.rows())
    assert "attribution" in parquet.read_schema(tmp_path / "out" / "ranges.parquet").names


def test_without_pyarrow_the_way_to_get_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(EnvironmentLacks) as error:
        check_target(tmp_path / "t.sqlite", "parquet", tmp_path / "out")
    assert "aisp-prof[parquet]" in error.value.mend


def test_what_cannot_be_written_is_refused_before_reading(tmp_path):
    trace = tmp_path / "t.sqlite"
    trace.write_bytes(b"")
    for to, out, said in (
        ("perfeto", tmp_path / "x", "cannot export"),
        ("perfetto", trace, "the trace itself"),
        ("perfetto", tmp_path, "is a folder"),
        ("csv", trace, "the trace itself"),
    ):
        with pytest.raises(UsageError, match=said):
            check_target(trace, to, out)
    assert columns_export.TARGETS == ("perfetto", "parquet", "csv")
