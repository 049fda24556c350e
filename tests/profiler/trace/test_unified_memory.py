"""Migrations of unified memory: nobody called them, they lie on no stream, and kernels wait for them."""

import csv
import lzma
import sqlite3
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.analysis.ledger import closes, ledger
from aisp_prof.profiler.analysis.overlap import concurrency
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.queries.copies import copies
from aisp_prof.profiler.queries.overlap import overlap
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.trace.model import KINDS, MIGRATION
from aisp_prof.profiler.trace.reader import read_trace
from nsys_reports import memory_size_sum, memory_time_sum
from trace_builder import TraceBuilder

TRACES = Path(__file__).parents[2] / "traces"
REAL = TRACES / "h200-unified-memory.sqlite.xz"
SHAPE = TRACES / "faults" / "um-migrations-corr-0.sqlite.xz"


@pytest.mark.parametrize(("path", "kernels", "migrations"), [(REAL, 61, 680), (SHAPE, 1, 5)])
def test_a_trace_with_migrations_is_complete_and_they_are_no_overlap(path, kernels, migrations):
    read = read_trace(path)
    found = summary(read)
    (device,) = found.devices
    assert (found.completeness.status, found.completeness.findings) == ("complete", ())
    assert (device.kernels, device.copies, device.migrations) == (kernels, 0, migrations)
    assert (device.overlap, device.max_in_flight, device.copy_hidden) == (0, 1, None)
    assert overlap(read, "migration", "compute") == () or overlap(read, "migration", "compute")[0].overlap == 0
    (row,) = copies(read)
    assert (row.kind, row.count, row.hidden) == ("migration", migrations, None)


def test_the_real_one_agrees_with_nsys_stats():
    """`nsys stats -r cuda_gpu_mem_time_sum,cuda_gpu_mem_size_sum` of nsys 2023.4 on the unscrubbed export."""
    read = read_trace(REAL)
    with (TRACES / "h200-unified-memory.csv").open() as file:
        told = {row["Operation"]: row for row in csv.DictReader(file)}
    times = {row.name: row.spread for row in memory_time_sum(read)}
    assert {name: (spread.sum, spread.n, spread.max) for name, spread in times.items()} == {
        name: tuple(int(row[key]) for key in ("Total Time (ns)", "Count", "Max (ns)")) for name, row in told.items()
    }
    assert {row.name: round(row.spread.sum / 1e6, 3) for row in memory_size_sum(read)} == {
        name: float(row["Total (MB)"]) for name, row in told.items()
    }


def built(migrations=((30, 50), (70, 90)), kinds=(11, 12, 13)):
    trace = TraceBuilder()
    p = trace.process(7)
    p.range("iter", 0, 1_000)
    p.kernel("add", (10, 12), (20, 400))
    p.copy("h2d", 64, (13, 14), (350, 450), stream=9)
    for number, run in enumerate(migrations):
        p.migration(kinds[number % len(kinds)], 4096, run)
    return trace


def judged(trace, tmp_path, *claims, ranges=None):
    answer = check(read_trace(trace.write(tmp_path / "t.sqlite")), Question(claims, ranges or {}))
    return answer.verdict


def test_claims_of_the_whole_trace_look_past_them(tmp_path):
    claims = ("overlap == 50ns", "max_in_flight == 2", "same_stream_overlap == 0ns", "copies_per_iteration == 1")
    claims += (
        "sum(migration) == 40ns",
        "busy == 430ns",
        "concurrency >= 1.116",
        "concurrency <= 1.117",
        "sum == 520ns",
    )
    assert judged(built(), tmp_path, *claims) is Verdict.PROVEN
    assert judged(built(), tmp_path, "kernels_per_iteration == 1", ranges={"i": "iter"}) is Verdict.PROVEN


def test_every_instance_at_once_and_one_by_one_agree(tmp_path):
    read = read_trace(built().write(tmp_path / "t.sqlite"))
    numbers = concurrency(read.operations)
    assert (numbers.overlap, numbers.max_in_flight, numbers.sum, numbers.busy) == (50, 2, 520, 430)


@pytest.mark.parametrize("metric", ["hidden(migration)", "overlap(compute, migration)", "exposed(migration, h2d)"])
def test_overlap_with_them_cannot_be_claimed(tmp_path, metric):
    with pytest.raises(UsageError, match="a kernel waits for a page that migrates"):
        judged(built(), tmp_path, f"{metric} >= 1ns" if "hidden" not in metric else f"{metric} >= 0.5")


@pytest.mark.parametrize("kind", [11, 12, 13])
def test_every_direction_is_one(tmp_path, kind):
    read = read_trace(built([(30, 50)], [kind]).write(tmp_path / "t.sqlite"))
    assert KINDS[int(read.operations.kind[-1])] == "migration"
    assert read.operations.launch[read.operations.kind == MIGRATION].tolist() == [-1]


def test_a_call_with_the_correlation_id_0_did_not_launch_them(tmp_path):
    trace = built()
    trace.process(7).call("cudaMemcpyAsync_v3020", (15, 16), correlation=0)
    read = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert (read.operations.launch[read.operations.kind == MIGRATION] == -1).all()


def test_the_ledger_closes_and_counts_them(tmp_path):
    lines = ledger(read_trace(built().write(tmp_path / "t.sqlite")))
    assert closes(lines)
    assert {line.code: line.count for line in lines}["migrations"] == 2


def test_a_copy_without_a_call_is_still_a_fault(tmp_path):
    trace = built()
    trace.process(7).copy("h2d", 64, None, (500, 510))
    state = attest(read_trace(trace.write(tmp_path / "t.sqlite")))
    assert [(f.code, f.values) for f in state.findings] == [
        ("operation_without_launch", {"count": 1, "classes": "h2d"})
    ]


def test_a_stream_of_their_number_holds_none_of_them(tmp_path):
    """They are written with stream 0, which a selector may name."""
    trace = built()
    trace.process(7).kernel("legacy", (20, 21), (30, 95), stream=0)
    read = read_trace(trace.write(tmp_path / "t.sqlite"))
    (row,) = overlap(read, "stream:0", "compute")
    assert (row.a_ops, row.a_time) == (1, 65)


def test_the_rows_are_those_of_the_file():
    read = read_trace(REAL)
    plain = sqlite3.connect(":memory:")
    plain.deserialize(lzma.decompress(REAL.read_bytes()))
    query = "select count(*), sum(bytes), sum(end - start) from CUPTI_ACTIVITY_KIND_MEMCPY where correlationId = 0"
    mine = read.operations.of_kind(MIGRATION)
    assert (len(mine), int(mine.bytes.sum()), int((mine.end - mine.start).sum())) == plain.execute(query).fetchone()
