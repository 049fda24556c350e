from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aisp_prof.profiler.queries.diff import diff
from aisp_prof.profiler.trace.reader import read_trace
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_builder import TraceBuilder


def written(folder, name, work, uuid="aaaa"):
    trace = TraceBuilder()
    p = trace.process(1)
    p.sees(trace.gpu(uuid))
    for number, (kernel, stream, start, length) in enumerate(work):
        p.kernel(kernel, (number, number + 1), (start, start + length), stream)
    return read_trace(trace.write(Path(folder) / name))


def test_faster_slower_new_and_gone(tmp_path):
    a = written(tmp_path, "a", [("gemm", 7, 10, 20), ("gemm", 7, 40, 20), ("relu", 7, 60, 5), ("old", 7, 70, 8)])
    b = written(tmp_path, "b", [("gemm", 7, 10, 15), ("gemm", 8, 20, 22), ("relu", 7, 50, 5), ("fused", 7, 60, 30)])
    (device,) = diff(a, b, None, None).devices
    rows = {row.name: (row.status, row.change) for row in device.rows}
    assert rows == {"gemm": ("faster", -3), "relu": ("same", 0), "old": ("gone", -8), "fused": ("new", 30)}
    assert device.ledger == {"faster": -5, "slower": 2, "new": 30, "gone": -8, "concurrent": -5, "idle": -2}
    assert sum(device.ledger.values()) == device.change == device.b.span - device.a.span == 12
    assert [row.name for row in device.rows] == ["fused", "old", "gemm", "relu"]


def test_a_kernel_that_runs_more_or_less_often(tmp_path):
    once, twice = (written(tmp_path, str(n), [("gemm", 7, 10 + 50 * i, 20) for i in range(n)]) for n in (1, 2))
    for a, b, status, code in ((once, twice, "more", "new"), (twice, once, "fewer", "gone")):
        (device,) = diff(a, b, None, None).devices
        assert device.rows[0].status == status
        assert abs(device.ledger[code]) == 20


work = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(7, 9), st.integers(1, 60), st.integers(0, 20)), max_size=9
)


@settings(max_examples=80, deadline=None)
@given(work, work, st.sampled_from(["aaaa", "bbbb"]))
def test_the_ledger_is_the_whole_difference(first, second, uuid):
    with TemporaryDirectory() as folder:
        a, b = written(folder, "a", first), written(folder, "b", second, uuid)
        devices = diff(a, b, None, None).devices
    assert len(devices) <= 1
    for device in devices:
        assert sum(device.ledger.values()) == device.b.span - device.a.span == device.change
        assert sum(row.sum_b - row.sum_a for row in device.rows) == device.b.sum - device.a.sum
        for row in device.rows:
            assert row.faster_ns + row.slower_ns + row.new_ns + row.gone_ns == row.change
            assert row.count_a - row.gone == row.count_b - row.new == row.matched


def test_instances_of_two_ranges_of_one_trace(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    for number, (name, length) in enumerate((("base", 20), ("opt", 12), ("base", 22), ("opt", 11))):
        at = 1000 * (number + 1)
        p.range(name, at, at + 100)
        p.kernel("k", (at + 1, at + 2), (at + 10, at + 10 + length))
        p.kernel("k", (at + 3, at + 4), (at + 40, at + 40 + length))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    answer = diff(found, found, "base", "opt")
    (device,) = answer.devices
    assert (device.a.pieces, device.a.span, device.b.span) == (2, 50 + 52, 42 + 41)
    assert (device.ledger["faster"], device.ledger["idle"]) == (-38, 19)
    assert sum(device.ledger.values()) == device.change == -19
    assert answer.notes == ()


@pytest.mark.parametrize(("name", "said"), [("bse", "did you mean base?"), ("idle", "launched GPU work")])
def test_nothing_to_compare_is_said(tmp_path, name, said):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("base", 0, 100)
    p.range("idle", 200, 300)
    p.kernel("k", (1, 2), (10, 20))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    answer = diff(found, found, "base", name)
    assert said in answer.notes[0]
    assert answer.devices[0].ledger["gone"] == -10
    assert diff(found, found, name, name).devices == ()


def test_devices_are_aligned_by_uuid(tmp_path):
    def two(file, uuids):
        trace = TraceBuilder()
        p = trace.process(1)
        for ordinal, uuid in enumerate(uuids):
            p.sees(trace.gpu(uuid), ordinal)
            p.kernel(f"on {uuid}", (ordinal, ordinal + 1), (10, 20), device=ordinal)
        return read_trace(trace.write(tmp_path / file))

    answer = diff(two("a", ["aaaa", "bbbb"]), two("b", ["bbbb", "aaaa"]), None, None)
    assert [(d.gpu_a, d.gpu_b, d.rows[0].status) for d in answer.devices] == [
        ("aaaa", "aaaa", "same"),
        ("bbbb", "bbbb", "same"),
    ]
