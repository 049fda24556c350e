"""A real trace of two processes on two H200s, with NCCL and a CUDA graph, against SQL and sets of points in time."""

from __future__ import annotations

import lzma
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof.profiler.queries.summary import Summary, summary
from aisp_prof.profiler.trace.reader import read_trace

TRACE = Path(__file__).parents[2] / "traces" / "two-gpus-node.sqlite.xz"
KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL k JOIN StringIds s ON s.id = k.shortName"


@pytest.fixture(scope="module")
def found() -> Summary:
    return summary(read_trace(TRACE))


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    (tmp_path / "t.sqlite").write_bytes(lzma.decompress(TRACE.read_bytes()))
    with closing(sqlite3.connect(tmp_path / "t.sqlite")) as connection:
        yield connection


def test_it_is_complete_and_closes(found: Summary) -> None:
    assert (found.completeness.status, found.completeness.findings) == ("complete", ())
    assert found.ledger_closes
    count = {line.code: line.count for line in found.ledger}
    assert (count["graph_launch_calls"], count["kernels_in_graphs"], count["captured_calls"]) == (4, 12, 6)


def test_each_process_has_a_gpu_of_its_own(found: Summary) -> None:
    working = [process for process in found.processes if process.ops]
    assert len({uuid for process in working for uuid in process.gpu_uuids}) == len(working) == 2


@pytest.mark.parametrize("device", [0, 1])
def test_communication_is_hidden_as_points_in_time_say(found: Summary, trace: sqlite3.Connection, device: int) -> None:
    rows = trace.execute(f"SELECT k.start, k.end, s.value LIKE 'nccl%' FROM {KERNELS} WHERE k.deviceId = ?", (device,))
    points: tuple[set[int], set[int]] = (set(), set())
    for start, end, is_communication in rows:
        points[is_communication].update(range(start, end))
    compute, communication = points
    (row,) = (row for row in found.devices if row.gpu_uuid == uuid_of(trace, device))
    assert (row.comm_time, row.compute_time) == (len(communication), len(compute))
    assert row.comm_hidden == len(communication & compute) / len(communication)
    assert row.comm_exposed == len(communication - compute)


def uuid_of(trace: sqlite3.Connection, device: int) -> str:
    query = "SELECT DISTINCT g.uuid FROM TARGET_INFO_CUDA_DEVICE d JOIN TARGET_INFO_GPU g ON g.id = d.gpuId WHERE d.cudaId = ?"
    ((uuid,),) = trace.execute(query, (device,)).fetchall()
    return str(uuid)
