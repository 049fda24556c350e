"""What the profiler says of lost events, in the words of its own files, and what it states of NVTX events."""

import lzma
import sqlite3
from pathlib import Path

import pytest
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.store.redact import scrub_trace
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder

TRACES = Path(__file__).parents[2] / "traces"
LOSSES = (
    "Not all CUDA events might have been collected.",
    "Not all NVTX events might have been collected.",
    "Error when processing events: bad optional access",
    "CUPTI dropped 128 records. Some CUPTI events might be missing.",
    "Couldn't allocate CUPTI buffers 3 times.Some CUPTI events might be missing.",
    "7 CUPTI events were detected incomplete while processing a buffer",
    "Number of incomplete CUPTI events dropped: 12. Incomplete events appear when GPU timestamp information have not been",
    "Number of CUPTI events produced: \t9, CUPTI buffers: 1 of 2. Some CUPTI events might be missing. To make sure",
    "5 GPU events were discarded as their timestamps could not be converted.",
    "4 NVTX annotations were discarded because they contained at least one invalid string handle.",
    "Can't associate CUDA device pid=7 cudaId=0 with system GPU. CUDA event processing was stopped",
    "CUDA profiling stopped unexpectedly: out of memory.",
)
HARMLESS = (
    "Number of CUPTI events produced: \t116, CUPTI buffers: 50.",
    "Sampling events were lost in the interval 3 - 4 (1) ns. Thread states and CPU utilization might be incorrect.",
    "Buffers holding CUDA trace data will be flushed on CudaProfilerStop() call.",
)


@pytest.fixture
def trace():
    trace = TraceBuilder()
    p = trace.process(7)
    p.range("step", 1, 500)
    p.kernel("k", (10, 12), (20, 40))
    return trace


def found(trace, tmp_path):
    state = attest(read_trace(trace.write(tmp_path / "t.sqlite")))
    return state.status, [(finding.code, dict(finding.values)) for finding in state.findings]


@pytest.mark.parametrize("text", LOSSES)
@pytest.mark.parametrize("severity", [1, 2])
def test_a_trace_of_which_events_are_lost_is_not_complete(trace, tmp_path, text, severity):
    trace.diagnostic(text, severity, trace.rows["CUPTI_ACTIVITY_KIND_KERNEL"][0]["globalPid"])
    assert found(trace, tmp_path) == ("incomplete", [("may_be_missing", {"text": text})])


@pytest.mark.parametrize("text", HARMLESS)
def test_what_says_nothing_of_cuda_or_nvtx_does_not_block(trace, tmp_path, text):
    trace.diagnostic(text, 1)
    assert found(trace, tmp_path)[0] == "complete"
    trace = TraceBuilder()
    trace.process(7).kernel("k", (10, 12), (20, 40))
    trace.diagnostic(text, 2)
    assert found(trace, tmp_path)[0] == "complete"


def test_a_claim_on_it_is_unproven(trace, tmp_path):
    trace.diagnostic(LOSSES[0], 2)
    read = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert check(read, Question(("kernels_per_iteration == 1",), {"s": "step"})).verdict is Verdict.UNPROVEN
    assert check(read, Question(("kernels_per_iteration == 1",), {})).verdict is Verdict.UNPROVEN


def test_the_same_text_is_said_once_with_its_count(trace, tmp_path):
    for pid in range(10):
        trace.diagnostic("Unable to configure the GPU.", 2, pid << 24)
        trace.diagnostic(LOSSES[0], 2, pid << 24)
    trace.diagnostic("Another one.", 3)
    status, findings = found(trace, tmp_path)
    assert status == "incomplete"
    assert findings == [
        ("diagnostic", {"text": "Unable to configure the GPU.", "severity": "warning", "count": 10}),
        ("may_be_missing", {"text": LOSSES[0], "count": 10}),
        ("diagnostic", {"text": "Another one.", "severity": "error"}),
    ]


def recorded(name, tmp_path, *statements):
    plain = sqlite3.connect(":memory:")
    plain.deserialize(lzma.decompress((TRACES / name).read_bytes()))
    for statement in statements:
        plain.execute(statement)
    plain.commit()
    path = tmp_path / "t.sqlite"
    path.write_bytes(plain.serialize())
    return path


