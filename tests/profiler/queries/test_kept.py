"""What was made of a trace before serves every later question of it, and is never believed of another or when damaged."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from aisp_prof.profiler.queries import kept
from aisp_prof.profiler.queries.copies import copies
from aisp_prof.profiler.queries.gaps import gaps
from aisp_prof.profiler.queries.kernels import kernels
from aisp_prof.profiler.queries.launches import launches
from aisp_prof.profiler.queries.other_threads import other_threads
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.trace.cache import derived
from aisp_prof.profiler.trace.cache.derived import Derived
from aisp_prof.profiler.trace.cache.traces import TraceCache
from aisp_prof.profiler.trace.reader import read_trace
from busy_trace import busy_trace

QUESTIONS = {
    "summary": lambda trace: summary(trace, 3),
    "summary, more": lambda trace: summary(trace, 100),
    "summary, process": lambda trace: summary(trace, 3, "process"),
    "kernels": kernels,
    "kernels, some": lambda trace: kernels(trace, "*a*"),
    "kernels in full": lambda trace: kernels(trace, "*", full=True),
    "kernels in full, some": lambda trace: kernels(trace, "k*", full=True),
    "copies": copies,
    "launches": launches,
    "all calls": lambda trace: launches(trace, True),
    "gaps": lambda trace: list(gaps(trace).json_rows()),
    "long gaps": lambda trace: list(gaps(trace, 10).json_rows()),
    "other threads": lambda trace: other_threads(trace, "*", "thread"),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return busy_trace().write(tmp_path_factory.mktemp("kept") / "t.sqlite")


@pytest.fixture
def cache(tmp_path):
    return TraceCache(tmp_path / "cache", least=0)


def files(tmp_path):
    return sorted(tmp_path.glob("cache/traces/*/derived-*"))


def test_every_question_is_answered_the_same_by_what_was_kept(path, cache, tmp_path, capsys):
    plain = {name: ask(read_trace(path)) for name, ask in QUESTIONS.items()}
    assert {name: ask(read_trace(path, cache=cache)) for name, ask in QUESTIONS.items()} == plain
    seen = {file: file.stat().st_mtime_ns for file in files(tmp_path)}
    assert len(seen) > 8
    again = {name: ask(read_trace(path, cache=cache)) for name, ask in QUESTIONS.items()}
    assert (again, {file: file.stat().st_mtime_ns for file in files(tmp_path)}) == (plain, seen)
    reverse = {name: QUESTIONS[name](read_trace(path, cache=cache)) for name in reversed(QUESTIONS)}
    assert (reverse, capsys.readouterr().err) == (plain, "")


def test_no_column_is_read_for_what_is_kept(path, cache, monkeypatch):
    first = summary(read_trace(path, cache=cache), 3)
    trace = read_trace(path, cache=cache)
    monkeypatch.setattr("aisp_prof.profiler.trace.cache.stored.ColumnFile.read", None)
    assert summary(trace, 3) == first


def test_a_changed_trace_is_asked_itself(path, cache, tmp_path):
    trace = read_trace(path, cache=cache)
    first = copies(trace)
    moved = replace(trace, operations=replace(trace.operations, end=trace.operations.end + 5))
    assert copies(moved) != first
    edited = tmp_path / "edited.sqlite"
    shutil.copy2(path, edited)
    before = edited.stat()
    with sqlite3.connect(edited) as connection:
        connection.execute("update CUPTI_ACTIVITY_KIND_MEMCPY set end = end + 5")
    connection.close()
    os.utime(edited, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert copies(read_trace(edited, cache=cache)) == copies(read_trace(edited)) != first


def test_other_code_and_the_other_engine_make_their_own(path, cache, tmp_path, monkeypatch):
    copies(read_trace(path, cache=cache))
    monkeypatch.setattr(derived, "code_fingerprint", lambda *folders: "another")
    copies(read_trace(path, cache=cache))
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:90] + bytes([b[90] ^ 1]) + b[91:], lambda b: b""])
def test_a_damaged_table_is_never_believed(path, cache, tmp_path, capsys, damage):
    first = copies(read_trace(path, cache=cache))
    (file,) = files(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert copies(read_trace(path, cache=cache)) == first
    assert "dropped from the cache" in capsys.readouterr().err
    assert copies(read_trace(path, cache=cache)) == first
    assert capsys.readouterr().err == ""


def test_columns_come_back(tmp_path):
    rng = np.random.default_rng(3)
    table = {
        "few": rng.integers(-3, 3, 5000),
        "wide": rng.integers(-(1 << 62), 1 << 62, 5000),
        "far": rng.integers(1 << 60, (1 << 60) + 70_000, 5000),
        "short": np.array([1 << 60, -5]),
        "none": np.empty(0, np.int64),
        "real": np.array([np.nan, -0.0, 1e300]),
        "flag": np.array([True, False]),
    }
    Derived(tmp_path, ()).keep("x", table)
    found = Derived(tmp_path, ()).get("x")
    assert {name: column.dtype for name, column in found.items()} == {name: c.dtype for name, c in table.items()}
    for name, column in table.items():
        np.testing.assert_array_equal(found[name], column)
        assert found[name].flags.aligned  # the compiled core takes its address
    assert (Derived(tmp_path, ()).get("y"), len(list(tmp_path.iterdir()))) == (None, 1)


def test_old_tables_give_way(tmp_path, monkeypatch):
    monkeypatch.setattr(derived, "MOST", 3)
    for number in range(5):
        Derived(tmp_path, ()).keep(str(number), {"n": np.array([number])})
    assert len(list(tmp_path.iterdir())) == 3
    assert Derived(tmp_path, ()).get("4")["n"].tolist() == [4]
    Derived(tmp_path / "nowhere", ()).keep("1", {})
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("odd", [{1, 2}, {1: "a"}, [1, 2]], ids=["set", "number as key", "list"])
def test_what_would_not_come_back_as_it_was_is_not_kept(path, cache, odd):
    with pytest.raises(TypeError, match="cannot be kept"):
        kept.kept(read_trace(path, cache=cache), "odd", (), lambda: odd)
