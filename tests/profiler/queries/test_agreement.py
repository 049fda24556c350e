"""Our numbers against those that real `nsys stats` reports printed, line by line.

All of `recorded` was written by nsys 2023.4.4, `built` for `busy_trace`, the other for the capture of that name:
    nsys stats -q --format csv -r cuda_gpu_kern_sum trace.sqlite > cuda_gpu_kern_sum.csv      (and so on)
"""

from __future__ import annotations

from pathlib import Path

import nsys_reports
import pytest
from aisp_prof.profiler.queries.copies import copies
from aisp_prof.profiler.queries.kernels import kernels
from aisp_prof.profiler.queries.launches import launches
from aisp_prof.profiler.queries.ranges import ranges
from aisp_prof.profiler.trace.model import Trace
from aisp_prof.profiler.trace.reader import read_trace
from busy_trace import busy_trace
from recorded_reports import compared, recorded
from trace_builder import TraceBuilder

TESTS = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "recorded"
STREAMS = "ch11.streams-20261120T222929Z-2cd45c"
NEWER = {"ch11-streams": TESTS.parent / "captures" / STREAMS / "trace.sqlite.xz"} | {
    name: TESTS / "traces" / f"{name}.sqlite.xz" for name in ("two-gpus-node", "two-gpus-graph")
}
"""Traces whose reports, in tests/traces/<name>.stats, nsys 2025.3.1 wrote on the H200s where they were made."""
FOLDERS = [*(RECORDED / name for name in ("built", STREAMS)), *(TESTS / "traces" / f"{name}.stats" for name in NEWER)]
REPORTS = sorted(file for folder in FOLDERS for file in folder.glob("*.csv"))
WITHOUT_GRAPHS = sorted((TESTS / "traces" / "two-gpus-graph.stats").glob("nvtx_gpu_proj_*.csv"))
"""Reports in which nsys leaves out graphs that were traced as a whole; compared by a test of their own."""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    folder = tmp_path_factory.mktemp("agreement")
    found = {f"{name}.stats": read_trace(file) for name, file in NEWER.items()}
    built = read_trace(busy_trace().write(folder / "built.sqlite"))
    return found | {"built": built, STREAMS: found["ch11-streams.stats"]}


@pytest.mark.parametrize(
    "report", sorted({*REPORTS} - {*WITHOUT_GRAPHS}), ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_every_line_of_nsys_stats_is_ours(traces, report):
    ours, theirs = compared(traces[report.parent.name], report.stem, report)
    assert ours == theirs
    assert theirs


def test_every_report_is_recorded():
    every = {
        *("nvtx_gpu_proj_trace", "nvtx_gpu_proj_sum", "cuda_gpu_kern_sum"),
        *("cuda_gpu_mem_time_sum", "cuda_gpu_mem_size_sum", "cuda_api_sum"),
    }
    assert {(report.parent, report.stem) for report in REPORTS} == {(f, name) for f in FOLDERS for name in every}


def test_the_commands_show_the_same_numbers_where_there_is_one_device(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    for i in range(9):
        p.kernel("ab"[i % 2], (i * 100, i * 100 + i), (1000 + i * 50, 1011 + i * 51))
        p.copy("h2d", 100 + i, (i * 100 + 50, i * 100 + 51), (2000 + i * 50, 2007 + i * 51))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert [row.time for row in kernels(found, full=True)] == [row.spread for row in nsys_reports.kernel_sum(found)]
    assert [row.time for row in copies(found)] == [row.spread for row in nsys_reports.memory_time_sum(found)]
    assert [row.bytes for row in copies(found)] == [row.spread for row in nsys_reports.memory_size_sum(found)]
    assert [row.time for row in launches(found, True)] == [row.spread for row in nsys_reports.api_sum(found)]


def test_ranges_project_as_nsys_does(traces):
    rows = [row for row in ranges(traces["built"]).rows() if row["gpu_uuid"]]
    ours = {(f"{row['domain']}:{row['name']}".lstrip(":"), row["proj_start"], row["proj_end"]) for row in rows}
    lines = recorded(RECORDED / "built" / "nvtx_gpu_proj_trace.csv")
    assert ours == {(line[0], int(line[1]), int(line[1]) + int(line[2])) for line in lines if line[0]}


def test_on_purpose_a_graph_is_one_operation_to_nsys_and_its_nodes_to_us(traces):
    row = next(iter(ranges(traces["built"], name="step").rows()))
    line = next(line for line in recorded(RECORDED / "built" / "nvtx_gpu_proj_trace.csv") if line[0] == "train:step")
    assert int(line[8]) == row["launches"] == 13
    assert row["ops"] == 12 + 4


@pytest.mark.parametrize("report", WITHOUT_GRAPHS, ids=lambda file: file.stem)
def test_on_purpose_a_graph_traced_as_a_whole_is_work(traces, report):
    """nsys 2025.3 projects ranges onto everything but such graphs; to us the GPU was busy with them."""
    ours, theirs = compared(traces["two-gpus-graph.stats"], report.stem, report)
    assert {line[0] for line in ours if line not in theirs} == {"train:replay", "train:window"}
    assert {line[0] for line in theirs if line not in ours} == {"train:window"}
    assert not [line for line in theirs if line[0] == "train:replay"]


def test_on_purpose_rates_are_not_rounded_by_integer_division(traces):
    """nsys: bytes * (1000000000 / duration), in integers."""
    row = next(row for row in copies(traces["built"]) if row.kind == "other")
    assert (row.bytes.sum, row.busy) == (78, 9)
    assert row.rate == 78 * 1e9 / 9 != 78 * (1_000_000_000 // 9)


def test_on_purpose_a_range_closed_by_another_thread_counts_its_process(tmp_path):
    """nsys leaves such ranges out."""
    trace = TraceBuilder()
    p = trace.process(1)
    p.range("handed over", 0, 100, start_end=True, tid=1, end_tid=2)
    p.kernel("k", (10, 20), (30, 40), tid=3)
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert [row["ops"] for row in ranges(found).rows()] == [1]
    assert nsys_reports.projections(found) == ()
