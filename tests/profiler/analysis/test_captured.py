"""A launch without work is excused where a stream captured it, and nowhere else: by thread, success, and the graph's nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.analysis.ledger import match_launches
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.trace import api
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import Process, TraceBuilder

SHAPES = Path(__file__).parents[2] / "traces" / "shapes"
LAUNCH, BEGIN, END = "cudaLaunchKernel_v7000", "cudaStreamBeginCapture_v10000", "cudaStreamEndCapture_v10000"


def test_a_launch_after_a_capture_that_failed_is_lost() -> None:
    trace = read_trace(SHAPES / "lost-launch-after-failed-capture.sqlite.xz")
    found = attest(trace)
    assert found.status == "incomplete"
    assert {f.code: dict(f.values) for f in found.findings} == {
        "launch_without_operation": {"count": 1, "classes": "compute, comm"}
    }
    (one,) = check(trace, Question(("kernels_per_iteration <= 2",), {"iter": "iter"})).claims
    assert one.claim.verdict == "unproven"


def test_a_capture_into_a_graph_by_the_driver() -> None:
    trace = read_trace(SHAPES / "custreambegincapturetograph.sqlite.xz")
    matching = match_launches(trace)
    assert (len(matching.captured), len(matching.dropped)) == (2, 0)
    assert attest(trace).status == "complete"
    (one,) = check(trace, Question(("kernels_per_iteration == 2",), {"iter": "iter"})).claims
    assert one.claim.verdict == "proven"


@pytest.mark.parametrize("suffix", ["", "_v10000", "_v12030", "_v2", "_ptsz", "_ptsz_v10000", "_v2_ptsz", "_ptds"])
@pytest.mark.parametrize(
    "name",
    [
        *("cudaStreamBeginCapture", "cudaStreamBeginCaptureToGraph", "cudaStreamBeginRecaptureToGraph"),
        *(
            "cuStreamBeginCapture",
            "cuStreamBeginCaptureToGraph",
            "cuStreamBeginRecaptureToGraph",
            "cuStreamBeginCaptureToCig",
        ),
    ],
)
def test_every_spelling_of_a_beginning(name: str, suffix: str) -> None:
    assert api.effect(name + suffix) == api.BEGIN


@pytest.mark.parametrize("suffix", ["", "_v10000", "_ptsz", "_ptsz_v10000"])
@pytest.mark.parametrize("name", ["cudaStreamEndCapture", "cuStreamEndCapture", "cuStreamEndCaptureToCig"])
def test_every_spelling_of_an_end(name: str, suffix: str) -> None:
    assert api.effect(name + suffix) == api.END


@pytest.mark.parametrize(
    "name",
    [
        *(
            "cudaStreamIsCapturing_v10000",
            "cudaStreamGetCaptureInfo_v12030",
            "cudaStreamUpdateCaptureDependencies_v11030",
        ),
        *("cudaThreadExchangeStreamCaptureMode_v10010", "cuStreamGetCaptureInfo_v3", "cudaStreamCreate_v3020"),
    ],
)
def test_what_asks_about_a_capture_begins_none(name: str) -> None:
    assert api.effect(name) == api.OTHER


@pytest.fixture
def built(tmp_path):
    """(p, judged): a process that works before and after, and what becomes of its launches."""
    trace = TraceBuilder()
    p = trace.process(7)
    p.kernel("first", (1, 2), (3, 4))

    def judged() -> tuple[int, int]:
        p.kernel("last", (900, 901), (902, 903))
        found = match_launches(read_trace(trace.write(tmp_path / "t.sqlite")))
        return len(found.captured), len(found.dropped)

    return p, judged


def test_another_threads_capture_excuses_nothing(built) -> None:
    p, judged = built
    p.call(BEGIN, (10, 11), tid=1)
    p.call(LAUNCH, (20, 21), tid=1)
    p.call(LAUNCH, (22, 23), tid=2)
    p.call(END, (30, 31), tid=1)
    p.call(LAUNCH, (40, 41), tid=1)
    assert judged() == (1, 2)


def test_an_end_without_a_beginning_ends_nothing(built) -> None:
    """The window opened inside a capture: what follows is a capture of its own."""
    p, judged = built
    p.call(END, (10, 11))
    p.call(BEGIN, (12, 13))
    p.call(LAUNCH, (20, 21))
    p.call(END, (30, 31))
    p.call(LAUNCH, (40, 41))
    assert judged() == (1, 1)


def test_two_captures_of_one_thread_at_once(built) -> None:
    p, judged = built
    for name, at in ((BEGIN, 10), (BEGIN, 12), (LAUNCH, 14), (END, 16), (LAUNCH, 18), (END, 20), (LAUNCH, 22)):
        p.call(name, (at, at + 1))
    assert judged() == (2, 1)


def test_a_capture_that_failed_and_one_that_did_not(built) -> None:
    p, judged = built
    p.call(BEGIN, (10, 11), result=901)
    p.call(LAUNCH, (12, 13))
    p.call(BEGIN, (14, 15))
    p.call(LAUNCH, (16, 17))
    p.call(END, (18, 19), result=901)  # an invalid capture ends as well
    p.call(LAUNCH, (20, 21))
    assert judged() == (1, 2)


def test_a_node_of_the_graph_says_which_launch_was_captured(built) -> None:
    """Thread 2 launches into thread 1's capture; on thread 1 one launch goes to a stream that is not captured."""
    p, judged = built
    p.call(BEGIN, (10, 11), tid=1)
    p.call(LAUNCH, (20, 23), tid=1)
    p.node(21, tid=1)
    p.call(LAUNCH, (20, 25), tid=2)
    p.node(24, tid=2)
    p.call(LAUNCH, (26, 28), tid=1)  # made no node
    p.call("cudaMemsetAsync_v3020", (29, 30), tid=1)  # of no bytes: makes none
    p.call(END, (31, 32), tid=1)
    assert judged() == (3, 1)


