"""Every trace of the tree, read by either engine: each column and each answer is the same."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import engines
import numpy as np
import pytest
from aisp_prof.errors import TraceError
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.ranges.table import range_table
from aisp_prof.profiler.trace.model import COLUMNS, Trace
from aisp_prof.profiler.trace.reader import read_trace
from shared import unpacked

ROOT = Path(__file__).parents[3]
TRACES = sorted(path for folder in ("captures", "tests") for path in (ROOT / folder).rglob("*.sqlite.xz"))


def read_by(engine: str, path: Path) -> Trace | str:
    with pytest.MonkeyPatch.context() as patch:
        engines.choose(patch, engine)
        try:
            return read_trace(path)
        except TraceError as error:
            return str(error)


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_read_and_what_is_answered_is_the_same(path: Path) -> None:
    plain = unpacked(path)
    one, two = (read_by(engine, plain) for engine in engines.ENGINES)
    if isinstance(one, str) or isinstance(two, str):
        assert one == two
        return
    assert len(one.operations) + len(one.calls) + len(one.ranges)
    assert one.strings == two.strings
    for rows in COLUMNS:
        for column in fields(COLUMNS[rows]):
            mine, other = (getattr(getattr(trace, rows), column.name) for trace in (one, two))
            assert mine.dtype == other.dtype
            assert np.array_equal(mine, other, equal_nan=mine.dtype.kind == "f"), (rows, column.name)
    assert summary(one, 50) == summary(two, 50)
    tables = [range_table(trace) for trace in (one, two)]
    for column in fields(tables[0]):
        assert np.array_equal(*(getattr(table, column.name) for table in tables))
