"""Which classes a lost record leaves in doubt: JAX's driver copies that never get one spoil no claim on kernels."""

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.analysis.affected import whole_classes
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.analysis.metrics import METRICS, classes_of
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.trace.model import KINDS
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.terminal.trace_tables import summary_lines
from trace_builder import TraceBuilder

DOWN = "cuMemcpyDtoHAsync_v2"


def jax(lost=DOWN, steps=8, result=0):
    """Steps of a kernel and a communication kernel beside it, each with a driver call that gets no record."""
    trace = TraceBuilder()
    p = trace.process(7)
    for step in range(steps):
        at = 1_000 * step
        p.range("step", at, at + 900)
        p.kernel("fusion", (at + 10, at + 12), (at + 20, at + 400))
        if lost:
            p.call(lost, (at + 13, at + 14), result=result)
        p.copy("h2d", 4096, (at + 15, at + 16), (at + 30, at + 60), stream=9)
        p.kernel("ncclDevKernel_AllReduce", (at + 17, at + 18), (at + 100, at + 500), stream=8)
    return trace


@pytest.fixture
def verdict(tmp_path):
    def judged(trace, claim, **ranges):
        read = read_trace(trace.write(tmp_path / "t.sqlite"))
        return check(read, Question((claim,), ranges)).verdict

    return judged


OF_OTHERS = ("kernels_per_iteration == 2", "hidden(comm) >= 0.5", "busy(compute) <= 1us", "rate(h2d) >= 1GB/s", "calls(cuMem*) == 1",
             "launch_calls_per_iteration == 2", "memsets_per_iteration == 0", "hidden(h2d, compute) >= 0.9", "sum(h2d) <= 1us",
             "order_violations(fusion, nccl*) == 1")  # fmt: skip
OF_ALL = ("busy <= 1us", "span <= 1us", "idle <= 1us", "overlap >= 1ns", "max_in_flight >= 1", "copies_per_iteration == 1",
          "hidden(d2h, compute) >= 0.1", "hidden(compute, copy) >= 0.01", "busy(d2h) <= 1us", "gap_max <= 1us", "overlap_ratio >= 0")  # fmt: skip


@pytest.mark.parametrize("claim", OF_OTHERS)
def test_what_is_said_of_other_classes_is_proven(verdict, claim):
    assert verdict(jax(), claim, s="step") is Verdict.PROVEN


@pytest.mark.parametrize("claim", OF_ALL)
def test_what_is_said_of_the_class_or_of_everything_is_not(verdict, claim):
    assert verdict(jax(lost=""), claim, s="step") is not Verdict.UNPROVEN or "d2h" in claim
    assert verdict(jax(), claim, s="step") is Verdict.UNPROVEN


@pytest.mark.parametrize("claim", ["busy(compute) <= 10us", "kernels_per_iteration == 16"])
def test_of_the_whole_trace_too(verdict, claim):
    assert verdict(jax(), claim) is Verdict.PROVEN
    assert verdict(jax(), "busy <= 1s") is Verdict.UNPROVEN


@pytest.mark.parametrize(
    ("lost", "classes"),
    [
        (DOWN, "d2h"),
        ("cuMemcpyHtoDAsync_v2_ptsz", "h2d"),
        ("cuMemcpyHtoA_v2", "h2d"),
        ("cuMemcpyAtoH_v2", "d2h"),
        ("cuMemcpyDtoD_v2", "d2d"),
        ("cudaMemcpyPeerAsync_v4000", "p2p"),
        ("cuMemcpyPeerAsync", "p2p"),
        ("cudaMemcpyAsync_v3020", "h2d, d2h, d2d, p2p, other"),
        ("cuMemcpy2DAsync_v2", "h2d, d2h, d2d, p2p, other"),
        ("cudaMemsetAsync_v3020", "memset"),
        ("cuMemsetD32Async", "memset"),
        ("cuLaunchKernel", "compute, comm"),
        ("cudaGraphLaunch_v10000", None),
    ],
)
def test_a_calls_name_tells_the_class(tmp_path, lost, classes):
    read = read_trace(jax(lost).write(tmp_path / "t.sqlite"))
    found = {f.code: f.values.get("classes") for f in attest(read).findings}
    assert set(found) == {"launch_without_operation"}
    assert found["launch_without_operation"] == classes
    left = [kind for kind in KINDS if kind not in (classes or ", ".join(KINDS)).split(", ")]
    assert list(summary(read).whole_classes) == left


