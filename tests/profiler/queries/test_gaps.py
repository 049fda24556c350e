from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aisp_prof.profiler.analysis.overlap import concurrency
from aisp_prof.profiler.arrays import types
from aisp_prof.profiler.arrays.intervals import union
from aisp_prof.profiler.queries import gaps as module
from aisp_prof.profiler.queries.gaps import by_cause, find_gaps, gaps
from aisp_prof.profiler.queries.synchronising import blocking_calls
from aisp_prof.profiler.trace.reader import read_trace
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_builder import TraceBuilder


def inner(trace, tmp_path):
    """The gaps between operations."""
    rows = gaps(read_trace(trace.write(tmp_path / "t.sqlite"))).rows()
    return [row for row in rows if row["cause"] != "capture_boundary"]


def two_kernels(tmp_path, launch, *calls, tid=1):
    trace = TraceBuilder()
    p = trace.process(1)
    p.kernel("first", (10, 12), (20, 100))
    for name, times in calls:
        p.call(name, times, tid=tid)
    p.kernel("second", launch, (200, 300))
    (row,) = inner(trace, tmp_path)
    return row


def test_a_synchronising_call_explains_why_nothing_was_launched(tmp_path):
    row = two_kernels(
        tmp_path, (150, 155), ("cudaDeviceSynchronize_v3020", (15, 120)), ("cudaMalloc_v3020", (125, 130))
    )
    assert (row["start"], row["end"], row["length"]) == (100, 200, 100)
    assert (row["cause"], row["call"]) == ("synchronising_call", "cudaDeviceSynchronize_v3020")
    assert [row[part] for part in ("waiting", "calling", "outside", "queued")] == [20, 5, 25, 50]
    assert (row["before_name"], row["after_name"], row["after_row"]) == ("first", "second", 2)


def test_a_short_wait_does_not_explain_a_long_gap(tmp_path):
    row = two_kernels(tmp_path, (195, 196), ("cudaDeviceSynchronize_v3020", (90, 105)))
    assert (row["cause"], row["waiting"], row["waited"], row["outside"]) == ("no_launch_queued", 5, 15, 90)


def test_a_wait_that_was_long_before_the_gap_does(tmp_path):
    row = two_kernels(tmp_path, (195, 196), ("cudaDeviceSynchronize_v3020", (15, 105)))
    assert (row["cause"], row["waiting"], row["waited"]) == ("synchronising_call", 5, 90)


def test_a_late_launch_without_a_wait(tmp_path):
    row = two_kernels(tmp_path, (190, 195))
    assert (row["cause"], row["call"]) == ("no_launch_queued", "cudaLaunchKernel_v7000")
    assert [row[part] for part in ("waiting", "calling", "outside", "queued")] == [0, 0, 90, 10]


def test_work_that_was_queued_all_the_time(tmp_path):
    row = two_kernels(tmp_path, (30, 35), ("cudaStreamSynchronize_v3020", (40, 400)))
    assert (row["cause"], row["queued"]) == ("queued", 100)


def test_another_threads_wait_explains_nothing(tmp_path):
    row = two_kernels(tmp_path, (190, 195), ("cudaDeviceSynchronize_v3020", (15, 180)), tid=2)
    assert row["cause"] == "no_launch_queued"


def test_an_operation_without_its_launch(tmp_path):
    row = two_kernels(tmp_path, None)
    assert (row["cause"], row["call"], row["queued"]) == ("launch_not_traced", None, 0)


def test_the_capture_begins_and_ends_around_the_work(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("all", 5, 500)
    p.kernel("only", (10, 12), (20, 100))
    found = gaps(read_trace(trace.write(tmp_path / "t.sqlite")))
    edges = [(r["start"], r["end"], r["cause"], r["before_name"], r["after_name"]) for r in found.rows()]
    assert edges == [(100, 500, "capture_boundary", "only", None), (5, 20, "capture_boundary", None, "only")]
    assert by_cause(found)["capture_boundary"] == {"gaps": 2, "length": 415}
    assert len(gaps(read_trace(tmp_path / "t.sqlite"), least=100)) == 1


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("cudaMemcpy_v3020", True),
        ("cuMemcpyDtoH_v2", True),
        ("cudaMemcpyAsync_v3020", False),
        ("cudaMemcpyAsync_ptsz", False),
        ("cudaFree_v3020", True),
        ("cudaFreeAsync_v11020", False),
        ("cudaStreamSynchronize_ptsz", True),
        ("cudaLaunchKernel_v7000", False),
    ],
)
def test_which_calls_wait(tmp_path, name, waits):
    trace = TraceBuilder()
    trace.process(1).call(name, (1, 2))
    assert blocking_calls(read_trace(trace.write(tmp_path / "t.sqlite"))).tolist() == [waits]


