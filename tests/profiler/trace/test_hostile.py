"""SQLite files that are no trace but a trick: nothing of them is run, followed without end, or taken for data."""

from __future__ import annotations

import gzip
import lzma
import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import AispError, TraceError, UsageError
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.store.redact import scrub_trace
from aisp_prof.profiler.trace import reader
from aisp_prof.profiler.trace.cache.traces import TraceCache
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.trace.source import limits, unpack
from aisp_prof.profiler.trace.source.file import connect, readonly
from trace_builder import TraceBuilder

KERNEL = "CUPTI_ACTIVITY_KIND_KERNEL"


def plain(path: Path, kernels: int = 3) -> Path:
    trace = TraceBuilder()
    process = trace.process(100)
    process.sees(trace.gpu("uuid"))
    process.range("step", 0, 100 * kernels)
    for k in range(kernels):
        process.kernel("scale", (k * 10, k * 10 + 2), (k * 10 + 5, k * 10 + 9))
    return trace.write(path)


def changed(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(plain(path))) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    return path


def schema_changed(path: Path, statement: str) -> Path:
    with closing(sqlite3.connect(plain(path))) as database:
        database.execute("pragma writable_schema = on")
        database.execute(statement)
        database.commit()
    return path


@pytest.mark.parametrize("table", [KERNEL, "NVTX_EVENTS", "StringIds", "META_DATA_EXPORT", "TARGET_INFO_GPU"])
def test_a_view_in_the_place_of_a_table(tmp_path: Path, table: str) -> None:
    """Its query could be anything, and take any time."""
    view = f"create view {table} as select * from hidden"
    path = changed(tmp_path / "t.sqlite", f"alter table {table} rename to hidden", view)
    with pytest.raises(TraceError, match=f"{table} is a view"):
        read_trace(path)
    with pytest.raises(TraceError, match=f"{table} is a view"):
        scrub_trace(path, tmp_path / "out.sqlite")


def test_a_view_that_the_schema_calls_a_table(tmp_path: Path) -> None:
    """The page reader would read the table's old pages, and SQLite the view."""
    path = schema_changed(
        tmp_path / "t.sqlite",
        f"update sqlite_master set sql = 'CREATE VIEW {KERNEL} AS SELECT 1 AS start' where name = '{KERNEL}'",
    )
    with pytest.raises(TraceError, match=r"malformed|no ordinary table"):
        read_trace(path)


@pytest.mark.parametrize(
    "sql", ["CREATE VIRTUAL TABLE {} USING fts5(start)", "create /**/ virtual table {} using fts5(s)"]
)
def test_a_virtual_table_in_the_place_of_a_table(tmp_path: Path, sql: str) -> None:
    statement = sql.format(KERNEL)
    path = schema_changed(
        tmp_path / "t.sqlite", f"update sqlite_master set sql = '{statement}', rootpage = 0 where name = '{KERNEL}'"
    )
    with pytest.raises(TraceError, match="no ordinary table"):
        read_trace(path)


def test_tables_that_swap_their_names_do_not_fool_the_page_reader(tmp_path: Path) -> None:
    a, b = KERNEL, "TARGET_INFO_CUDA_DEVICE"
    path = schema_changed(
        tmp_path / "t.sqlite",
        f"update sqlite_master set name = case name when '{a}' then '{b}' when '{b}' then '{a}' else name end, "
        f"tbl_name = case name when '{a}' then '{b}' when '{b}' then '{a}' else tbl_name end",
    )
    with pytest.raises(TraceError):
        read_trace(path)


def test_generated_columns_would_compute(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "t.sqlite",
        "drop table NVTX_EVENTS",
        "create table NVTX_EVENTS (start INTEGER, end INTEGER, eventType INTEGER, globalTid INTEGER, "
        "text TEXT AS (hex(zeroblob(500000000))))",
    )
    with pytest.raises(TraceError, match="text is a generated column"):
        read_trace(path)


def test_triggers_and_extensions_and_writing(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "t.sqlite",
        "create trigger t after insert on NVTX_EVENTS begin select load_extension('/tmp/evil.so'); end",
    )
    before = path.read_bytes()
    assert len(read_trace(path).operations) == 3
    with connect(path) as connection:
        for statement, said in (
            ("select load_extension('/tmp/evil.so')", "not authorized"),
            ("insert into NVTX_EVENTS (start, eventType) values (1, 59)", r"readonly|read-only|unsafe use"),
            ("delete from StringIds", "readonly|read-only"),
            ("attach ':memory:' as x", "too many attached"),
        ):
            with pytest.raises(sqlite3.OperationalError, match=said):
                connection.execute(statement)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["t.sqlite"]


