"""The fast source against SQLite's own library: the same columns, or left to the library, on random and odd tables."""

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import engines
import numpy as np
import pytest
from aisp_prof.errors import TraceError
from aisp_prof.profiler.trace.source.fast import FastSource
from aisp_prof.profiler.trace.source.pages import Unusual
from aisp_prof.profiler.trace.source.scan import Wanted
from aisp_prof.profiler.trace.source.sqlite import SqliteSource
from hypothesis import given, settings
from hypothesis import strategies as st

WANTED = Wanted(("i", "late"), ("r",), ("t",))
int64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -1, 127, 128, -128, -129, 2**15, 2**23, -(2**23) - 1, 2**31, 2**47, 2**53 + 1, -(2**63)]),
)
texts = st.one_of(
    st.text(max_size=12), st.binary(max_size=12), st.sampled_from(["same", "x" * 57, "x" * 58, "é" * 600])
)
rows = st.lists(
    st.tuples(
        st.none() | int64,
        st.none() | texts,
        st.none() | st.floats(allow_nan=False) | st.integers(-5, 5),
        st.none() | int64,
    ),
    max_size=40,
)


@pytest.fixture(autouse=True, scope="module", params=engines.ENGINES)
def engine(request):
    """Both decode the same pages."""
    with pytest.MonkeyPatch.context() as patch:
        engines.choose(patch, request.param)
        yield request.param


def sources(path):
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    plain = SqliteSource(connection, path)
    return connection, plain, FastSource(plain, path)


def same(plain, fast):
    assert np.array_equal(plain.row, fast.row)
    for name, column in plain.integers.items():
        assert np.array_equal(column.values, fast.integers[name].values)
        assert np.array_equal(column.is_null, fast.integers[name].is_null)
    for name, reals in plain.reals.items():
        assert np.array_equal(reals, fast.reals[name], equal_nan=True)
    for name, one in plain.texts.items():
        other = fast.texts[name]
        assert [None if c < 0 else one.values[c] for c in one.codes] == [
            None if c < 0 else other.values[c] for c in other.codes
        ]


def write(path, content, page_size=512, ddl="i INTEGER, t TEXT, r REAL, late INTEGER"):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute(f"CREATE TABLE x ({ddl})")
        connection.executemany("INSERT INTO x VALUES (?, ?, ?, ?)", content)
        connection.commit()
    return path


@settings(max_examples=150, deadline=None)
@given(rows, st.sampled_from([512, 1024, 4096, 65536]), st.integers(1, 40))
def test_random_tables_read_alike(content, page_size, repeat):
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "t.sqlite", content * repeat, page_size)
        connection, plain, fast = sources(path)
        with closing(connection):
            same(plain.scan("x", WANTED), fast.scan("x", WANTED))


@settings(max_examples=60, deadline=None)
@given(rows, st.data())
def test_tables_with_holes_read_alike(content, data):
    """Deleted rows leave free pages and free blocks; updates leave fragments; rowids have gaps and may be negative."""
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "t.sqlite", content * 10)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM x WHERE rowid % ? = 0", (data.draw(st.integers(2, 5)),))
            connection.execute("UPDATE x SET late = ? WHERE rowid % 7 = 0", (data.draw(int64),))
            connection.execute(
                "INSERT INTO x (rowid, i) VALUES (?, 1)", (data.draw(st.sampled_from([-5, 10**6, 2**60])),)
            )
            connection.commit()
        connection, plain, fast = sources(path)
        with closing(connection):
            same(plain.scan("x", WANTED), fast.scan("x", WANTED))


def test_plain_tables_are_really_read_by_their_pages(tmp_path, monkeypatch, engine):
    if engine == "core":
        monkeypatch.setattr("aisp_prof.profiler.trace.source.fast._decode", lambda *_: pytest.fail("numpy decodes"))
    content = [(k, f"name {k % 7}", k / 3, None if k % 3 else -k) for k in range(20_000)]
    connection, plain, fast = sources(write(tmp_path / "t.sqlite", content, 4096))
    with closing(connection):
        same(plain.scan("x", WANTED), fast._scan("x", WANTED))


