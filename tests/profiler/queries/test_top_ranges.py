"""Of the ranges' names the longest are shown, whatever number of them there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.profiler.queries.summary import top_ranges
from aisp_prof.profiler.trace.model import Trace
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder


def named(tmp_path: Path, lengths: dict[str, int]) -> Trace:
    """One range of each name around one kernel that runs so long."""
    trace = TraceBuilder()
    p = trace.process(1)
    for number, (name, length) in enumerate(lengths.items()):
        at = 1000 * number
        p.range(name, at, at + 10)
        p.kernel("k", (at + 1, at + 2), (at + 3, at + 3 + length))
    return read_trace(trace.write(tmp_path / "t.sqlite"))


@pytest.mark.parametrize("top", [0, 1, 2, 3, 4, 5, 6])
def test_the_longest_come_first_and_equal_ones_by_name(tmp_path: Path, top: int) -> None:
    trace = named(tmp_path, {"b[]": 5, "d[]": 7, "a[]": 5, "e[]": 5, "c[]": 9})
    assert [row.name for row in top_ranges(trace, top)] == ["c[]", "d[]", "a[]", "b[]", "e[]"][:top]


def test_a_name_for_each_range_is_not_told_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyTorch's emit_nvtx writes: a row was made for each, since all are as long."""
    trace = named(tmp_path, {f"aten::linear, seq = {k}, sizes = []": 5 + (k == 700) for k in range(1000)})
    made = []
    row = "aisp_prof.profiler.queries.summary.RangeRow"
    monkeypatch.setattr(row, lambda *values: made.append(values) or values)
    rows = top_ranges(trace, 3)
    assert [row[1][14:21] for row in rows] == ["seq = 7", "seq = 0", "seq = 1"]
    assert len(made) == 3
