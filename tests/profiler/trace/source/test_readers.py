"""Both readers of a trace's tables on files that no SQLite writes: they agree, or the file is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import TraceError
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.trace.source.file import damage, open_source
from aisp_prof.profiler.trace.source.scan import Wanted
from busy_capture import capture
from page_mutations import CHANGES, LEAF, Change, Database, cell_pointer, interior_key, rowid
from readers import compared, differences, readable


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return capture(tmp_path_factory.mktemp("trace") / "t.sqlite").read_bytes()


@pytest.mark.parametrize(("page_size", "count"), [(512, 390), (4096, 130)])
def test_mutated_pages(content: bytes, page_size: int, count: int) -> None:
    outcomes = compared(readable(content, page_size), count, seed=20261130)
    assert sum(outcomes.values()) == count
    assert min(outcomes["read alike"], outcomes["refused"]) > count // 5


def test_what_was_not_mutated_reads_alike(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.sqlite").write_bytes(readable(content, 512))
    assert list(differences(tmp_path / "t.sqlite")) == []


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_changes_something(content: bytes, change: Change) -> None:
    db, random = Database.read(readable(content, 512)), np.random.default_rng(1)
    made = set()
    for _ in range(20):
        broken = bytearray(db.content)
        change(db, random, broken)
        made.add(bytes(broken))
    assert len(made - {db.content}) > 3


def test_rowids_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    """A leaf whose cells carry other rows' ids: SQLite gives 24 ranges, or fewer, by the way that it is asked."""
    db = Database.read(capture(tmp_path / "t.sqlite").read_bytes())
    page = next(page for page in db.pages if page.table == "NVTX_EVENTS" and page.kind == LEAF)
    broken, at = bytearray(db.content), page.header + 8
    broken[at + 2 : at + 4] = broken[at : at + 2]
    (tmp_path / "t.sqlite").write_bytes(broken)
    with pytest.raises(TraceError, match="table NVTX_EVENTS: its rowids do not ascend"):
        read_trace(tmp_path / "t.sqlite")


@pytest.mark.parametrize("change", [cell_pointer, rowid, interior_key])
@pytest.mark.parametrize("utf16", [False, True])
def test_whichever_reader_reads_it(content: bytes, tmp_path: Path, change: Change, utf16: bool) -> None:
    """Text in UTF-16 is the library's: a scan by it would give rows that no look-up finds."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA encoding = 'UTF-{16 if utf16 else 8}'")
        connection.execute("PRAGMA page_size = 512")
        connection.execute("CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL)")
        connection.execute("CREATE TABLE NVTX_EVENTS (start INTEGER, text TEXT)")
        connection.executemany("INSERT INTO NVTX_EVENTS VALUES (?, ?)", [(k, f"range {k}") for k in range(200)])
        connection.commit()
        db, path = Database.read(connection.serialize()), tmp_path / "t.sqlite"
    random, refused = np.random.default_rng(2), 0
    for _ in range(30):
        broken = bytearray(db.content)
        change(db, random, broken)
        path.write_bytes(broken)
        with closing(sqlite3.connect(path)) as connection:
            missed = _missed(connection)
        try:
            with open_source(path) as source:
                source.scan("NVTX_EVENTS", Wanted(("start",), (), ("text",)))
        except TraceError:
            refused += 1
        else:
            assert not missed
    assert refused > 5


def _missed(connection: sqlite3.Connection) -> bool:
    """Whether the library itself finds other rows by their rowids than it finds one after the other."""
    try:
        one, two = (
            connection.execute(f"SELECT count(*) FROM NVTX_EVENTS a {join}").fetchone()[0]
            for join in ("", "CROSS JOIN NVTX_EVENTS b ON b.rowid = a.rowid")
        )
    except sqlite3.DatabaseError:
        return True
    return bool(one != two)


def chained(path: Path, levels: int) -> Path:
    """A table whose pages lead one to the next, `levels` deep, without a row."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA page_size = 512; CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT)")
    content = bytearray(path.read_bytes())
    for number in range(2, 2 + levels):
        page = bytearray(512)
        page[0], page[5:7], page[8:12] = 5, (512).to_bytes(2, "big"), (number + 1).to_bytes(4, "big")
        content[512 * (number - 1) : 512 * number] = page
    content += bytes([13, 0, 0, 0, 0, 2, 0, 0]) + bytes(504)
    content[28:32] = (len(content) // 512).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def test_a_chain_of_pages_does_not_overrun_the_stack_of_sqlites_check(tmp_path: Path) -> None:
    """SQLite's check of 200,000 levels ends the process; it is not asked about more than 20."""
    path = chained(tmp_path / "t.sqlite", 40)
    assert damage(path) == ["its pages lie deeper than SQLite lays them"]
    with pytest.raises(TraceError, match="damaged"):
        read_trace(path)
    assert damage(chained(tmp_path / "few.sqlite", 3)) != ["its pages lie deeper than SQLite lays them"]


def test_pages_that_two_tables_share_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE a (x); CREATE TABLE b (x); INSERT INTO a VALUES (1); PRAGMA writable_schema = ON;"
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'a')"
        )
    assert damage(path) == ["a page is reached twice"]


def test_a_whole_trace_has_no_damage(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.sqlite").write_bytes(content)
    assert damage(tmp_path / "t.sqlite") == []