def test_a_summary_says_what_is_whole(tmp_path):
    lines = summary_lines(summary(read_trace(jax().write(tmp_path / "t.sqlite"))))
    assert "incomplete: " in lines[0]
    assert "  Launches without an operation on the GPU: 8, of the classes d2h." in lines
    assert "  nothing speaks against: compute, comm, h2d, d2d, p2p, memset, graph, other, migration" in lines


def test_the_last_lost_copy_is_cut_by_the_window_and_of_its_class(tmp_path, verdict):
    trace = jax(lost="")
    trace.process(7).call(DOWN, (9_000, 9_001))
    (finding,) = attest(read_trace(trace.write(tmp_path / "t.sqlite"))).findings
    assert (finding.code, finding.values) == ("cut_by_window", {"count": 1, "classes": "d2h"})
    assert verdict(trace, "hidden(comm) >= 0.5", s="step") is Verdict.PROVEN
    assert verdict(trace, "busy(d2h) <= 1us", s="step") is Verdict.UNPROVEN


def test_several_faults_add_up(tmp_path):
    trace = jax()
    trace.process(7).memset(64, None, (50, 51))
    read = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert not {"d2h", "memset"} & set(summary(read).whole_classes)


def test_another_fault_is_of_all_classes(tmp_path, verdict):
    trace = jax()
    trace.stated = 1_000
    assert summary(read_trace(trace.write(tmp_path / "t.sqlite"))).whole_classes == ()
    assert verdict(trace, "hidden(comm) >= 0.5", s="step") is Verdict.UNPROVEN


def test_of_an_unattested_trace_nothing_is_whole(tmp_path):
    trace = TraceBuilder(attested=False)
    trace.process(7).kernel("k", (1, 2), (3, 4))
    assert summary(read_trace(trace.write(tmp_path / "t.sqlite"))).whole_classes == ()
    assert whole_classes(()) == KINDS


def test_of_an_unattested_trace_nothing_is_proven_where_a_fault_is_of_one_class(tmp_path, verdict):
    """A trace with a fault is incomplete and no longer called unattested; what attests it is missing all the same."""
    trace = jax()
    trace.attested = False
    assert verdict(trace, "hidden(comm) >= 0.5", s="step") is Verdict.UNPROVEN
    assert verdict(trace, "kernels_per_iteration <= 1", s="step") is Verdict.REFUTED
    assert summary(read_trace(trace.write(tmp_path / "t.sqlite"))).whole_classes == ()


def test_a_speedup_speaks_of_everything(verdict):
    trace = jax(steps=16)
    assert verdict(jax(lost="", steps=16), "speedup(s, s) <= 2x", s="step") is Verdict.PROVEN
    assert verdict(trace, "speedup(s, s) <= 2x", s="step") is Verdict.UNPROVEN


def test_every_metric_speaks_of_some_classes_or_of_calls():
    """No metric is forgotten: whatever has no classes among its arguments and no entry of its own speaks of all."""
    of_none = {"calls", "launch_calls_per_iteration", "syncs_per_iteration"}
    for name, metric in METRICS.items():
        arguments = ("compute", "h2d")[: max(metric.arguments)]
        texts = [name if not size else f"{name}({', '.join(arguments[:size])})" for size in metric.arguments]
        for text in texts:
            try:
                spoken = {KINDS[kind] for kind in classes_of(text)}
            except UsageError:
                pytest.fail(text)
            assert bool(spoken) == (name not in of_none)
            if not metric.globs and "(" in text:
                assert set(text.partition("(")[2].rstrip(")").split(", ")) <= spoken