spans = st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda t: (t[0], t[0] + t[1]))
work = st.tuples(spans, spans, st.integers(1, 2), st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.lists(work, min_size=1, max_size=8), st.lists(st.tuples(spans, st.integers(1, 2)), max_size=4))
def test_gaps_are_the_idle_time_and_their_parts_are_the_gaps(all_work, waits):
    trace = TraceBuilder()
    p = trace.process(1)
    for call, run, tid, traced in all_work:
        p.kernel("k", call if traced else None, run, stream=6 + tid, tid=tid)
    for times, tid in waits:
        p.call("cudaDeviceSynchronize_v3020", times, tid=tid)
    with TemporaryDirectory() as folder:
        found = read_trace(trace.write(Path(folder) / "t.sqlite"))
    rows = find_gaps(found)
    length, parts = rows.end - rows.start, rows.waiting + rows.calling + rows.outside + rows.queued
    within = rows.cause != 3
    real = found.operations.take(found.operations.end > found.operations.start)
    assert length[within].sum() == concurrency(real).idle
    known = within & (rows.cause != 4)
    assert (parts[known] == length[known]).all()
    assert (parts[~known] == 0).all()
    assert (rows.waited >= rows.waiting).all()
    assert min(map(int, (*rows.waiting, *rows.calling, *rows.outside, *rows.queued)), default=0) >= 0


def spent_one_by_one(found, gap, waits_only):
    """Of the time from a gap's beginning to its launch what the launching thread spent in calls, instant by instant."""
    calls, launch = found.calls, int(found.operations.launch[gap.after[0]])
    until = min(max(int(calls.start[launch]), int(gap.start[0])), int(gap.end[0]))
    mine = calls.thread == calls.thread[launch]
    if waits_only:
        mine = mine & blocking_calls(found)
    spans = list(zip(calls.start[mine].tolist(), calls.end[mine].tolist(), strict=True))
    return sum(any(low <= t < high for low, high in spans) for t in range(int(gap.start[0]), until))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(spans, spans, st.integers(1, 5)), min_size=2, max_size=9),
    st.lists(st.tuples(spans, st.integers(1, 5)), max_size=6),
    st.sampled_from([1 << 62, 200]),
)
def test_each_thread_is_looked_at_alone_though_all_lie_on_one_line(all_work, waits, room):
    trace = TraceBuilder()
    p = trace.process(1)
    for call, run, tid in all_work:
        p.kernel("k", call, run, stream=6 + tid, tid=tid)
    for times, tid in waits:
        p.call("cudaDeviceSynchronize_v3020", times, tid=tid)
    with TemporaryDirectory() as folder:
        found = read_trace(trace.write(Path(folder) / "t.sqlite"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(types, "ROOM", room)  # 200: the windows of all threads do not fit
        rows = find_gaps(found)
    for number in range(len(rows)):
        gap = rows.take([number])
        if gap.cause[0] not in (module.BOUNDARY, module.NOT_TRACED):
            waiting = spent_one_by_one(found, gap, True)
            assert gap.waiting[0] == waiting
            assert gap.calling[0] == spent_one_by_one(found, gap, False) - waiting


def test_threads_without_number_are_one_sweep(tmp_path, monkeypatch):
    """A pool that starts a thread for each launch: the calls were searched through once for each of them."""
    trace = TraceBuilder()
    p = trace.process(1)
    for tid in range(1, 301):
        p.kernel("k", (100 * tid, 100 * tid + 2), (100 * tid + 10, 100 * tid + 20), tid=tid)
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    swept = []
    monkeypatch.setattr(module, "union", lambda start, end: swept.append(len(start)) or union(start, end))
    rows = find_gaps(found)
    assert (rows.cause == module.NOT_QUEUED).sum() == 299
    assert len(swept) == 2
