"""Projection and the numbers of a range against loops over every pair, on random traces."""

from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from aisp_prof.profiler.analysis.longest import witnesses
from aisp_prof.profiler.analysis.overlap import concurrency, concurrency_by_gpu
from aisp_prof.profiler.ranges.attribution import calls_inside, operations_inside
from aisp_prof.profiler.ranges.table import range_table
from aisp_prof.profiler.trace.reader import read_trace
from hypothesis import given, settings
from hypothesis import strategies as st
from one_by_one import by_gpu
from trace_builder import TraceBuilder


def operations_of(trace, index):
    """What one range launched: a set of one."""
    return trace.operations.take(operations_inside(trace, np.array([index]))[1])


times = st.tuples(st.integers(0, 60), st.integers(0, 25)).map(lambda t: (t[0], t[0] + t[1]))
launches = st.tuples(
    st.sampled_from([1, 2]),  # process
    st.sampled_from([1, 2]),  # thread
    times,  # the call
    times,  # the operation
    st.sampled_from([7, 8, 9]),  # stream
    st.integers(1, 6),  # correlation id: repeats over processes, and within one for graphs
)
ranges = st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2]), times, st.booleans(), st.sampled_from([1, 2]))


def built(all_launches, all_ranges, folder):
    trace = TraceBuilder()
    processes = {pid: trace.process(pid, host=0x8000 + pid) for pid in (1, 2)}
    called = set()
    for number, (pid, tid, call, run, stream, correlation) in enumerate(all_launches):
        first = (pid, correlation) not in called
        called.add((pid, correlation))
        launch = (call[0] + 1, call[1] + 2) if first else None
        run = (run[0] + 1, run[1] + 1)
        processes[pid].kernel(f"k{number}", launch, run, stream, tid=tid, correlation=correlation)
    for number, (pid, tid, bounds, start_end, end_tid) in enumerate(all_ranges):
        processes[pid].range(
            f"r{number}", *bounds, tid=tid, start_end=start_end, end_tid=end_tid if start_end else None
        )
    return read_trace(trace.write(Path(folder) / "t.sqlite"))


def belongs(trace, r, op):
    """The definition, read aloud."""
    call = trace.operations.launch[op]
    if call < 0 or trace.calls.process[call] != trace.ranges.process[r]:
        return False
    inside = trace.ranges.start[r] <= trace.calls.start[call] and trace.calls.end[call] <= trace.ranges.end[r]
    crosses = trace.ranges.start_end[r] and trace.ranges.end_thread[r] != trace.ranges.thread[r]
    return bool(inside and (crosses or trace.calls.thread[call] == trace.ranges.thread[r]))


@settings(max_examples=60, deadline=None)
@given(st.lists(launches, max_size=12), st.lists(ranges, min_size=1, max_size=5))
def test_projection_is_launch_containment(all_launches, all_ranges):
    with TemporaryDirectory() as folder:
        trace = built(all_launches, all_ranges, folder)
    every = range(len(trace.operations))
    for r in range(len(trace.ranges)):
        expected = {int(trace.operations.row[op]) for op in every if belongs(trace, r, op)}
        assert set(operations_of(trace, r).row.tolist()) == expected
    pairs = list(zip(*(a.tolist() for a in calls_inside(trace, np.arange(len(trace.ranges)))), strict=True))
    assert len(pairs) == len(set(pairs))


def slowly(ops):
    """Sets of nanoseconds: no algebra at all."""
    flying = [set(range(s, e)) for s, e in zip(ops.start, ops.end, strict=True)]
    lanes = list(zip(ops.process, ops.context, ops.stream, strict=True))
    busy = set().union(*flying) if flying else set()
    pairs = list(combinations(range(len(flying)), 2))
    across = {t for i, j in pairs if lanes[i] != lanes[j] for t in flying[i] & flying[j]}
    within = {t for i, j in pairs if lanes[i] == lanes[j] for t in flying[i] & flying[j]}
    deepest = max((sum(t in f for f in flying) for t in busy), default=0)
    span = int(ops.end.max() - ops.start.min()) if flying else 0
    return sum(map(len, flying)), len(busy), span, span - len(busy), len(across), len(within), deepest