def test_a_journal_beside_the_trace_is_not_played_back(tmp_path: Path) -> None:
    """A hot journal or a write-ahead log that somebody lays beside a trace would change what is read; nobody can say which
    of the two is the trace."""
    path = plain(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma wal_autocheckpoint = 0")
        before = path.read_bytes()
        database.execute(f"delete from {KERNEL}")
        database.commit()
        log = path.with_name("t.sqlite-wal").read_bytes()
    path.write_bytes(before)
    path.with_name("t.sqlite-wal").write_bytes(log)
    with pytest.raises(TraceError, match="write-ahead log"):
        read_trace(path)
    with readonly(path, path) as connection:  # SQLite's library does not look at it
        assert connection.execute(f"select count(*) from {KERNEL}").fetchone() == (3,)
    assert path.with_name("t.sqlite-wal").read_bytes() == log


def test_an_index_with_other_rows_changes_no_count(tmp_path: Path) -> None:
    table = "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION"
    path = changed(
        tmp_path / "t.sqlite",
        f"create table {table} (start INTEGER, end INTEGER)",
        f"insert into {table} values (1, 2), (3, 4)",
        "create table short (start INTEGER)",
        f"create index i on {table} (start)",
    )
    with closing(sqlite3.connect(path)) as database:  # the index points into an empty tree now
        database.execute("create index j on short (start)")
        database.execute("pragma writable_schema = on")
        database.execute(
            "update sqlite_master set rootpage = (select rootpage from sqlite_master where name = 'j') where name = 'i'"
        )
        database.execute("delete from sqlite_master where name = 'j'")
        database.commit()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute(f"select count(*) from {table}").fetchone() == (0,)  # SQLite itself is fooled
    assert read_trace(path).rows[table] == 2


def looped(path: Path, table: str) -> Path:
    """An interior page of the table whose every cell leads to the same leaf: 100 bytes that are a thousand rows."""
    plain(path, kernels=3000)
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        root = database.execute("select rootpage from sqlite_master where name = ?", (table,)).fetchone()[0]
    base = (root - 1) * 4096
    assert data[base] == 5, "an interior page"
    cells = int.from_bytes(data[base + 3 : base + 5], "big")
    for k in range(cells):
        pointer = int.from_bytes(data[base + 12 + 2 * k : base + 14 + 2 * k], "big")
        data[base + pointer : base + pointer + 4] = root.to_bytes(4, "big")
    path.write_bytes(data)
    return path


@pytest.mark.timeout(60)
@pytest.mark.parametrize("table", [KERNEL, "CUPTI_ACTIVITY_KIND_RUNTIME"])
def test_pages_that_lead_back_to_themselves(tmp_path: Path, table: str) -> None:
    """Twenty levels of a hundred cells would be more rows than atoms; SQLite's own library follows them."""
    with pytest.raises(TraceError, match=r"loop|twice|damaged"):
        read_trace(looped(tmp_path / "t.sqlite", table))
    with pytest.raises(TraceError):
        scrub_trace(tmp_path / "t.sqlite", tmp_path / "out.sqlite")


def test_rows_are_bounded_by_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line of defence, for tables that the page reader leaves to the library."""
    monkeypatch.setattr("aisp_prof.profiler.trace.source.sqlite.ROW_BYTES", 1 << 16)
    with pytest.raises(TraceError, match="more rows than the file can hold"):
        read_trace(plain(tmp_path / "t.sqlite", kernels=500))


def test_absurdly_many_tables(tmp_path: Path) -> None:
    path = plain(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as database:
        database.executescript("pragma journal_mode = off; pragma synchronous = off; begin")
        for k in range(limits.TABLES):
            database.execute(f"create table t{k} (x)")
        database.commit()
    with pytest.raises(TraceError, match="more than 2000 tables"):
        read_trace(path)


def test_a_value_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aisp_prof.profiler.trace.source.file.VALUE_BYTES", 100_000)
    path = changed(tmp_path / "t.sqlite", "insert into StringIds values (9999, hex(zeroblob(100000)))")
    with pytest.raises(TraceError, match="too big"):
        read_trace(path)


def bomb(path: Path, size: int) -> Path:
    """`size` zero bytes, packed."""
    zeroes = bytes(size)
    if path.suffix == ".zst":
        zstandard = pytest.importorskip("zstandard", reason="the zstandard package is not installed")
        path.write_bytes(zstandard.compress(zeroes))
    else:
        path.write_bytes(lzma.compress(zeroes) if path.suffix == ".xz" else gzip.compress(zeroes))
    return path


@pytest.mark.parametrize("suffix", sorted(unpack.SUFFIXES))
def test_a_packed_trace_that_explodes(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bomb(tmp_path / f"t.sqlite{suffix}", 64 << 20)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv(limits.UNPACK_VARIABLE, "0.01")
    with pytest.raises(TraceError, match=r"more than 0\.01 GiB") as caught:
        read_trace(path)
    assert "--unpack-limit" in caught.value.mend
    monkeypatch.setenv(limits.UNPACK_VARIABLE, "1")
    with pytest.raises(TraceError, match="not an SQLite file"):
        read_trace(path)


def test_several_streams_and_padding_are_unpacked(tmp_path: Path) -> None:
    data = plain(tmp_path / "t.sqlite").read_bytes()
    path = tmp_path / "two.sqlite.xz"
    path.write_bytes(lzma.compress(data[:5000]) + bytes(8) + lzma.compress(data[5000:]) + bytes(4))
    assert len(read_trace(path).operations) == 3
    path.write_bytes(lzma.compress(data)[:-20])
    with pytest.raises(TraceError, match="cannot be unpacked"):
        read_trace(path)


def test_a_dictionary_that_asks_for_too_much_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    path.write_bytes(lzma.compress(b"x" * 100, filters=filters))
    with pytest.raises(TraceError, match=r"cannot be unpacked.*[Mm]emory"):
        read_trace(path)


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "1e99"])
def test_a_limit_that_is_none(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.UNPACK_VARIABLE, text)
    with pytest.raises(UsageError, match=limits.UNPACK_VARIABLE):
        read_trace(bomb(tmp_path / "t.sqlite.gz", 1 << 20))


FULL = """
import resource, sys
from pathlib import Path
from aisp_prof.errors import AispError
from aisp_prof.profiler.trace.reader import read_trace
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    read_trace(Path(sys.argv[1]))
except AispError as error:
    print(type(error).__name__, error, error.mend)
"""


def test_no_room_to_unpack(tmp_path: Path) -> None:
    path = bomb(tmp_path / "t.sqlite.xz", 8 << 20)
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("AispError no room to unpack a trace")
    assert "TMPDIR" in done.stdout


@pytest.mark.parametrize(
    ("size", "length", "said"),
    [(1 << 62, 5, "absurd sizes"), (-7, 5, "absurd sizes"), (64, 1 << 53, "last longer than can be added up")],
)
def test_sums_do_not_wrap_around(tmp_path: Path, size: int, length: int, said: str) -> None:
    """A thousand rows, each just below what is absurd by itself, add up to a negative number in 64 bits."""
    trace = TraceBuilder()
    process = trace.process(100)
    process.sees(trace.gpu("uuid"))
    for k in range(1_000):
        process.copy("h2d", size, (k * 10, k * 10 + 1), (k * 10 + 2, k * 10 + 2 + length))
    with pytest.raises(TraceError, match=said):
        read_trace(trace.write(tmp_path / "t.sqlite"))


def test_time_to_refuse(tmp_path: Path) -> None:
    begun = time.process_time()  # a busy machine makes every other time longer
    with pytest.raises(AispError):
        read_trace(looped(tmp_path / "t.sqlite", KERNEL))
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("digits", [5, 5_000])
def test_a_version_of_a_table_without_end(tmp_path: Path, digits: int) -> None:
    """Python makes no number of 5,000 digits; a table of such a name is none of nsys'."""
    path = changed(tmp_path / "t.sqlite", f'create table "NVTX_EVENTS_V{"9" * digits}" (start INTEGER)')
    assert len(read_trace(path).ranges) == 1


def test_a_stated_count_without_end(tmp_path: Path) -> None:
    trace = TraceBuilder(attested=False)
    trace.process(1).kernel("k", (1, 2), (3, 4))
    trace.diagnostic(f"Number of CUDA events collected: {'9' * 6_000}")
    found = attest(read_trace(trace.write(tmp_path / "t.sqlite")))
    assert found.events_stated is None
    assert found.status == "unattested"


FORGED = "\n::error file=x::done\x1b[2J\u202e"


@pytest.mark.parametrize(
    "statement",
    [
        f'create view "NVTX_{FORGED}" as select 1',
        f'create table "CUPTI_{FORGED}" (a, "b{FORGED}" as (a))',
        f'drop table {KERNEL}; create table {KERNEL} (start); update META_DATA_EXPORT set value = "{FORGED}"',
    ],
)
def test_names_of_the_file_forge_no_lines_of_a_message(tmp_path: Path, statement: str) -> None:
    """pytest and Python print a message as it is."""
    path = changed(tmp_path / "t.sqlite", *statement.split("; "))
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert r"\n::error" in str(caught.value)


def test_what_sqlite_says_of_a_file_is_one_line(tmp_path: Path) -> None:
    forged = "CREATE TABLE a (" + FORGED
    path = plain(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma writable_schema = on")
        database.execute("update sqlite_master set name = ?, sql = ? where name = 'StringIds'", (FORGED, forged))
        database.commit()
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@pytest.mark.parametrize(("processes", "devices", "said"), [(1_025, 1, "1,025 processes"), (1, 1_025, "1,025 GPUs")])
def test_more_processes_or_devices_than_a_machine_has(tmp_path: Path, processes: int, devices: int, said: str) -> None:
    """Each is looked at by itself: 20,000 in 800 kB took minutes."""
    trace = TraceBuilder()
    for number in range(max(processes, devices)):
        trace.process(1 + number % processes).kernel("k", None, (1, 2), device=number % devices)
    with pytest.raises(TraceError, match=said):
        read_trace(trace.write(tmp_path / "t.sqlite"))


def test_as_many_processes_as_may_be(tmp_path: Path) -> None:
    trace = TraceBuilder()
    for number in range(limits.PROCESSES):
        trace.process(1 + number).kernel("k", None, (1, 2))
    assert len(read_trace(trace.write(tmp_path / "t.sqlite")).gpus) == limits.DEVICES


def test_streams_of_nothing_take_no_time(tmp_path: Path) -> None:
    """Each leaves the rest of what was read to be copied; from blocks of a megabyte that took minutes, where unpacking alone
    takes as long as here, on whichever machine."""
    path, stream, streams = tmp_path / "t.sqlite.xz", lzma.compress(b""), 100_000
    path.write_bytes(stream * streams)
    begun = time.process_time()
    for _ in range(streams):
        lzma.LZMADecompressor().decompress(stream)
    unpacked = time.process_time()
    with pytest.raises(TraceError, match="empty"):
        read_trace(path)
    assert time.process_time() - unpacked < 10 * (unpacked - begun)


def test_a_trace_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers would be of neither file, and the cache would keep them under the name of the first."""
    path, kept = plain(tmp_path / "t.sqlite", 50), TraceCache(tmp_path / "cache", least=0)
    stat, read = path.stat(), reader.read_nvtx

    def replaced(*arguments: Any) -> Any:
        found = read(*arguments)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"x")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return found

    monkeypatch.setattr(reader, "read_nvtx", replaced)
    for cache in (kept, TraceCache(tmp_path / "none")):
        with pytest.raises(TraceError, match="changed while it was read"):
            read_trace(path, cache=cache)
    assert list((tmp_path / "cache" / "traces").iterdir()) == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["t.sqlite", "t.sqlite.xz", "t.nsys-rep"])
@pytest.mark.parametrize("what", ["pipe", "socket", "device", "loop", "nothing"])
def test_what_is_no_file(tmp_path: Path, what: str, name: str) -> None:
    path = tmp_path / name
    if what == "pipe":
        os.mkfifo(path)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))  # an address has 108 characters at most
    elif what != "nothing":
        path.symlink_to("/dev/zero" if what == "device" else name)
    with pytest.raises(TraceError, match="no such file"):
        read_trace(path)


def in_utf_16(path: Path, target: Path, hiding: tuple[str, ...]) -> Path:
    """The same rows in a file of UTF-16, which only SQLite reads, its tables with columns that hide the ids of rows."""
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(target)) as new:
        new.execute("pragma encoding = 'UTF-16'")
        for name, sql in old.execute("select name, sql from sqlite_master where type = 'table'").fetchall():
            new.execute(sql)
            rows = old.execute(f"select * from {name}").fetchall()
            if rows:
                new.executemany(f"insert into {name} values ({', '.join('?' * len(rows[0]))})", rows)
            for column in hiding if name.startswith(("CUPTI_ACTIVITY", "NVTX")) else ():
                new.execute(f"alter table {name} add column {column} text default 'x'")
        new.commit()
    return target


@pytest.mark.parametrize("hiding", [(), ("rowid",), ("ROWID", "_rowid_"), ("oid",)])
def test_a_column_that_hides_the_ids_of_rows(tmp_path: Path, hiding: tuple[str, ...]) -> None:
    """It was a traceback, since a text is no number."""
    whole = read_trace(plain(tmp_path / "t.sqlite"))
    found = read_trace(in_utf_16(tmp_path / "t.sqlite", tmp_path / "u.sqlite", hiding))
    assert found.operations.row.tolist() == whole.operations.row.tolist()
    assert found.operations.start.tolist() == whole.operations.start.tolist()


def test_columns_that_hide_every_name_of_an_id(tmp_path: Path) -> None:
    path = in_utf_16(plain(tmp_path / "t.sqlite"), tmp_path / "u.sqlite", ("rowid", "_rowid_", "oid"))
    with pytest.raises(TraceError, match="columns hide the ids of its rows"):
        read_trace(path)