def test_a_capture_range_is_told_apart_from_a_program_that_was_killed():
    """Both real, nsys 2025.3 on an H200, with the same two warnings. Of the killed one the launches of 19 ranges are lost, and
    its counts agree all the same."""
    window, killed = (attest(read_trace(TRACES / f"h200-{n}.sqlite.xz")) for n in ("capture-range", "killed"))
    assert (window.status, [f.code for f in window.findings]) == ("complete", ["capture_range", "capture_range"])
    assert (killed.status, [f.code for f in killed.findings]) == ("incomplete", ["may_be_missing", "may_be_missing"])
    assert killed.events_stated == killed.events_found


@pytest.mark.parametrize(
    "gone", ["Profiling started due to%", "Number of CUPTI events produced:%"], ids=["no range", "no buffers"]
)
def test_a_capture_range_that_was_not_handed_over_whole_explains_nothing(tmp_path, gone):
    """Killed inside the range, or stopped by --duration."""
    path = recorded("h200-capture-range.sqlite.xz", tmp_path, f"delete from DIAGNOSTIC_EVENT where text like '{gone}'")
    assert attest(read_trace(path)).status == "incomplete"


def test_another_processs_buffers_do_not_explain_it(tmp_path):
    other = "update DIAGNOSTIC_EVENT set globalPid = globalPid + 16777216 where text like 'Number of CUPTI%'"
    path = recorded("h200-capture-range.sqlite.xz", tmp_path, other)
    assert attest(read_trace(path)).status == "incomplete"


def test_a_scrubbed_trace_says_it_still(trace, tmp_path):
    trace.diagnostic("Error when processing events: 7", 1)
    raw = trace.write(tmp_path / "raw.sqlite")
    scrub_trace(raw, tmp_path / "clean.sqlite")
    assert attest(read_trace(tmp_path / "clean.sqlite")).findings == attest(read_trace(raw)).findings
    again = tmp_path / "again.sqlite"
    scrub_trace(TRACES / "h200-capture-range.sqlite.xz", again)
    assert attest(read_trace(again)).status == "complete"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (1, []),
        (2, [("nvtx_events_missing", {"stated": 2, "found": 1})]),
        (0, [("nvtx_count_differs", {"stated": 0, "found": 1})]),
    ],
)
def test_the_count_of_nvtx_events_is_that_of_the_rows(trace, tmp_path, stated, expected):
    trace.stated_nvtx = stated
    assert found(trace, tmp_path) == ("incomplete" if expected else "complete", expected)


def test_every_kind_of_nvtx_row_counts(trace, tmp_path):
    """As in every real file: domains, categories and marks too (the shipped captures state 251 of 244 ranges)."""
    p = trace.process(8)
    p.range("r", 1, 5, domain="d")
    p.category(3, "c")
    p.mark("here", 4)
    assert found(trace, tmp_path) == ("complete", [])


def test_stated_counts_of_several_processes_are_added(trace, tmp_path):
    trace.diagnostic("Number of NVTX events collected: \t1,000.", process=9 << 24)
    assert found(trace, tmp_path)[1] == [("nvtx_events_missing", {"stated": 1_001, "found": 1})]


def test_no_nvtx_table_where_events_are_stated(tmp_path):
    trace = TraceBuilder(stated_nvtx=3)
    trace.process(7).kernel("k", (10, 12), (20, 40))
    assert ("nvtx_events_missing", {"stated": 3, "found": 0}) in found(trace, tmp_path)[1]


def test_half_the_ranges_of_a_shipped_capture_deleted(tmp_path):
    (packed,) = (TRACES.parents[1] / "captures").glob("ch11.streams-20261121T015158Z-*/trace.sqlite.xz")
    half = recorded(packed, tmp_path, "delete from NVTX_EVENTS where eventType = 59 and rowid % 2")
    read = read_trace(half)
    (finding,) = attest(read).findings
    rows = sqlite3.connect(half).execute("select count(*) from NVTX_EVENTS").fetchone()[0]
    assert (finding.code, finding.values) == ("nvtx_events_missing", {"stated": 251, "found": rows})
    question = Question(("kernels_per_iteration >= 1",), {"iter": "iter"})
    assert check(read, question).verdict is Verdict.UNPROVEN
    assert check(read, Question(("kernels_per_iteration >= 1",), {})).verdict is Verdict.PROVEN  # it names no range


@pytest.mark.parametrize("name", ["not-all-collected", "nvtx-rows-missing"])
def test_recorded_texts(name):
    read = read_trace(TRACES / "faults" / f"{name}.sqlite.xz")
    assert attest(read).status == "incomplete"
    assert check(read, Question(("kernels_per_iteration >= 1",), {"i": "iter"})).verdict is Verdict.UNPROVEN
