"""All ranges at once against one after the other, by the definitions themselves."""

from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import engines
import numpy as np
import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.analysis.overlap import busy_time, concurrency
from aisp_prof.profiler.arrays import types
from aisp_prof.profiler.ranges import pieces, slices
from aisp_prof.profiler.ranges import table as module
from aisp_prof.profiler.ranges.attribution import expanded
from aisp_prof.profiler.ranges.table import range_table
from aisp_prof.profiler.trace.model import COMM, COMPUTE, COPIES, D2H, GRAPH_LAUNCH, H2D, KINDS, P2P
from aisp_prof.profiler.trace.reader import read_trace
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_builder import TraceBuilder

times = st.tuples(st.integers(1, 60), st.integers(0, 25)).map(lambda t: (t[0], t[0] + t[1]))
submissions = st.tuples(
    st.sampled_from([1, 2]),  # process
    st.sampled_from([1, 2]),  # thread
    times,  # the call
    st.lists(st.tuples(times, st.sampled_from([7, 8]), st.sampled_from([0, 1])), max_size=3),  # run, stream, device
    st.sampled_from(["gemm", "ncclDevKernel_AllReduce", "h2d", "d2h", "d2d", "p2p", "memset", "graph"]),
)
ranges = st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2]), times, st.booleans(), st.sampled_from([1, 2]))


@pytest.fixture(autouse=True, scope="module", params=engines.ENGINES)
def engine(request):
    """Both come to the same numbers."""
    with pytest.MonkeyPatch.context() as patch:
        engines.choose(patch, request.param)
        yield request.param


def submit(p, tid, call, run, stream, device, what):
    if what in ("h2d", "d2h", "d2d", "p2p"):
        p.copy(what, 64, call, run, stream, device, tid)
    elif what == "memset":
        correlation = p.call("cudaMemsetAsync_v3020", call, tid)
        p._operation("MEMSET", run, stream, device, correlation, bytes=8, value=0)
    elif what == "graph":
        p.graph(call, run, stream, device, tid)
    else:
        p.kernel(what, call, run, stream, device, tid)


def built(calls, all_ranges, folder):
    trace = TraceBuilder()
    processes = {pid: trace.process(pid, host=0x8000 + pid) for pid in (1, 2)}
    for pid, tid, call, runs, what in calls:
        p = processes[pid]
        if what == "gemm" and len(runs) > 1:  # one call with many operations
            correlation = p.call("cudaGraphLaunch_v10000", call, tid)
            for run, stream, device in runs:
                p.kernel(what, None, run, stream, device, correlation=correlation)
            continue
        for run, stream, device in runs:
            submit(p, tid, call, run, stream, device, what)
    for number, (pid, tid, bounds, start_end, end_tid) in enumerate(all_ranges):
        processes[pid].range(
            f"r{number}", *bounds, tid=tid, start_end=start_end, end_tid=end_tid if start_end else None
        )
    return read_trace(trace.write(Path(folder) / "t.sqlite"))


def belongs(trace, r, op, attribution):
    call = trace.operations.launch[op]
    if call < 0 or trace.calls.process[call] != trace.ranges.process[r]:
        return False
    inside = trace.ranges.start[r] <= trace.calls.start[call] and trace.calls.end[call] <= trace.ranges.end[r]
    anyone = trace.ranges.start_end[r] and trace.ranges.end_thread[r] != trace.ranges.thread[r]
    return inside and (anyone or attribution == "process" or trace.calls.thread[call] == trace.ranges.thread[r])


def row(trace, r, gpu, ops):
    """One row by the definitions."""
    numbers = concurrency(ops)
    parts = {name: busy_time(ops.of_kind(*kinds)) for name, kinds in (("a", COPIES), ("b", (COMPUTE,)), ("c", (COMM,)))}
    return {
        "range": r,
        "gpu": gpu,
        "device": int(ops.device[0]),
        "ops": len(ops),
        "kernels": int(np.isin(ops.kind, (COMPUTE, COMM)).sum()),
        "launches": len(set(ops.launch.tolist())),
        "graphs": int((ops.kind == GRAPH_LAUNCH).sum()),
        "proj_start": int(ops.start.min()),
        "proj_end": int(ops.end.max()),
        **{name: getattr(numbers, name) for name in ("sum", "busy", "span", "idle", "overlap", "max_in_flight")},
        "overlap_copy_compute": (parts["a"] & parts["b"]).length,
        "overlap_comm_compute": (parts["c"] & parts["b"]).length,
        **busiest(ops),
        "busy_by_class": [busy_time(ops.of_kind(kind)).length for kind in range(len(KINDS))],
    }


def busiest(ops):
    """By counting: the engine that works in the most nanoseconds, of equal ones the first."""
    engines = ((COMPUTE,), (H2D,), (D2H,), (COMM, P2P))
    busy = [
        len({ns for op in range(len(ops)) if ops.kind[op] in kinds for ns in range(ops.start[op], ops.end[op])})
        for kinds in engines
    ]
    return {"engine": busy.index(max(busy)) if any(busy) else -1, "engine_busy": max(busy)}


def slowly(trace, chosen, attribution):
    for r in chosen:
        mine = [op for op in range(len(trace.operations)) if belongs(trace, r, op, attribution)]
        for gpu in sorted(set(trace.operations.gpu[mine].tolist())):
            yield row(trace, r, gpu, trace.operations.take([op for op in mine if trace.operations.gpu[op] == gpu]))