def test_the_driver_call_under_a_launch_makes_the_node(built) -> None:
    p, judged = built
    p.call(BEGIN, (10, 11))
    correlation = p.call(LAUNCH, (20, 29))
    p.call("cuLaunchKernel", (22, 27), correlation=correlation)
    p.node(25)
    p.call(END, (31, 32))
    assert judged() == (1, 0)


@pytest.mark.parametrize("at", [19, 30])
def test_a_node_beside_a_launch_excuses_nothing(built, at: int) -> None:
    p, judged = built
    p.call(LAUNCH, (20, 29))
    p.node(at)
    p.node(25, tid=2)
    assert judged() == (0, 1)


def test_a_node_of_a_thread_that_called_nothing_excuses_no_other_thread(built) -> None:
    p, judged = built
    p.call(LAUNCH, (20, 29), tid=3)
    p.node(25, tid=4)
    assert judged() == (0, 1)


def test_every_captured_launch_of_the_shipped_captures_made_a_node() -> None:
    """What the rule rests on: no launch that ran made one."""
    folder = Path(__file__).parents[3] / "captures"
    seen = 0
    for name in ("ch10.cooperative_persistent", "ch20.pipeline_sequential", "ch09.compute_bound"):
        path = max(folder.glob(f"{name}-*/trace.sqlite.xz"))
        trace = read_trace(path)
        matching = match_launches(trace)
        kernel = trace.calls.effect == api.KERNEL
        assert trace.calls.made_node[matching.captured].all()
        assert not trace.calls.made_node[matching.executed[kernel[matching.executed]]].any()
        seen += len(matching.captured)
    assert seen > 600


def captured(p: Process) -> None:
    p.call(BEGIN, (10, 11))
    p.call(LAUNCH, (20, 21))
    p.call(END, (30, 31))


@pytest.mark.parametrize("generation", ["2022", "2023.4", "2024", "2025.3"])
def test_every_generation(tmp_path, generation: str) -> None:
    trace = TraceBuilder(generation=generation)
    p = trace.process(7)
    p.kernel("first", (1, 2), (3, 4))
    captured(p)
    p.kernel("last", (900, 901), (902, 903))
    found = match_launches(read_trace(trace.write(tmp_path / "t.sqlite")))
    assert (len(found.captured), len(found.dropped)) == (1, 0)
