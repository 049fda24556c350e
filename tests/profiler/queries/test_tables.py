from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from aisp_prof.profiler.queries.copies import copies
from aisp_prof.profiler.queries.frames import frame
from aisp_prof.profiler.queries.kernels import kernels
from aisp_prof.profiler.queries.launches import launches
from aisp_prof.profiler.queries.spread import groups, spread, spreads
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.queries.table import Column, Table
from aisp_prof.profiler.trace.reader import read_trace
from busy_trace import busy_trace
from hypothesis import given
from hypothesis import strategies as st
from trace_builder import TraceBuilder

HUGE = (1 << 62) + 1  # no float64


@pytest.fixture
def table():
    texts = ("a", 'b"%s\n\x1b[31m', "한국")
    return Table(
        {
            "id": Column(np.array([HUGE, -HUGE, 0]), missing=np.array([False, False, True])),
            "100% name": Column(np.array([1, -1, 2]), texts),
            "open": Column(np.array([True, False, True])),
            "inner": Table({"x": Column(np.array([1, 2, 3])), "y": Column(np.array([0.5, 1.0, 2.0]))}),
        }
    )


def test_rows_are_json_of_one_ascii_line_each(table):
    lines = list(table.json_rows())
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert json.loads(lines[0]) == {
        "id": HUGE,
        "100% name": 'b"%s\n\x1b[31m',
        "open": True,
        "inner": {"x": 1, "y": 0.5},
    }
    assert [json.loads(line)["id"] for line in lines] == [HUGE, -HUGE, None]
    assert [json.loads(line)["100% name"] for line in lines][1:] == ["", "한국"]


def test_a_frame_keeps_every_bit_and_every_gap(table):
    found = table.frame()
    kinds = {"id": "Int64", "100% name": "string", "open": "boolean", "inner.x": "Int64", "inner.y": "Float64"}
    assert found.dtypes.astype(str).to_dict() == kinds
    assert found["id"].tolist() == [HUGE, -HUGE, pd.NA]


def test_head_and_take(table):
    assert (len(table.head(2)), len(table.head(0)), len(table.head(9))) == (2, 3, 3)
    assert [row["inner"]["x"] for row in table.take(np.array([2, 0])).rows()] == [3, 1]


def test_an_empty_table(table):
    nothing = table.take(np.zeros(3, bool))
    assert (list(nothing.json_rows()), len(nothing.frame())) == ([], 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-(10**9), 10**9)), min_size=1))
def test_spreads_are_those_of_pandas(pairs):
    keys, values = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    group, first = groups(keys)
    found = spreads(group, values)
    for key, at, one in zip(np.unique(keys), first, found, strict=True):
        mine = pd.Series(values[keys == key])
        assert keys[at] == key
        assert (one.n, one.sum, one.min, one.max) == (len(mine), mine.sum(), mine.min(), mine.max())
        assert (one.mean, one.median) == pytest.approx((mine.mean(), mine.median()))
        assert one.stddev == (pytest.approx(mine.std()) if len(mine) > 1 else None)


def test_the_spread_of_nothing():
    assert spread(np.empty(0, np.int64)) is None
    assert spreads(np.empty(0, np.int64), np.empty(0, np.int64)) == []


def test_frames_of_rows_have_types_that_do_not_depend_on_the_values(tmp_path):
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    found = frame(launches(trace, everything=True))
    assert {str(found[name].dtype) for name in ("calls", "time.sum", "launch_latency.min")} == {"Int64"}
    assert {str(found[name].dtype) for name in ("time.median", "launch_latency.mean")} == {"Float64"}
    assert "launch_latency" not in found
    assert len(frame(())) == 0


def test_kernels_by_device_and_name(tmp_path):
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    rows = kernels(trace)
    assert {(row.name, row.gpu_uuid) for row in rows} >= {("gemm", "aaaa-1111"), ("gemm", "bbbb-2222")}
    for uuid in ("aaaa-1111", "bbbb-2222"):
        assert sum(row.share for row in rows if row.gpu_uuid == uuid) == pytest.approx(1)
    assert [(row.kind, row.name) for row in rows if row.kind == "comm"] == [("comm", "ncclDevKernel_AllReduce")] * 2
    assert [row.graph_nodes for row in kernels(trace, "node")] == [24, 24]
    assert [row.name for row in kernels(trace, "gemm(*", full=True)] == ["gemm(float *)"] * 2


def test_copies_say_what_was_pageable_and_what_was_hidden(tmp_path):
    built = TraceBuilder()
    p = built.process(1)
    p.copy("h2d", 1000, (1, 2), (10, 20))
    p.copy("h2d", 500, (3, 4), (30, 40), pageable=True)
    p.kernel("k", (5, 6), (15, 40), stream=8)
    rows = {row.pageable: row for row in copies(read_trace(built.write(tmp_path / "t.sqlite")))}
    assert (rows[False].hidden, rows[False].rate, rows[True].hidden) == (0.5, 1e11, 1.0)


def test_launches_tell_what_became_of_the_calls(tmp_path):
    built = TraceBuilder()
    p = built.process(1)
    p.kernel("early", (10, 20), (8, 30))
    p.kernel("late", (40, 50), (90, 99))
    p.kernel("lost", (60, 61), None)
    p.call("cudaLaunchKernel_v7000", (62, 63), result=700)
    p.call("cudaStreamBeginCapture_v10000", (70, 71))
    p.kernel("captured", (72, 73), None)
    p.call("cudaStreamEndCapture_v10000", (74, 75))
    (row,) = launches(read_trace(built.write(tmp_path / "t.sqlite")))
    assert (row.calls, row.executed, row.unmatched, row.failed, row.captured) == (5, 2, 1, 1, 1)
    assert row.launch_latency is not None
    assert (row.launch_latency.min, row.launch_latency.max, row.negative_latencies) == (-2, 50, 1)


def test_a_summary_keeps_devices_apart_and_its_ledger_closes(tmp_path):
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    found = summary(trace)
    assert [device.gpu_uuid for device in found.devices] == ["aaaa-1111", "bbbb-2222"]
    assert found.ledger_closes
    assert sum(device.ops for device in found.devices) == len(trace.operations)
    for device in found.devices:
        assert device.busy + device.idle == device.span
        assert device.comm_exposed is not None
        assert device.comm_hidden == pytest.approx(1 - device.comm_exposed / device.comm_time)
    assert [process.pid for process in found.processes] == [300, 301]
    assert found.ranges[0].name == "step"
    assert found.ranges[0].instances == 6


def test_a_summary_does_not_guess_what_ran_inside_a_graph(tmp_path):
    built = TraceBuilder()
    p = built.process(1)
    p.graph((10, 12), (20, 90))
    p.copy("h2d", 8, (13, 14), (30, 40), stream=8)
    (device,) = summary(read_trace(built.write(tmp_path / "t.sqlite"))).devices
    assert (device.untraced_graphs, device.overlap, device.copy_hidden, device.copy_exposed) == (1, None, None, None)


@pytest.mark.parametrize("top", [0, 1, 2, 3, 50])
def test_the_top_is_the_top_of_the_whole(tmp_path, top):
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    whole, some = summary(trace, 1000), summary(trace, top)
    assert len(whole.kernels) > 2
    assert len(whole.ranges) > 2
    assert (some.kernels, some.ranges) == (whole.kernels[:top], whole.ranges[:top])
    assert whole.kernels == kernels(trace)
