from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.analysis.overlap import SELECTORS, busy_time, concurrency
from aisp_prof.profiler.queries import ranges as ranges_module
from aisp_prof.profiler.queries.gaps import gaps
from aisp_prof.profiler.queries.ranges import ranges, ranges_in_parts, why_none
from aisp_prof.profiler.ranges.attribution import Attribution, operations_inside
from aisp_prof.profiler.ranges.table import RangeTable, range_table
from aisp_prof.profiler.trace.model import COMM, COMPUTE, GRAPH_LAUNCH, KINDS
from aisp_prof.profiler.trace.reader import read_trace
from busy_trace import busy_trace
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_builder import TraceBuilder

KEYS = (
    *("domain", "name", "kind", "start", "end", "open", "pid", "tid", "device", "gpu_uuid", "ops", "kernels"),
    *("launches", "proj_start", "proj_end", "sum", "busy", "span", "idle", "overlap", "max_in_flight"),
    *("busy_by_class", "overlap_copy_compute", "overlap_comm_compute", "engine", "busiest", "bound"),
)


def rows_of(trace, tmp_path, **options):
    return list(ranges(read_trace(trace.write(tmp_path / "t.sqlite")), **options).rows())


def pair(tmp_path, **options):
    """A range on thread 1 in which thread 2 launches too."""
    trace = TraceBuilder()
    p = trace.process(7)
    p.sees(trace.gpu("aaaa"))
    p.range("step", 0, 100, domain="train")
    p.range("empty", 1, 2)
    p.kernel("gemm", (10, 12), (20, 50), stream=7)
    p.copy("h2d", 64, (13, 14), (40, 60), stream=8)
    p.kernel("backward", (15, 16), (100, 130), stream=7, tid=2)
    return rows_of(trace, tmp_path, **options)


def test_a_row_holds_exactly_what_is_documented(tmp_path):
    (row,) = pair(tmp_path)
    assert tuple(row) == KEYS
    assert {**row, "busy_by_class": {k: v for k, v in row["busy_by_class"].items() if v}} == {
        "domain": "train",
        "name": "step",
        "kind": "pushpop",
        "start": 0,
        "end": 100,
        "open": False,
        "pid": 7,
        "tid": 1,
        "device": 0,
        "gpu_uuid": "aaaa",
        "ops": 2,
        "kernels": 1,
        "launches": 2,
        "proj_start": 20,
        "proj_end": 60,
        "sum": 50,
        "busy": 40,
        "span": 40,
        "idle": 0,
        "overlap": 10,
        "max_in_flight": 2,
        "busy_by_class": {"compute": 30, "h2d": 20},
        "overlap_copy_compute": 10,
        "overlap_comm_compute": 0,
        "engine": "compute",
        "busiest": 0.75,
        "bound": 40 / 30,
    }
    assert tuple(row["busy_by_class"]) == KINDS


def test_process_wide_attribution_is_asked_for_by_name_and_said_in_every_row(tmp_path):
    (row,) = pair(tmp_path, attribution="process")
    assert tuple(row) == (*KEYS, "attribution")
    assert (row["attribution"], row["ops"], row["proj_end"]) == ("process", 3, 130)
    with pytest.raises(UsageError, match="proces"):
        pair(tmp_path, attribution="proces")


def test_ranges_without_gpu_work_come_when_asked_for(tmp_path):
    first, second = pair(tmp_path, everything=True)
    assert (first["name"], second["name"]) == ("step", "empty")
    assert [second[key] for key in ("device", "gpu_uuid", "ops", "proj_start", "busy")] == [None, "", 0, None, 0]


