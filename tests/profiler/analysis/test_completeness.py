"""Every finding of docs/traces.md, each from a trace that has nothing else wrong."""

import pytest
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder

KERNEL = "CUPTI_ACTIVITY_KIND_KERNEL"


def findings(trace, tmp_path):
    found = attest(read_trace(trace.write(tmp_path / "t.sqlite")))
    return found.status, {finding.code: finding.values for finding in found.findings}


@pytest.fixture
def trace():
    return TraceBuilder()


@pytest.fixture
def p(trace):
    p = trace.process(7)
    p.range("step", 1, 500)
    p.kernel("first", (10, 12), (20, 40))
    p.kernel("last", (60, 62), (70, 90))
    return p


def test_nothing_is_wrong(trace, p, tmp_path):
    assert findings(trace, tmp_path) == ("complete", {})


def test_work_after_the_window(trace, p, tmp_path):
    p.kernel("lost", (80, 82), None)
    assert findings(trace, tmp_path) == ("incomplete", {"cut_by_window": {"count": 1, "classes": "compute, comm"}})


def test_work_launched_before_the_window(trace, p, tmp_path):
    p.kernel("early", None, (1, 15), correlation=3)
    assert findings(trace, tmp_path) == ("incomplete", {"cut_by_window": {"count": 1, "classes": "compute"}})


def test_a_lost_record_in_between(trace, p, tmp_path):
    p.kernel("lost", (30, 32), None)
    p.kernel("orphan", None, (50, 55), correlation=9_999)
    expected = {
        "launch_without_operation": {"count": 1, "classes": "compute, comm"},
        "operation_without_launch": {"count": 1, "classes": "compute"},
    }
    assert findings(trace, tmp_path) == ("incomplete", expected)


def test_a_process_that_launches_and_never_works(trace, p, tmp_path):
    trace.process(8).kernel("lost", (30, 32), None)
    status, found = findings(trace, tmp_path)
    assert status == "incomplete"
    assert found["device_without_operations"] == {"device": "of process 8"}


def test_a_failed_launch_and_one_under_capture_lose_nothing(trace, p, tmp_path):
    p.call("cudaLaunchKernel_v7000", (30, 31), result=700)
    p.call("cudaStreamBeginCapture_v10000", (32, 33))
    p.call("cudaLaunchKernel_v7000", (34, 35))
    p.call("cudaStreamEndCapture_v10000", (36, 37))
    assert findings(trace, tmp_path) == ("complete", {})


def test_crossing_ranges(trace, p, tmp_path):
    p.range("a", 100, 200, domain="d")
    p.range("b", 150, 250, domain="d")
    assert findings(trace, tmp_path) == ("incomplete", {"crossing_ranges": {"count": 1}})


@pytest.mark.parametrize(
    ("run", "code"),
    [
        ((40, 20), "reversed_times"),
        ((0, 0), "zero_timestamps"),
        ((2**62, 2**62 + 5), "absurd_times"),
        ((-(2**62), 5), "absurd_times"),
        ((5, 5 + 2**55), "absurd_times"),
    ],
)
def test_times_that_say_nothing(trace, p, tmp_path, run, code):
    p.kernel("odd", (50, 52), run)
    status, found = findings(trace, tmp_path)
    assert (status, found[code]) == ("incomplete", {"count": 1, "table": KERNEL})


def test_an_end_of_minus_one_is_a_time_and_no_null(trace, p, tmp_path):
    trace.null_ends = True
    p.range("before the session", -50, -1, domain="d")
    p.range("open", 300, None, domain="d")
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert found.ranges.end.tolist()[1:] == [-1, 500]
    assert found.ranges.is_open.tolist() == [False, False, True]


def test_null_where_there_must_be_a_value_is_counted(trace, p, tmp_path, monkeypatch):
    import trace_builder

    monkeypatch.setitem(trace_builder.DDL, KERNEL, trace_builder.DDL[KERNEL].replace(" NOT NULL", ""))
    p.kernel("odd", (50, 52), (None, 55))
    status, found = findings(trace, tmp_path)
    assert (status, found["missing_values"]) == ("incomplete", {"count": 1, "table": KERNEL})


def test_a_range_of_no_thread_is_counted(trace, p, tmp_path):
    trace.add("NVTX_EVENTS", start=5, end=6, eventType=59, globalTid=None, text="whose?")
    status, found = findings(trace, tmp_path)
    assert (status, found["missing_values"]) == ("incomplete", {"count": 1, "table": "NVTX_EVENTS"})


def test_graphs_as_a_whole_are_told_but_do_not_block(trace, p, tmp_path):
    p.graph((45, 47), (48, 52))
    assert findings(trace, tmp_path) == ("complete", {"graph_level_tracing": {"count": 1}})


def test_nothing_states_a_count(p, tmp_path):
    trace = TraceBuilder(generation="2023.4")
    q = trace.process(1)
    q.range("r", 1, 50)
    q.kernel("k", (5, 6), (7, 8))
    assert findings(trace, tmp_path) == ("unattested", {"unattested": {}})