def test_many_batches_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("aisp_prof.profiler.trace.source.fast.PAGES", 3)
    content = [(k * k, "z" * (k % 90), None, k) for k in range(5_000)]
    connection, plain, fast = sources(write(tmp_path / "t.sqlite", content))
    with closing(connection):
        same(plain.scan("x", WANTED), fast._scan("x", WANTED))


def test_rows_on_overflow_pages_are_read_by_the_library(tmp_path):
    content = [(k, "y" * (2_000_000 if k == 7 else 3), 0.5, -k) for k in range(3_000)]
    connection, plain, fast = sources(write(tmp_path / "t.sqlite", content, 4096))
    with closing(connection):
        same(plain.scan("x", WANTED), fast._scan("x", WANTED))


ODD = {
    "without rowid": ("CREATE TABLE x (i INTEGER PRIMARY KEY, t TEXT, r REAL, late INTEGER) WITHOUT ROWID", "", ""),
    "utf-16": ("CREATE TABLE x (i INTEGER, t TEXT, r REAL, late INTEGER)", "PRAGMA encoding = 'UTF-16le'", ""),
    "column added": ("CREATE TABLE x (i INTEGER, t TEXT, r REAL)", "", "ALTER TABLE x ADD COLUMN late INTEGER"),
    "column added with default": (
        "CREATE TABLE x (i INTEGER, t TEXT, r REAL)",
        "",
        "ALTER TABLE x ADD COLUMN late INTEGER DEFAULT 9",
    ),
    "generated": ("CREATE TABLE x (i INTEGER, t TEXT, r REAL, late INTEGER GENERATED ALWAYS AS (i * 2))", "", ""),
}


@pytest.mark.parametrize("name", ODD)
def test_unusual_tables_are_left_to_the_library(tmp_path, name):
    ddl, before, after = ODD[name]
    path = tmp_path / "t.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(before)
        connection.execute(ddl)
        connection.executemany("INSERT INTO x (i, t, r) VALUES (?, ?, ?)", [(k, str(k), k / 2) for k in range(100)])
        connection.execute(after)
        connection.commit()
    connection, plain, fast = sources(path)
    with closing(connection):
        with pytest.raises(Unusual):
            fast._scan("x", WANTED)
        same(plain.scan("x", WANTED), fast.scan("x", WANTED))


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "INT PRIMARY KEY", "INTEGER PRIMARY KEY DESC"])
def test_a_primary_key_may_or_may_not_be_the_rowid(tmp_path, key):
    ddl = f"i {key}, t TEXT, r REAL, late INTEGER"
    content = [(k * 3 + 1, "t", None, k) for k in range(100)]
    connection, plain, fast = sources(write(tmp_path / "t.sqlite", content, ddl=ddl))
    with closing(connection):
        same(plain.scan("x", WANTED), fast._scan("x", WANTED))


@pytest.mark.parametrize(("value", "shown"), [("soon", "str 'soon'"), (b"\x01", "str"), (1.5, "float '1.5'")])
def test_what_is_no_integer_names_its_place(tmp_path, value, shown):
    content = [(k, "t", None, k) for k in range(100)]
    content[41] = (value, "t", None, 0)
    connection, plain, fast = sources(write(tmp_path / "t.sqlite", content))
    with closing(connection):
        for source in (plain, fast):
            with pytest.raises(TraceError, match=rf"table x, row 42: i is {shown}"):
                source.scan("x", WANTED)


def test_flipped_bytes_never_make_a_difference_in_silence(tmp_path):
    """Where a page is damaged the fast source says so or reads what the library reads."""
    content = [(k * 1000, f"name {k}", k / 3, -k) for k in range(400)]
    path = write(tmp_path / "t.sqlite", content)
    whole = path.read_bytes()
    random = np.random.default_rng(20261120)
    agreed = 0
    for place in random.integers(1024, len(whole), 400):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(random.integers(8))
        path.write_bytes(broken)
        connection, plain, fast = sources(path)
        with closing(connection):
            try:
                expected = plain.scan("x", WANTED)
            except (sqlite3.Error, TraceError):
                continue
            try:
                same(expected, fast._scan("x", WANTED))
                agreed += 1
            except Unusual:
                pass
    assert agreed > 50