def test_a_graph_traced_as_a_whole_makes_what_is_inside_unknown(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("replay", 0, 50)
    p.graph((10, 12), (20, 90))
    p.copy("h2d", 8, (13, 14), (30, 40), stream=8)
    (row,) = rows_of(trace, tmp_path)
    unknown = (
        "kernels",
        "overlap",
        "max_in_flight",
        "overlap_copy_compute",
        "overlap_comm_compute",
        "busiest",
        "bound",
        "engine",
    )
    assert [row[key] for key in unknown] == [None] * 8
    assert (row["ops"], row["launches"], row["busy"]) == (2, 2, 70)


def test_a_row_a_device(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("step", 0, 50)
    for ordinal in (1, 0):
        p.sees(trace.gpu(f"gpu{ordinal}"), ordinal)
        p.kernel("k", (10 + ordinal, 12), (20, 40), device=ordinal)
    found = rows_of(trace, tmp_path)
    assert [(row["device"], row["gpu_uuid"], row["ops"]) for row in found] == [(0, "gpu0", 1), (1, "gpu1", 1)]


def test_sorted_by_start_then_the_longer_first(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    for name, end in (("inner", 50), ("outer", 90), ("middle", 70)):
        p.range(name, 5, end)
    p.range("before", 0, 4)
    names = [row["name"] for row in rows_of(trace, tmp_path, everything=True)]
    assert names == ["before", "outer", "middle", "inner"]


@pytest.mark.parametrize(
    ("domain", "name", "expected"),
    [
        (None, "st*", ["step"]),
        ("", "*", ["empty"]),
        ("tr?in", "*", ["step"]),
        (None, "STEP", []),
        ("nowhere", "*", []),
    ],
)
def test_chosen_by_domain_and_glob(tmp_path, domain, name, expected):
    assert [row["name"] for row in pair(tmp_path, domain=domain, name=name, everything=True)] == expected


def test_a_name_with_brackets_is_found_as_it_is(tmp_path):
    trace = TraceBuilder()
    trace.process(1).range("layer[0]", 0, 9)
    assert len(rows_of(trace, tmp_path, name="layer[0]", everything=True)) == 1


@pytest.mark.parametrize(
    ("domain", "name", "said"),
    [
        (None, "stpe", "did you mean step?"),
        ("trian", "*", "did you mean train?"),
        (None, "empty", "none of these ranges launched GPU work"),
    ],
)
def test_why_there_is_no_row(tmp_path, domain, name, said):
    pair(tmp_path)
    assert said in why_none(read_trace(tmp_path / "t.sqlite"), domain, name)


@pytest.mark.parametrize("part", [1, 2, 3, 100])
@pytest.mark.parametrize("everything", [False, True])
def test_parts_are_the_whole_in_its_order(tmp_path, monkeypatch, part, everything):
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    monkeypatch.setattr(ranges_module, "PART", part)
    parts = list(ranges_in_parts(trace, everything=everything))
    whole = list(ranges(trace, everything=everything).rows())
    assert len(whole) > 3
    assert [row for table in parts for row in table.rows()] == whole
    assert len(parts) > 1 or part == 100
    assert [len(table) for table in ranges_in_parts(trace, name="nowhere")] == [0]


times = st.tuples(st.integers(1, 40), st.integers(0, 30)).map(lambda t: (t[0], t[0] + t[1]))
launches = st.tuples(st.integers(1, 2), st.integers(1, 2), times, times, st.integers(7, 9), st.integers(0, 6))
spans = st.tuples(st.integers(1, 2), st.integers(1, 2), times, st.booleans(), st.integers(1, 2))


@settings(max_examples=50, deadline=None)
@given(st.lists(launches, max_size=9), st.lists(spans, min_size=1, max_size=4), st.sampled_from(["thread", "process"]))
def test_numbers_are_those_of_a_slow_reader(all_launches, all_spans, attribution):
    with TemporaryDirectory() as folder:
        trace = read_trace(_built(all_launches, all_spans).write(Path(folder) / "t.sqlite"))
    found = list(ranges(trace, attribution=attribution).rows())
    identity = [(row["pid"], row["tid"], row["name"], row["ops"], row["launches"], row["busy"]) for row in found]
    assert sorted(identity) == sorted(_slowly(trace, attribution))
    for row in found:
        assert row["busy"] + row["idle"] == row["span"] == row["proj_end"] - row["proj_start"]
        assert (row["overlap"] or 0) <= row["busy"] <= row["sum"]
    chosen = np.arange(len(trace.ranges))
    numbers = range_table(trace, chosen, attribution)
    owner, operation = operations_inside(trace, chosen, Attribution(attribution))
    for i in range(len(numbers)):
        mine = trace.operations.take(operation[owner == numbers.range[i]])
        fast = {name: getattr(numbers, name)[i].tolist() for name in RangeTable.__slots__[2:]}
        assert fast == one_by_one(mine.take(mine.gpu == numbers.gpu[i]))
    assert sum(numbers.ops) == len(owner)


def one_by_one(found):
    """The numbers of one range on one device, from the algebra that proofs use."""
    whole = concurrency(found)
    time = {name: busy_time(found.of_kind(*kinds)) for name, kinds in SELECTORS.items()}
    return {
        "device": int(found.device[0]),
        "ops": len(found),
        "kernels": int(np.isin(found.kind, (COMPUTE, COMM)).sum()),
        "launches": len(set(found.launch.tolist())),
        "graphs": int((found.kind == GRAPH_LAUNCH).sum()),
        "proj_start": int(found.start.min()),
        "proj_end": int(found.end.max()),
        **{name: getattr(whole, name) for name in ("sum", "busy", "span", "idle", "overlap", "max_in_flight")},
        "overlap_copy_compute": (time["copy"] & time["compute"]).length,
        "overlap_comm_compute": (time["comm"] & time["compute"]).length,
        **_busiest([time["compute"].length, time["h2d"].length, time["d2h"].length, time["comm"].length]),
        "busy_by_class": [time[kind].length for kind in KINDS],
    }


def _busiest(times):
    return {"engine": times.index(max(times)) if any(times) else -1, "engine_busy": max(times)}


def _built(all_launches, all_spans):
    trace = TraceBuilder()
    processes = {pid: trace.process(pid) for pid in (1, 2)}
    for pid, tid, call, run, stream, kind in all_launches:
        p = processes[pid]
        if kind == 0:
            p.copy("h2d", 9, call, run, stream, tid=tid)
        elif kind == 1:
            p.copy("d2h", 9, call, run, stream, tid=tid)
        elif kind == 2:
            p.graph(call, run, stream, tid=tid)
        else:
            p.kernel("k" if kind < 5 else "ncclDevKernel_x", call, run, stream, tid=tid)
    for number, (pid, tid, bounds, start_end, end_tid) in enumerate(all_spans):
        processes[pid].range(
            f"r{number}", *bounds, tid=tid, start_end=start_end, end_tid=end_tid if start_end else None
        )
    return trace


def _slowly(trace, attribution):
    """Every range with every operation, one by one; busy time by counting nanoseconds."""
    r, c, o = trace.ranges, trace.calls, trace.operations
    for i in range(len(r)):
        anyone = attribution == "process" or (r.start_end[i] and r.end_thread[i] != r.thread[i])
        mine = []
        for j in range(len(o)):
            call = o.launch[j]
            inside = r.start[i] <= c.start[call] and c.end[call] <= r.end[i]
            if inside and r.process[i] == c.process[call] and (anyone or r.thread[i] == c.thread[call]):
                mine.append(j)
        if mine:
            busy = {t for j in mine for t in range(o.start[j], o.end[j])}
            name, thread = trace.text(int(r.text[i])), int(r.thread[i])
            yield (
                (thread >> 24) & 0xFFFFFF,
                thread & 0xFFFFFF,
                name,
                len(mine),
                len({o.launch[j] for j in mine}),
                len(busy),
            )


def test_many_rows_of_few_ranges(tmp_path):
    """More rows than ranges, and columns that hold one value throughout, which the reader keeps as one."""
    trace = TraceBuilder()
    p = trace.process(1)
    for ordinal in range(3):
        p.sees(trace.gpu(f"gpu{ordinal}"), ordinal)
    for number in range(300):
        at = 1000 * number
        p.range("step", at, at + 900)
        for ordinal in range(3):
            p.kernel("k", (at + ordinal, at + 10), (at + 20, at + 30), device=ordinal)
    found = rows_of(trace, tmp_path)
    assert len(found) == 900
    assert {(row["name"], row["pid"], row["ops"], row["busy"]) for row in found} == {("step", 1, 1, 10)}
    assert len(list(gaps(read_trace(tmp_path / "t.sqlite")).rows())) == 3 * 301
