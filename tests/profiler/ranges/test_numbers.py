"""All instances of a range at once against one after the other, by the tests' oracle (`one_by_one`)."""

from __future__ import annotations

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.analysis.affected import of_calls
from aisp_prof.profiler.analysis.ledger import match_launches
from aisp_prof.profiler.analysis.metrics import METRICS
from aisp_prof.profiler.arrays import types
from aisp_prof.profiler.assertions import check as assertions
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.ranges import instances
from aisp_prof.profiler.ranges import numbers as module
from aisp_prof.profiler.ranges.attribution import Attribution
from aisp_prof.profiler.ranges.instances import instances_of, whole_trace
from aisp_prof.profiler.ranges.numbers import CALLS, OF_SETS, numbers
from aisp_prof.profiler.ranges.work import Launches
from aisp_prof.profiler.trace.model import GRAPH_LAUNCH, KINDS
from aisp_prof.profiler.trace.reader import read_trace
from hypothesis import example, given, settings
from hypothesis import strategies as st
from one_by_one import DEFINITIONS, Scope, inside, measure, scope_of
from trace_builder import TraceBuilder

CLASSES = ("h2d", "copy", "compute", "comm", "kernel:nccl*", "kernel:gemm(float [*])", "stream:7")
ARGUMENTS = {0: [()], 1: [(a,) for a in CLASSES], 2: [(a, b) for a in CLASSES for b in CLASSES]}
GLOBS = {
    "calls": [("cuda*Sync*",), ("cudaLaunchKernel",), ("nothing",)],
    "order_violations": [("gemm", "nccl*"), ("nccl*", "gemm")],
}


def texts():
    """Every metric with every number of arguments that it takes."""
    for name, metric in METRICS.items():
        for arguments in GLOBS.get(name) or [a for count in metric.arguments for a in ARGUMENTS[count]]:
            yield f"{name}({', '.join(arguments)})" if arguments else name


times = st.tuples(st.integers(1, 60), st.integers(0, 25)).map(lambda t: (t[0], t[0] + t[1]))
work = st.tuples(
    st.sampled_from([1, 2]),  # thread
    times,  # the call
    times,  # the run
    st.sampled_from([7, 8]),  # stream
    st.sampled_from([0, 1]),  # device
    st.sampled_from(
        [
            "gemm",
            "ncclDevKernel_AllReduce",
            "h2d",
            "d2h",
            "memset",
            "graph",
            "pageable",
            "sync",
            "migration",
            "lost",
            "p2p",
        ]
    ),
)
ranges = st.tuples(st.sampled_from([1, 2]), times, st.booleans(), st.sampled_from([1, 2]))


def submit(p, tid, call, run, stream, device, what):
    if what in ("h2d", "d2h", "p2p", "pageable"):
        p.copy("h2d" if what == "pageable" else what, 64, call, run, stream, device, tid, what == "pageable")
    elif what == "memset":
        p.memset(64, call, run, stream, device)
    elif what == "migration":
        p.migration(11, 64, run, device)
    elif what == "lost":
        p.kernel("gemm", call, None, tid=tid)
    elif what == "graph":
        p.graph(call, run, stream, device, tid)
    elif what == "sync":
        p.call("cudaDeviceSynchronize_v3020", call, tid)
    else:
        p.kernel(what, call, run, stream, device, tid)


def built(all_work, all_ranges, folder):
    trace = TraceBuilder()
    p = trace.process(1)
    for one in all_work:
        submit(p, *one)
    for number, (tid, bounds, start_end, end_tid) in enumerate(all_ranges):
        p.range(f"r{number}", *bounds, tid=tid, start_end=start_end, end_tid=end_tid if start_end else None)
    return read_trace(trace.write(Path(folder) / "t.sqlite"))


SIZES = (1 << 19, float(1 << 62)), (3, float(1 << 62)), (1 << 19, 80.0)
"""Everything in one chunk; in many; and in one whose windows do not fit."""


@pytest.mark.parametrize(("chunk", "room"), SIZES)
@settings(max_examples=60, deadline=None)
@given(st.lists(work, max_size=14), st.lists(ranges, min_size=1, max_size=5), st.booleans())
@example([], [(1, (1, 50), False, 1)], False)
def test_at_once_is_as_one_by_one(chunk, room, all_work, all_ranges, whole_process):
    with TemporaryDirectory() as folder:
        trace = built(all_work, all_ranges, folder)
    with pytest.MonkeyPatch.context() as patch:  # not a fixture: it would stay for the tests that follow
        patch.setattr(module, "CHUNK", chunk)
        patch.setattr(types, "ROOM", room)
        agree(trace, whole_process)
        agree_on_everything(trace)


def agree(trace, whole_process):
    chosen = np.argsort(trace.ranges.start, kind="stable")
    attribution = Attribution.PROCESS if whole_process else Attribution.THREAD
    every = instances_of(Launches(trace), chosen, "r", "r*", attribution)
    scopes = {r: scope_of(trace, r, whole_process) for r in chosen.tolist()}
    working = {r: scope for r, scope in scopes.items() if len(scope.operations)}
    assert {finding.code: finding.values for finding in every.findings} == faults_of(trace, scopes, whole_process)
    assert every.range.tolist() == list(working)
    assert every.gpus() == sorted({gpu for scope in working.values() for gpu in scope.operations.gpu.tolist()})
    for gpu in every.gpus():
        parts = {r: scope.only(scope.operations.gpu == gpu) for r, scope in working.items()}
        agree_on(every.on(gpu), {r: part for r, part in parts.items() if len(part.operations)})


