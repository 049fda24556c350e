"""Columns in a file are the columns that were written."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from aisp_prof.errors import TraceError
from aisp_prof.profiler.arrays.rows import Rows
from aisp_prof.profiler.trace.cache import stored
from aisp_prof.profiler.trace.cache.stored import ColumnFile, store
from hypothesis import given, settings
from hypothesis import strategies as st


@dataclass(frozen=True, slots=True, eq=False)
class Some(Rows):
    row: Any
    start: Any
    end: Any
    few: Any
    kind: Any
    flag: Any
    real: Any


edges = st.sampled_from([0, 1, -1, 255, 256, 65_536, 1 << 32, -(1 << 31), (1 << 62) - 1, -(1 << 62)])
anything = st.one_of(edges, st.integers(-(1 << 62), (1 << 62) - 1))


def some(values, first):
    n = len(values)
    start = np.array(values, np.int64)
    return Some(
        row=np.arange(first, first + n),
        start=start,
        end=start + np.arange(n) * 7,
        few=np.where(np.arange(n) % 3 == 0, 1 << 50, -5),
        kind=(np.arange(n) % 5).astype(np.int8),
        flag=np.arange(n) % 2 == 0,
        real=np.where(np.arange(n) % 2 == 0, np.nan, 0.1),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(anything, max_size=40), st.integers(-5, 1 << 40), st.sampled_from([4, 1 << 17]))
def test_every_column_comes_back(values, first, block):
    rows = some(values, first)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "BLOCK", block)
        patch.setattr("aisp_prof.profiler.arrays.blocks.BLOCK", block)
        again = Some.supplied(store(rows, ColumnFile(Path(folder) / "columns", new=True)))
        for name in Some.__slots__:
            column, found = getattr(rows, name), getattr(again, name)
            assert found.dtype == column.dtype
            np.testing.assert_array_equal(found, column)
        codes = again.codes("few")
        assert codes.values[codes.code].tolist() == rows.few.tolist()


def test_columns_outlive_their_name(tmp_path):
    file = ColumnFile(tmp_path / "columns", new=True)
    again = Some.supplied(store(some([5, 900, 70_000], 1), file))
    (tmp_path / "columns").unlink()
    assert again.start.tolist() == [5, 900, 70_000]


def test_a_file_that_became_shorter_is_said_to_be(tmp_path):
    again = Some.supplied(store(some([5, 900, 70_000], 1), ColumnFile(tmp_path / "columns", new=True)))
    (tmp_path / "columns").write_bytes(b"")
    with pytest.raises(TraceError, match="cut"):
        again.start  # noqa: B018


@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_sums_counted_while_writing_are_those_of_the_file(tmp_path, monkeypatch, engine):
    """Over steps and parts, from several threads, with a tail of no whole word, and of one byte changed they are others."""
    monkeypatch.setenv("AISP_ENGINE", engine)
    monkeypatch.setattr(stored, "_PART", 2 * stored._STEP)
    file, rng = ColumnFile(tmp_path / "columns", new=True), np.random.default_rng(1)
    store(some(rng.integers(0, 1 << 40, 300_001), 1), file)
    file.write(np.arange(7, dtype=np.uint8), file.room(7))
    sums = file.finished()
    assert len(sums) > 4
    assert ColumnFile(tmp_path / "columns").sums() == sums
    content = bytearray((tmp_path / "columns").read_bytes())
    content[1_000_003] ^= 1
    (tmp_path / "columns").write_bytes(content)
    assert ColumnFile(tmp_path / "columns").sums() != sums
