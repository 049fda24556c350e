"""Metrics by name against computations that look at every nanosecond, every call and every pair of kernels."""

from __future__ import annotations

from dataclasses import fields
from statistics import median
from typing import Any

import numpy as np
import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.analysis.metrics import METRICS, split
from aisp_prof.profiler.trace.model import COMPUTE, H2D, Calls, Operations
from hypothesis import given
from hypothesis import strategies as st
from one_by_one import Scope, measure

STRINGS = ("append_kv", "attend_kv", "cuMemAlloc_v2", "cuMemAllocAsync_ptsz", "cudaMalloc_v3020", "cudaFree_v3020", "")
APPEND, ATTEND = 0, 1
APIS = range(2, len(STRINGS))


def rows_of(record: type, count: int, **columns: Any) -> Any:
    """Rows of a record of columns; those that are not given are zeros."""
    zeros = {field.name: np.zeros(count, np.int64) for field in fields(record)}
    return record(**{**zeros, **{name: np.array(values) for name, values in columns.items()}})


def scope(
    times: list[tuple[int, int]] = [],  # noqa: B006 - never changed
    names: list[int] = [],  # noqa: B006
    launched: list[int] | None = None,
    **columns: Any,
) -> Scope:
    """Kernels by their times, the indices of their names and when they were launched, each by a call of its own."""
    n = len(times)
    launched = list(range(n)) if launched is None else launched
    values = {
        "start": np.array([start for start, _ in times], np.int64),
        "end": np.array([end for _, end in times], np.int64),
        "kind": np.full(n, COMPUTE),
        "name": np.array(names or [0] * n, np.int64),
        "launch": np.arange(n),
        **columns,
    }
    return Scope(rows_of(Operations, n, **values), rows_of(Calls, 0), STRINGS, np.array(launched, np.int64))


def called(names: list[int], outermost: list[bool]) -> Scope:
    calls = rows_of(Calls, len(names), name=np.array(names, np.int64), outermost=np.array(outermost, bool))
    return Scope(rows_of(Operations, 0), calls, STRINGS, np.empty(0, np.int64))


intervals = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda at: (at[0], at[0] + at[1])), max_size=9
)


@given(intervals)
def test_gaps_are_the_runs_of_idle_nanoseconds(times: list[tuple[int, int]]) -> None:
    covered = {t for start, end in times for t in range(start, end)}
    gaps, length = [], 0
    for t in range(min(covered, default=0), max(covered, default=-1) + 1):
        if t in covered:
            gaps += [length] if length else []
            length = 0
        else:
            length += 1
    assert measure("gap_max", scope(times)) == max(gaps, default=0)
    assert measure("gap_median", scope(times)) == (median(gaps) if gaps else 0)


def test_work_of_every_class_fills_a_gap() -> None:
    found = scope([(0, 10), (12, 20), (25, 30)], kind=[COMPUTE, H2D, COMPUTE])
    assert (measure("gap_max", found), measure("gap_median", found)) == (5, 3.5)


@given(st.lists(st.tuples(st.sampled_from([-1, *APIS]), st.booleans()), max_size=12))
def test_calls_are_counted_by_their_plain_names(made: list[tuple[int, bool]]) -> None:
    found = called([name for name, _ in made], [outer for _, outer in made])
    plain = {2: "cuMemAlloc", 3: "cuMemAllocAsync", 4: "cudaMalloc", 5: "cudaFree"}
    outermost = [plain.get(name, "") for name, outer in made if outer]
    assert measure("calls(cuMemAlloc)", found) == outermost.count("cuMemAlloc")
    assert measure("calls(cuMemAlloc*)", found) == sum(name.startswith("cuMemAlloc") for name in outermost)
    assert measure("calls(cuda[MF]*)", found) == sum(name.startswith("cuda") for name in outermost)
    assert measure("calls(*)", found) == len(outermost)
    assert measure("calls(cumemalloc)", found) == 0


@given(st.data())
def test_order_violations_are_the_broken_pairs(data: st.DataObject) -> None:
    """Kernels in any order of rows; the k-th of a name is the k-th that was launched."""
    pairs = data.draw(st.integers(1, 5))
    names = data.draw(st.permutations([APPEND, ATTEND] * pairs))
    launched = data.draw(st.permutations(range(2 * pairs)))
    starts = data.draw(st.lists(st.integers(0, 20), min_size=2 * pairs, max_size=2 * pairs))
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=2 * pairs, max_size=2 * pairs))
    times = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
    kernels = sorted(zip(launched, names, times, strict=True))
    written = [end for _, name, (_, end) in kernels if name == APPEND]
    read = [start for _, name, (start, _) in kernels if name == ATTEND]
    broken = sum(end > start for end, start in zip(written, read, strict=True))
    assert measure("order_violations(append*, attend*)", scope(times, list(names), list(launched))) == broken


def test_a_kernel_may_begin_when_the_other_ends() -> None:
    assert measure("order_violations(append*, attend*)", scope([(0, 10), (10, 20)], [APPEND, ATTEND])) == 0
    assert measure("order_violations(append*, attend*)", scope([(0, 11), (10, 20)], [APPEND, ATTEND])) == 1


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ([APPEND, APPEND], {}),
        ([ATTEND, ATTEND], {}),
        ([APPEND, ATTEND, ATTEND], {}),
        ([APPEND, ATTEND, APPEND, ATTEND], {"launch": [3, 3, 3, 3]}),
        ([APPEND, ATTEND], {"kind": [H2D, COMPUTE]}),
    ],
    ids=["no-reader", "no-writer", "unequal", "one-graph", "a-copy-of-that-name"],
)
def test_an_order_that_the_trace_does_not_show_has_no_number(names: list[int], columns: dict[str, Any]) -> None:
    """Nothing found is not the same as nothing broken."""
    times = [(10 * at, 10 * at + 5) for at in range(len(names))]
    assert measure("order_violations(append*, attend*)", scope(times, names, **columns)) is None


@pytest.mark.parametrize("text", ["calls()", "order_violations(append*, )"])
def test_an_empty_pattern_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="takes a pattern of names"):
        split(text)


@pytest.mark.parametrize("text", ["calls", "calls(a, b)", "order_violations(a)", "gap_max(h2d)"])
def test_a_wrong_number_of_arguments_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="arguments, not"):
        split(text)


def test_every_metric_is_defined_in_the_docs() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [name for name in METRICS if f"`{name}`" not in page and f"`{name}(" not in page] == []