def agree_on(instances, scopes):
    """Every metric of every instance, and what can be looked up of each."""
    assert instances.range.tolist() == list(scopes)
    wanted = list(texts())
    found = numbers(instances, wanted)
    for text in wanted:
        assert found[text] == [measure(text, scope) for scope in scopes.values()], text
    start, end = (times.tolist() for times in instances.times())
    assert start == [scope.operations.start.min() for scope in scopes.values()]
    assert end == [scope.operations.end.max() for scope in scopes.values()]
    for index, scope in enumerate(scopes.values()):
        assert instances.operations(index).row.tolist() == scope.operations.row.tolist()
        assert instances.calls(index).row.tolist() == scope.calls.row.tolist()
    assert [calls.row.tolist() for calls in instances.each_calls()] == [
        one.calls.row.tolist() for one in scopes.values()
    ]


def agree_on_everything(trace):
    """The whole trace as one instance, with what has no launch."""
    whole = whole_trace(Launches(trace), "trace")
    for gpu in whole.gpus():
        mine = trace.operations.take(trace.operations.gpu == gpu)
        mine = mine.take(np.lexsort((mine.row, mine.table, mine.end, mine.start)))
        launched = np.where(mine.launch >= 0, trace.calls.start[mine.launch] if len(trace.calls) else 0, mine.start)
        agree_on(whole.on(gpu), {-1: Scope(mine, trace.calls, trace.strings, launched)})


def faults_of(trace, scopes, whole_process):
    """What is wrong with ranges, counted one by one."""
    empty = sum(not len(scope.operations) for scope in scopes.values())
    graphs = sum(int((scope.operations.kind == GRAPH_LAUNCH).sum()) for scope in scopes.values())
    dropped = match_launches(trace).dropped.tolist()
    lost = {call for call in dropped if any(inside(trace, r, call, whole_process) for r in scopes)}
    found = {"no_cuda_activity": {"count": empty, "name": "r*"}} if empty else {}
    found |= {"open_range": {"name": "r*"}} if trace.ranges.is_open.any() else {}
    found |= {"graph_level_tracing": {"count": graphs}} if graphs else {}
    classes = (
        ", ".join(KINDS[kind] for kind in sorted(of_calls(trace, np.array(sorted(lost), np.int64)))) if lost else ""
    )
    return found | ({"launch_without_operation": {"count": len(lost), "classes": classes}} if lost else {})


def test_every_metric_has_one_definition_and_an_oracle():
    assert {*OF_SETS, *CALLS} == set(METRICS) == set(DEFINITIONS)
    assert not set(OF_SETS) & set(CALLS)


def many(count):
    """`count` ranges inside one another's like, each with a copy that a kernel hides in part."""
    trace, chance = TraceBuilder(), random.Random(1)
    p = trace.process(1)
    p.sees(trace.gpu("aaaa-1111"))
    for step in range(count):
        at = 1_000 * (step + 1)
        p.copy("h2d", 64, (at + 10, at + 11), (at + 100, at + 500))
        p.kernel("gemm", (at + 12, at + 13), (at + 100, at + chance.randrange(300, 600)), 8)
        p.range(f"step_{step}", at, at + 900)
    p.range("everything", 0, 1_000 * (count + 1))
    return trace


@pytest.fixture(scope="module")
def thousands(tmp_path_factory):
    return read_trace(many(20_000).write(tmp_path_factory.mktemp("many") / "t.sqlite"))


def test_thousands_of_instances_take_seconds(thousands):
    started = time.process_time()
    claims = ("hidden(copy) >= 0.4", "every gap_max <= 1us", "syncs_per_iteration == 0", "any overlap_ratio >= 0.9")
    answer = check(thousands, Question(claims, {"step": "step_*"}))
    assert answer.instances == {"step": 20_000}
    assert answer.claims[0].claim.n == 20_000
    assert time.process_time() - started < 10  # one by one it takes minutes


def test_more_than_fits_is_refused_with_the_numbers(thousands, monkeypatch):
    monkeypatch.setattr(instances, "MOST_PAIRS", 50_000)
    with pytest.raises(UsageError, match="matches 20,001 ranges that hold 80,000 operations") as refused:
        check(thousands, Question(("busy >= 0us",), {"all": "*"}))
    assert "do not nest" in refused.value.mend


def test_an_interval_of_too_many_is_refused_and_of_each_is_not(thousands, monkeypatch):
    monkeypatch.setattr(assertions, "MOST_BY_INTERVAL", 19_999)
    for claim in ("span <= 1ms", "median hidden(copy) >= 0.1", "speedup(step, step) >= 0.9"):
        with pytest.raises(UsageError, match="of 20,000 instances; an interval is computed of at most 19,999"):
            check(thousands, Question((claim,), {"step": "step_*"}))
    assert check(thousands, Question(("every span <= 1ms",), {"step": "step_*"})).verdict is Verdict.PROVEN


def test_too_many_pairs_of_values_are_refused(thousands, monkeypatch):
    claim = Question(("step.hidden(copy) <= step.busy(copy)",), {"step": "step_*"})
    with pytest.raises(UsageError):  # another unit
        check(thousands, claim)
    monkeypatch.setattr(assertions, "MOST_COMPARED", 1_000_000)
    asked = Question(("step.busy(copy) <= step.busy",), {"step": "step_*"})
    with pytest.raises(UsageError, match="pairs of values; at most 1,000,000"):
        check(thousands, asked)
