"""The longest overlaps are those that comparing every operation with all others finds, ties included, by far fewer comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from aisp_prof.profiler.analysis import longest
from aisp_prof.profiler.trace.model import Operations
from hypothesis import given, settings
from hypothesis import strategies as st

spans = st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 3))


def operations(rows: list[tuple[int, int, int]]) -> Operations:
    start, length, stream = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    same = np.zeros(len(rows), np.int64)
    columns = dict.fromkeys(Operations.__slots__, same)
    return Operations(**{**columns, "start": start, "end": start + length, "stream": stream})


def tried_all(a: Operations, b: Operations, count: int) -> list[tuple[int, int]]:
    """Every operation of `a`, the longest first, against all of `b`."""
    search = longest._Search(a, b, count)
    found = search.pairs(np.argsort(a.start - a.end, kind="stable"))
    return [(-i, -j) for _, i, j in sorted(found, reverse=True)]


@settings(max_examples=300, deadline=None)
@given(st.lists(spans, min_size=1, max_size=25), st.lists(spans, min_size=1, max_size=25), st.integers(1, 5))
def test_the_pairs_are_those_of_trying_all(a, b, count):
    one, two = operations(a), operations(b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(longest, "_FIRST_LOOK", 1)
        assert longest.witnesses(one, two, count) == tried_all(one, two, count)
        assert longest.witnesses(one, one, count) == tried_all(one, one, count)


def test_equal_overlaps_without_end_are_not_tried_one_by_one(monkeypatch):
    """2000 streams whose operations all share the same time: each of them was compared with all the others."""
    tried = []
    pairs = longest._Search.pairs
    monkeypatch.setattr(longest._Search, "pairs", lambda self, order: tried.append(len(order)) or pairs(self, order))
    many = operations([(5 * i, 3000, i % 2000) for i in range(20_000)])
    found = longest.witnesses(many, many, 6)
    assert found == [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]
    assert sum(tried) < 200
