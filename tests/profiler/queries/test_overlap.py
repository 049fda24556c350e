from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.analysis import longest as module
from aisp_prof.profiler.arrays import types
from aisp_prof.profiler.queries.overlap import overlap
from aisp_prof.profiler.queries.selectors import select, why_empty
from aisp_prof.profiler.trace.reader import read_trace
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_builder import TraceBuilder


@pytest.fixture
def trace(tmp_path):
    built = TraceBuilder()
    p = built.process(1)
    p.sees(built.gpu("aaaa"))
    p.range("load", 0, 12)
    p.copy("h2d", 64, (10, 11), (20, 60), stream=8)
    p.kernel("gemm_a", (13, 14), (30, 50), stream=7)
    p.kernel("gemm_b", (15, 16), (55, 70), stream=7)
    return read_trace(built.write(tmp_path / "t.sqlite"))


def test_both_directions_and_witnesses_by_table_and_row(trace):
    (row,) = overlap(trace, "h2d", "compute")
    assert (row.a_time, row.b_time, row.overlap, row.a_exposed, row.b_exposed) == (40, 35, 25, 15, 10)
    assert (row.a_hidden, row.b_hidden, row.overlap_bound, row.overlap_efficiency) == (25 / 40, 25 / 35, 35, 25 / 35)
    longest = row.witnesses[0]
    assert (longest.a.table, longest.a.row, longest.b.row) == ("CUPTI_ACTIVITY_KIND_MEMCPY", 1, 1)
    assert (longest.b.name, longest.start, longest.end) == ("gemm_a", 30, 50)
    assert len(row.witnesses) == 2


@pytest.mark.parametrize(
    ("selector", "rows"),
    [
        ("copy", 1),
        ("compute", 2),
        ("stream:7", 2),
        ("range:lo*", 1),
        ("kernel:gemm_?", 2),
        ("kernel:gemm_b", 1),
        ("comm", 0),
        ("stream:9", 0),
    ],
)
def test_selectors(trace, selector, rows):
    assert select(trace, selector).sum() == rows


@pytest.mark.parametrize(
    ("selector", "mend"),
    [
        ("compte", "did you mean compute?"),
        ("strem:7", "did you mean stream:7?"),
        ("kernel:", "there are"),
        ("stream:x", "stream:7"),
        ("zzz", "there are"),
        ("", "there are"),
    ],
)
def test_a_mistyped_selector_names_the_nearest(trace, selector, mend):
    with pytest.raises(UsageError) as error:
        overlap(trace, selector, "compute")
    assert mend in error.value.mend or "did you mean" in error.value.mend


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("kernel:gem_a", "did you mean gemm_a?"),
        ("range:lod", "did you mean load?"),
        ("stream:9", "there are: 7, 8"),
        ("comm", "no operation of this trace"),
    ],
)
def test_a_selector_that_finds_nothing_says_so(trace, selector, said):
    assert said in why_empty(trace, selector)


def test_what_is_in_both_selections_is_counted(trace):
    (row,) = overlap(trace, "compute", "stream:7")
    assert (row.shared_ops, row.overlap, row.witnesses) == (2, 35, ())


def test_untraced_graphs_are_said(tmp_path):
    built = TraceBuilder()
    p = built.process(1)
    p.graph((10, 12), (20, 90))
    p.copy("h2d", 8, (13, 14), (30, 40), stream=8)
    (row,) = overlap(read_trace(built.write(tmp_path / "t.sqlite")), "copy", "compute")
    assert (row.untraced_graphs, row.b_hidden) == (1, None)


spans = st.tuples(st.integers(1, 40), st.integers(0, 20))
work = st.tuples(spans, st.integers(7, 9), st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.lists(work, min_size=1, max_size=12), st.integers(1, 4), st.sampled_from([60, 1 << 62]))
def test_witnesses_are_the_longest_whatever_is_looked_at_first(all_work, count, room):
    built = TraceBuilder()
    p = built.process(1)
    for number, ((start, length), stream, copy) in enumerate(all_work):
        call, run = (number, number + 1), (start, start + length)
        if copy:
            p.copy("h2d", 8, call, run, stream)
        else:
            p.kernel("k", call, run, stream)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FIRST_LOOK", 1)
        trace = read_trace(built.write(Path(folder) / "t.sqlite"))
        patch.setattr(types, "ROOM", room)  # 60: the windows of all streams do not fit
        found = [w.end - w.start for row in overlap(trace, "copy", "compute", count) for w in row.witnesses]
    copies, kernels = ([w for w in all_work if w[2] is kind] for kind in (True, False))
    shared = [
        min(a[0] + a[1], b[0] + b[1]) - max(a[0], b[0])
        for a, lane, _ in copies
        for b, other, _ in kernels
        if lane != other
    ]
    assert found == [length for length in sorted(shared, reverse=True)[:count] if length > 0]