def as_rows(table):
    return [{f.name: getattr(table, f.name)[i].tolist() for f in fields(table)} for i in range(len(table))]


@settings(max_examples=120, deadline=None)
@given(st.lists(submissions, max_size=12), st.lists(ranges, max_size=6), st.sampled_from(["thread", "process"]))
def test_every_row_is_what_the_definitions_say(calls, all_ranges, attribution):
    with TemporaryDirectory() as folder:
        trace = built(calls, all_ranges, folder)
    chosen = list(reversed(range(len(trace.ranges))))
    assert as_rows(range_table(trace, chosen, attribution)) == list(slowly(trace, chosen, attribution))


@settings(max_examples=40, deadline=None)
@given(st.lists(submissions, min_size=3, max_size=12), st.lists(ranges, min_size=2, max_size=6))
def test_chunks_make_no_difference(calls, all_ranges):
    with TemporaryDirectory() as folder:
        trace = built(calls, all_ranges, folder)
    whole = as_rows(range_table(trace))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "PAIRS", 2)
        assert as_rows(range_table(trace)) == whole
        patch.setattr(types, "ROOM", 200)  # windows that do not fit: chunks are halved
        assert as_rows(range_table(trace)) == whole


@settings(max_examples=150, deadline=None)
@given(st.lists(submissions, min_size=3, max_size=14), st.lists(ranges, min_size=2, max_size=6), st.integers(1, 3))
def test_pieces_make_no_difference(calls, all_ranges, block):
    with TemporaryDirectory() as folder:
        trace = built(calls, all_ranges, folder)
    whole = as_rows(range_table(trace))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "LONG", 1)
        patch.setattr(pieces, "OFTEN", 0)
        patch.setattr(pieces, "BLOCK", block)
        assert as_rows(range_table(trace)) == whole
        for name in ("span", "idle", "engine", "max_in_flight", "launches"):
            alone = range_table(trace, numbers=(name,))
            assert getattr(alone, name).tolist() == [row[name] for row in whole]


def never_closed(tmp_path, kernels, opened, end):
    """Ranges that one thread opens and never closes; kernel k runs from 100 k until `end(k)`."""
    trace = TraceBuilder()
    p = trace.process(1)
    for k in range(kernels):
        p.kernel("k", (100 * k, 100 * k + 2), (100 * k + 10, end(k)))
    for k in range(0, kernels, kernels // opened):
        p.range("forward", 100 * k - 1, None)
    return read_trace(trace.write(tmp_path / "t.sqlite"))


def test_ranges_that_were_never_closed_do_not_count_all_that_follows_each(tmp_path, monkeypatch):
    trace = never_closed(tmp_path, 3000, 300, lambda k: 100 * k + 50)
    plain = as_rows(range_table(trace))
    monkeypatch.setattr(pieces, "LONG", 64)
    monkeypatch.setenv("AISP_ENGINE", "numpy")  # whose work can be counted; the core does as much
    worked = []
    monkeypatch.setattr(
        slices, "expanded", lambda low, high: worked.append(int((high - low).sum())) or expanded(low, high)
    )
    assert as_rows(range_table(trace)) == plain
    assert sum(row["ops"] for row in plain) == 451_500
    assert sum(worked) < 451_500 // 10


def test_more_than_can_be_worked_on_is_refused_by_its_limit(tmp_path, monkeypatch):
    """A kernel that runs all the time leaves nothing to cut."""
    trace = never_closed(tmp_path, 200, 100, lambda k: 100 * k + 50 if k else 10**6)
    monkeypatch.setattr(pieces, "LONG", 16)
    monkeypatch.setattr(pieces, "MOST_PAIRS", 1000)
    with pytest.raises(UsageError, match=r"99 ranges hold 9,900 operations in all.*the most is 1,000"):
        range_table(trace)


@settings(max_examples=30, deadline=None)
@given(st.lists(submissions, min_size=3, max_size=12), st.lists(ranges, min_size=2, max_size=6))
def test_each_number_may_be_asked_for_alone(calls, all_ranges):
    with TemporaryDirectory() as folder:
        trace = built(calls, all_ranges, folder)
    whole = range_table(trace)
    for name in module.NUMBERS:
        alone = range_table(trace, numbers=(name,))
        for column in ("range", "gpu", name):
            assert getattr(alone, column).tolist() == getattr(whole, column).tolist()
    with pytest.raises(AttributeError, match="busy was not asked for"):
        range_table(trace, numbers=("span",)).busy  # noqa: B018


def test_a_hundred_streams_in_flight(tmp_path, monkeypatch, engine):
    if engine == "core":
        monkeypatch.setattr(slices, "_by_quantities", lambda *_: pytest.fail("numpy sweeps"))
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("deep", 0, 1000)
    for k in range(100):
        p.kernel("k", (k, k + 1), (2000 + k, 9000 - k), stream=k)
    table = range_table(read_trace(trace.write(tmp_path / "t.sqlite")))
    assert (table.max_in_flight.tolist(), table.busy.tolist()) == ([100], [7000])


def test_ranges_without_work_or_of_unknown_threads_have_no_row(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("idle", 0, 5)
    p.range("elsewhere", 0, 500, tid=77)
    p.kernel("k", (10, 12), (20, 40))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert len(range_table(found)) == 0
    assert len(range_table(found, attribution="process")) == 1
    with pytest.raises(ValueError, match="thief"):
        range_table(found, attribution="thief")
