from __future__ import annotations

import lzma
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof.profiler.store.leaks import leaks

TESTS = Path(__file__).parents[2]
COMMITTED = sorted(path for folder in ("captures", "traces") for path in (TESTS / folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("path", [p for p in COMMITTED if p.suffix != ".py"], ids=lambda path: path.name)
def test_no_committed_capture_leaks(path: Path) -> None:
    assert leaks(path) == []
    assert path.suffix != ".nsys-rep"


def test_a_table_on_page_61_is_no_environment_variable(tmp_path: Path) -> None:
    """SQLite stores a table's name and its root page side by side, and 61 is "="."""
    (tmp_path / "a").write_bytes(b"tableTARGET_INFO_GPUTARGET_INFO_GPU=CREATE TABLE TARGET_INFO_GPU (id)")
    (tmp_path / "b").write_bytes(b"SECRET_NAME=CREATED")
    assert leaks(tmp_path / "a") == []
    assert leaks(tmp_path / "b") != []


@pytest.mark.parametrize(
    "text",
    [
        b"in /home/ada/x",
        b"/root/.cache",
        b"CUDA_HOME=/usr/local/cuda",
        b"PATH=",
        b"LD_PRELOAD",
        b"one=1\0two=2",
        b"CREATE TABLE ProcessStreams (",
        b'CREATE TABLE "PROCESSES" (',
    ],
)
def test_found(tmp_path: Path, text: bytes) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed.xz"
    plain.write_bytes(b"\x00\xff" + text + b"\x00")
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    assert leaks(plain)
    assert leaks(packed)


@pytest.mark.parametrize(
    "text",
    [
        b"copy/home",
        b"train/data/load",
        b"fwd/users/x",
        b"std::a\\b",
        b"kind = 1\0next = 2",
        b"CREATE TABLE NVTX_EVENTS",
        b"T1=float",
    ],
)
def test_not_found(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "plain").write_bytes(text)
    assert leaks(tmp_path / "plain") == []


def test_this_process_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("xvar", "some value")
    monkeypatch.setenv("MY_API_KEY", "s3cr3t-s3cr3t")
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-host-7")
    path = tmp_path / "plain"
    for text in ("xvar=some value", "it is s3cr3t-s3cr3t", "on gpu-host-7.", "by ada.lovelace", str(Path.cwd())):
        path.write_text(text)
        found = leaks(path, ["ada.lovelace"])
        assert found, text
        assert "s3cr3t" not in str(found)  # a message ends in somebody's CI log
    path.write_text("vmId")
    assert leaks(path, ["vm", ""]) == []


def test_deleted_rows_are_found(tmp_path: Path) -> None:
    path = tmp_path / "trace.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("pragma secure_delete = off; create table t (x)")
        database.executemany("insert into t values (?)", [("API_TOKEN=hunter2",), ("kept",)])
        database.executescript("delete from t where rowid = 1")
        assert database.execute("select * from t").fetchall() == [("kept",)]
    assert leaks(path)


def test_utf_16_is_not_searched_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "trace.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("pragma encoding = 'UTF-16'; create table t (x)")
    assert "UTF-16" in leaks(path)[0]
