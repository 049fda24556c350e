"""A number that breaks its upper limit is refuted on a trace with missing rows; taking rows away never makes it larger."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from aisp_prof.profiler.analysis.metrics import GROWING, METRICS, is_lower_bound
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Finding, Verdict
from aisp_prof.profiler.judging.judge import RECORDS_MISSING
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.catalog import LANGUAGES, catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_builder import TraceBuilder

STEPS = 3


def built(generation: str = "2025.3") -> TraceBuilder:
    """Three steps of five kernels on two streams, a copy and a memset: 300 ns of kernels each."""
    trace = TraceBuilder(generation=generation)
    p = trace.process(7)
    for step in range(STEPS):
        at = 1000 * (step + 1)
        p.range("step", at, at + 500)
        for number in range(5):
            begin = at + 20 * number
            p.kernel("k", (begin + 1, begin + 2), (begin + 10, begin + 70), stream=7 + number % 2)
        p.copy("h2d", 64, (at + 110, at + 111), (at + 120, at + 200), stream=9)
        p.memset(8, (at + 130, at + 131), (at + 210, at + 220))
    return trace


def asked(trace: TraceBuilder, folder: Path, *claims: str, ranges=True):
    read = read_trace(trace.write(folder / "t.sqlite"))
    return [one.claim for one in check(read, Question(claims, {"step": "step"} if ranges else {})).claims]


BROKEN = (
    *(
        "kernels_per_iteration <= 4",
        "kernels_per_iteration < 5",
        "kernels_per_iteration == 3",
        "copies_per_iteration < 1",
    ),
    *("every sum <= 200ns", "every busy(compute) <= 100ns", "every span <= 100ns", "every overlap <= 10ns"),
    *(
        "max_in_flight <= 2",
        "memsets_per_iteration == 0",
        "every sum(copy) < 80ns",
        "every overlap_bound(compute, copy) <= 1ns",
    ),
)
OPEN = (
    *(
        "kernels_per_iteration <= 5",
        "kernels_per_iteration == 5",
        "kernels_per_iteration == 6",
        "kernels_per_iteration < 6",
    ),
    *("kernels_per_iteration >= 6", "kernels_per_iteration > 5", "any kernels_per_iteration <= 4"),
    *("median kernels_per_iteration <= 4", "sum <= 200ns", "hidden(h2d, compute) <= 0.01", "every idle <= 1ns"),
    *("every exposed(h2d, compute) <= 1ns", "overlap_ratio <= 0.01", "every gap_max <= 1ns", "concurrency <= 0.5"),
    *("launch_calls_per_iteration <= 1", "calls(*) <= 1", "kernels_per_iteration <= step.copies_per_iteration"),
    "overlap_efficiency(compute, copy) <= 0.01",
)


@pytest.mark.parametrize("claim", BROKEN)
def test_what_is_broken_already_is_refuted_without_a_stated_count(tmp_path: Path, claim: str) -> None:
    (found,) = asked(built("2023.4"), tmp_path, claim)
    assert (found.verdict, found.measured) == (Verdict.REFUTED, max(found.values))
    assert [reason.code for reason in found.reasons] == ["worst_iteration", "lower_bound", "unattested"]


@pytest.mark.parametrize("claim", OPEN)
def test_what_more_records_could_mend_stays_unproven(tmp_path: Path, claim: str) -> None:
    (found,) = asked(built("2023.4"), tmp_path, claim)
    assert (found.verdict, found.measured) == (Verdict.UNPROVEN, None)


def test_768_kernels_of_a_whole_trace(tmp_path: Path) -> None:
    trace = TraceBuilder(generation="2023.4")
    p = trace.process(1)
    for number in range(768):
        p.kernel("k", (10 * number, 10 * number + 1), (10 * number + 2, 10 * number + 5))
    found = asked(trace, tmp_path, "kernels_per_iteration <= 100", "sum <= 1us", ranges=False)
    assert [(one.verdict, one.measured) for one in found] == [(Verdict.REFUTED, 768), (Verdict.REFUTED, 2304)]


def spoiled(code: str, tmp_path: Path) -> TraceBuilder:
    trace = built()
    p = trace.process(7)
    rows = trace.rows["CUPTI_ACTIVITY_KIND_KERNEL"]
    if code == "events_missing":
        trace.stated = 1000
    elif code == "event_count_differs":
        trace.stated = 5
    elif code == "launch_without_operation":
        p.kernel("lost", (1100, 1101), None)
    elif code == "operation_without_launch":
        p.kernel("orphan", None, (1100, 1105), correlation=99_999)
    elif code == "cut_by_window":
        p.kernel("late", (9000, 9001), None)
    elif code == "zero_timestamps":
        rows[0].update(start=0, end=0)
    elif code == "reversed_times":
        rows[0].update(start=rows[0]["end"], end=rows[0]["start"])
    elif code == "crossing_ranges":
        p.range("a", 1010, 1030)
        p.range("b", 1020, 1040)
    elif code == "open_range":
        p.range("step", 4000, None)
        p.kernel("k", (4001, 4002), (4003, 4004))
    elif code == "unknown_schema":
        trace.version = "9.1.0"
    elif code == "diagnostic":
        trace.diagnostic("Something went wrong that nobody knows", 3)
    elif code == "may_be_missing":
        trace.diagnostic("Not all CUDA events might have been collected.", 2)
    elif code == "nvtx_events_missing":
        trace.diagnostic("Number of NVTX events collected: 1,000.", 1)
    elif code == "filtered_export":
        trace.add("META_DATA_EXPORT", name="EXPORT_PARAM_TABLES_TO_EXPORT", value="CUPTI_ACTIVITY_KIND_KERNEL")
    elif code == "graph_level_tracing":
        p.graph((1140, 1141), (1230, 1400))
    elif code == "no_cuda_activity":
        p.range("step", 9000, 9100)
    return trace


MISSING = [
    *("events_missing", "launch_without_operation", "operation_without_launch", "cut_by_window", "zero_timestamps"),
    *("reversed_times", "filtered_export", "graph_level_tracing", "no_cuda_activity"),
    *("may_be_missing", "nvtx_events_missing"),
]
WRONG = ["event_count_differs", "crossing_ranges", "open_range", "unknown_schema", "diagnostic"]


@pytest.mark.parametrize("code", MISSING)
def test_kinds_of_incompleteness_that_the_argument_survives(tmp_path: Path, code: str) -> None:
    broken, holds = asked(spoiled(code, tmp_path), tmp_path, "kernels_per_iteration <= 4", "kernels_per_iteration <= 5")
    assert code in {reason.code for reason in broken.reasons} & RECORDS_MISSING
    assert (broken.verdict, holds.verdict) == (Verdict.REFUTED, Verdict.UNPROVEN)


@pytest.mark.parametrize("code", WRONG)
def test_kinds_that_it_does_not(tmp_path: Path, code: str) -> None:
    (found,) = asked(spoiled(code, tmp_path), tmp_path, "kernels_per_iteration <= 4")
    assert code in {reason.code for reason in found.reasons} - RECORDS_MISSING
    assert found.verdict is Verdict.UNPROVEN


def test_a_whole_graphs_row_holds_more_than_its_kernels(tmp_path: Path) -> None:
    claims = ("every busy <= 1ns", "every sum <= 1ns", "every span <= 1ns", "every busy(compute) <= 1ns")
    found = asked(spoiled("graph_level_tracing", tmp_path), tmp_path, *claims)
    assert [one.verdict for one in found] == [*[Verdict.UNPROVEN] * 3, Verdict.REFUTED]
    assert not is_lower_bound("sum(graph)", True)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_row_taken_away_makes_a_lower_bound_larger(tmp_path_factory, data) -> None:
    """Every growing metric, against the same trace with any of its operations removed."""
    folder = tmp_path_factory.mktemp("rows")
    path = built().write(folder / "t.sqlite")
    texts = [
        text
        for name in sorted(GROWING)
        for text in ([name] if 0 in METRICS[name].arguments else []) + ([f"{name}(compute, copy)"] if 2 in METRICS[name].arguments else [])
    ]  # fmt: skip
    claims = tuple(f"every {text} >= 0{'ns' if METRICS[text.partition('(')[0]].unit == 'ns' else ''}" for text in texts)
    whole = check(read_trace(path), Question(claims, {"step": "step"})).claims
    with sqlite3.connect(path) as connection:
        for table in ("KERNEL", "MEMCPY", "MEMSET"):
            rows = connection.execute(f"SELECT rowid FROM CUPTI_ACTIVITY_KIND_{table}").fetchall()
            gone = data.draw(st.lists(st.sampled_from([row for (row,) in rows]), max_size=6, unique=True))
            connection.executemany(f"DELETE FROM CUPTI_ACTIVITY_KIND_{table} WHERE rowid = ?", [(row,) for row in gone])
    fewer = check(read_trace(path), Question(claims, {"step": "step"})).claims
    for text, before, after in zip(texts, whole, fewer, strict=True):
        if len(after.claim.values) == STEPS:
            assert all(a <= b for a, b in zip(after.claim.values, before.claim.values, strict=True)), text


def test_both_languages_say_why() -> None:
    for language in LANGUAGES:
        told = catalog(language).finding(Finding("lower_bound", {}))
        assert told.seen
        assert told.mend
