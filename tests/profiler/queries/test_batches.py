"""One record may stand for a batch of copies (`copyCount`): counted as its copies everywhere, timed and sized as one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import TraceError
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.analysis.ledger import closes, ledger
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.queries.copies import copies
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.ranges.attribution import Attribution
from aisp_prof.profiler.ranges.instances import instances_of
from aisp_prof.profiler.ranges.numbers import numbers
from aisp_prof.profiler.ranges.work import Launches
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import GENERATIONS, TraceBuilder

SHAPE = Path(__file__).parents[2] / "traces" / "shapes" / "memcpy-batch-copycount.sqlite.xz"


def test_sixty_four_copies_of_one_call() -> None:
    trace = read_trace(SHAPE)
    claims = ("copies_per_iteration == 64", "copies_per_iteration == 1", "kernels_per_iteration == 1")
    found = check(trace, Question(claims, {"swap": "swap_in"})).claims
    assert [one.claim.verdict for one in found] == ["proven", "refuted", "proven"]
    assert attest(trace).status == "complete"  # records are what nsys counts


@pytest.fixture
def mixed(tmp_path):
    """Copies of every count, counted by hand: 1 + 3 + 64 to the device, 5 back, and a kernel."""
    trace = TraceBuilder()
    p = trace.process(7)
    p.range("step", 1, 200)
    for number, (kind, count) in enumerate([("h2d", None), ("h2d", 3), ("h2d", 64), ("d2h", 5), ("h2h", 2)]):
        at = 10 + 20 * number
        p.copy(kind, 1000, (at, at + 1), (at + 2, at + 12), count=count, api="cudaMemcpyBatchAsync_v12080")
    p.memset(64, (150, 151), (152, 153))
    p.kernel("k", (160, 161), (162, 170))
    return read_trace(trace.write(tmp_path / "t.sqlite"))


def test_a_batch_counts_as_its_copies_everywhere(mixed) -> None:
    one = instances_of(Launches(mixed), np.array([0]), "step", "step", Attribution.THREAD)
    wanted = ["copies_per_iteration", "kernels_per_iteration", "memsets_per_iteration"]
    assert numbers(one, wanted) == dict(zip(wanted, ([73], [1], [1]), strict=True))
    assert check(mixed, Question(("copies_per_iteration == 73",), {"step": "step"})).verdict == "proven"
    device = summary(mixed).devices[0]
    assert (device.copies, device.kernels, device.memsets, device.ops) == (73, 1, 1, 7)
    lines = {line.code: line.count for line in ledger(mixed)}
    assert closes(ledger(mixed))
    assert (lines["copies"], lines["copies_one_by_one"], lines["kernels"]) == (75, 75, 1)
    rows = {row.kind: row for row in copies(mixed)}
    assert (rows["h2d"].count, rows["h2d"].bytes.n, rows["h2d"].bytes.sum) == (68, 3, 3000)


@pytest.mark.parametrize("count", [0, -1, None])
def test_a_record_is_at_least_one_copy(tmp_path, count) -> None:
    trace = TraceBuilder()
    trace.process(7).copy("h2d", 8, (1, 2), (3, 4), count=count)
    assert read_trace(trace.write(tmp_path / "t.sqlite")).operations.copies.tolist() == [1]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_exports_without_the_column(tmp_path, generation) -> None:
    trace = TraceBuilder(generation=generation)
    trace.process(7).copy("h2d", 8, (1, 2), (3, 4), count=9)
    found = read_trace(trace.write(tmp_path / "t.sqlite")).operations.copies.tolist()
    assert found == ([9] if generation == "2025.3" else [1])


def test_absurdly_many(tmp_path) -> None:
    trace = TraceBuilder()
    trace.process(7).copy("h2d", 8, (1, 2), (3, 4))
    path = trace.write(tmp_path / "t.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE CUPTI_ACTIVITY_KIND_MEMCPY SET copyCount = 9223372036854775807")
    with pytest.raises(TraceError, match="absurdly many copies"):
        read_trace(path)