@settings(max_examples=60, deadline=None)
@given(st.lists(launches, max_size=10))
def test_numbers_are_those_of_point_sets(all_launches):
    with TemporaryDirectory() as folder:
        operations = built(all_launches, [], folder).operations
    found = concurrency(operations)
    values = (found.sum, found.busy, found.span, found.idle, found.overlap, found.same_stream_overlap)
    assert (*values, found.max_in_flight) == slowly(operations)
    assert found.overlap <= found.busy <= found.sum
    assert concurrency_by_gpu(operations, int(operations.gpu.max(initial=0)) + 1) == [
        concurrency(operations.take(operations.gpu == gpu)) for gpu in range(int(operations.gpu.max(initial=0)) + 1)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(launches, min_size=2, max_size=10))
def test_witnesses_are_the_longest_overlaps(all_launches):
    with TemporaryDirectory() as folder:
        ops = built(all_launches, [], folder).operations
    half = len(ops) // 2
    a, b = ops.take(np.arange(half)), ops.take(np.arange(half, len(ops)))

    def shared(i, j):
        if (a.process[i], a.stream[i]) == (b.process[j], b.stream[j]):
            return 0
        return max(0, int(min(a.end[i], b.end[j]) - max(a.start[i], b.start[j])))

    everything = sorted((shared(i, j) for i in range(len(a)) for j in range(len(b))), reverse=True)
    found = [shared(i, j) for i, j in witnesses(a, b)]
    assert found == [length for length in everything[:3] if length > 0]


def test_work_that_outlives_its_range_still_belongs_to_it(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("step", 0, 50)
    p.kernel("late", (10, 12), (200, 300))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert operations_of(found, 0).start.tolist() == [200]


def test_a_call_across_the_end_of_a_range_is_outside(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("step", 0, 50)
    p.kernel("across", (49, 51), (60, 70))
    p.kernel("at_the_end", (48, 50), (60, 70))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert len(operations_of(found, 0)) == 1


def test_graph_nodes_belong_where_their_graph_was_launched(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("replay", 0, 50)
    correlation = p.graph((10, 12))
    for node in range(3):
        p.kernel("node", None, (20 + node * 10, 30 + node * 10), correlation=correlation, node=(1 << 32) + node)
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert len(operations_of(found, 0)) == 3


def test_gpus_are_never_added_together(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    for ordinal, uuid in enumerate(("aaaa", "bbbb")):
        p.sees(trace.gpu(uuid), ordinal)
        p.kernel("k", (10 + ordinal, 12), (20, 40), device=ordinal)
    parts = by_gpu(read_trace(trace.write(tmp_path / "t.sqlite")).operations)
    assert [concurrency(part).overlap for part in parts] == [0, 0]


@pytest.mark.parametrize("same", [True, False])
def test_overlap_within_a_stream_is_kept_apart(tmp_path, same):
    trace = TraceBuilder()
    p = trace.process(1)
    p.kernel("a", (1, 2), (10, 30), stream=7)
    p.kernel("b", (3, 4), (20, 40), stream=7 if same else 8)
    found = concurrency(read_trace(trace.write(tmp_path / "t.sqlite")).operations)
    assert (found.overlap, found.same_stream_overlap) == ((0, 10) if same else (10, 0))


def test_times_too_far_apart_for_one_line_of_time(tmp_path):
    """Four threads whose calls lie 2^60 ns apart: their windows do not fit into 64 bits together."""
    trace, far = TraceBuilder(), (1 << 61) - 100
    p = trace.process(1)
    for tid in range(1, 5):
        p.range(f"early_{tid}", 1, 50, tid=tid)
        p.range(f"late_{tid}", far, far + 40, tid=tid)
        p.kernel("k", (10, 11), (20, 30), tid=tid)
        p.kernel("k", (far + 1, far + 2), (far + 3, far + 9), tid=tid)
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    place, operation = operations_inside(found, np.arange(len(found.ranges)))
    assert place.tolist() == list(range(len(found.ranges)))
    early = found.ranges.start[place] < 100
    assert early.tolist() == (found.operations.start[operation] < 100).tolist()
    assert range_table(found).busy.tolist() == [10 if one else 6 for one in early.tolist()]
