"""A log beside a database: the file alone is not the trace, and says nothing of it."""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof import cli
from aisp_prof.cli import app
from aisp_prof.errors import TraceError
from aisp_prof.profiler.store.redact import scrub_trace
from aisp_prof.profiler.trace.cache.traces import TraceCache
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.trace.source.file import connect
from busy_trace import busy_trace
from trace_builder import TraceBuilder
from typer.testing import CliRunner


def written(path):
    trace = TraceBuilder()
    trace.process(7).kernel("k", (1, 2), (3, 4))
    return trace.write(path)


@pytest.fixture
def logged(tmp_path):
    """A copy of a trace and its log, taken while a writer has committed and not checkpointed."""
    source = written(tmp_path / "writing.sqlite")
    writer = sqlite3.connect(source)
    writer.execute("pragma journal_mode = wal")
    writer.execute("insert into CUPTI_ACTIVITY_KIND_KERNEL select 5, 6, deviceId, contextId, greenContextId, streamId, 999, "
                   "globalPid, demangledName, shortName, null, 1, 1, 1, 1, 1, 1, null from CUPTI_ACTIVITY_KIND_KERNEL")  # fmt: skip
    writer.commit()
    for suffix in ("", "-wal"):
        shutil.copy(f"{source}{suffix}", tmp_path / f"t.sqlite{suffix}")
    writer.close()
    return tmp_path / "t.sqlite"


def test_a_write_ahead_log_is_named_and_its_mend_works(logged, tmp_path, capsys):
    with pytest.raises(TraceError, match=r"write-ahead log lies beside it \(t\.sqlite-wal\)") as caught:
        read_trace(logged)
    assert "vacuum into 'whole.sqlite'" in caught.value.mend
    with sqlite3.connect(logged) as connection:  # what the mend says, by the library
        connection.execute(f"vacuum into '{tmp_path}/whole.sqlite'")
    assert len(read_trace(tmp_path / "whole.sqlite").operations) == 2


def test_every_way_in_refuses(logged):
    with pytest.raises(TraceError, match="write-ahead log"), connect(logged):
        pass
    for command in (["trace", "summary"], ["scrub", "-o", f"{logged}.xz"]):
        answer = CliRunner().invoke(app, [*command, str(logged)])
        assert isinstance(answer.exception, TraceError)


def test_the_cache_does_not_answer_for_the_file_alone(logged, tmp_path):
    log = logged.with_name("t.sqlite-wal")
    kept = log.rename(tmp_path / "aside")
    cache = TraceCache(tmp_path / "cache", least=0)
    assert len(read_trace(logged, cache=cache).operations) == 1
    kept.rename(log)
    with pytest.raises(TraceError, match="write-ahead log"):
        read_trace(logged, cache=cache)


def test_an_empty_log_and_another_files_log_say_nothing(tmp_path):
    path = written(tmp_path / "t.sqlite")
    (tmp_path / "t.sqlite-wal").write_bytes(b"")
    (tmp_path / "t.sqlite-shm").write_bytes(b"x" * 32768)
    (tmp_path / "u.sqlite-wal").write_bytes(b"x" * 5_000)
    assert len(read_trace(path).operations) == 1
    (tmp_path / "t.sqlite-wal").write_bytes(b"x" * 32)  # a header without a frame
    assert len(read_trace(path).operations) == 1


def test_a_journal_that_is_to_be_played_back_is_named(tmp_path):
    path = written(tmp_path / "t.sqlite")
    journal = tmp_path / "t.sqlite-journal"
    journal.write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(600))
    with pytest.raises(TraceError, match=r"rollback journal lies beside it \(t\.sqlite-journal\)"):
        read_trace(path)
    journal.write_bytes(bytes(608))  # ended: its head is cleared
    assert len(read_trace(path).operations) == 1


def changed(folder: Path, mode: str, suffix: str) -> Path:
    """A trace as a program leaves it that dies in the middle of a change: the change, or how to undo it, lies beside it."""
    path, left = busy_trace().write(folder / "whole.sqlite"), folder / "t.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE NVTX_EVENTS SET start = start + 1")
        connection.execute(
            "INSERT INTO StringIds VALUES (888888, ?)", ("x" * (4 << 20),)
        )  # more than memory is to hold
        if mode == "WAL":
            connection.commit()
        for name in ("", suffix):
            shutil.copyfile(f"{path}{name}", f"{left}{name}")
    return left


@pytest.mark.parametrize(("mode", "suffix"), [("WAL", "-wal"), ("DELETE", "-journal"), ("PERSIST", "-journal")])
def test_it_is_found_and_nothing_is_passed_on(
    tmp_path: Path, mode: str, suffix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(tmp_path, mode, suffix)
    with pytest.raises(TraceError, match=f"t.sqlite{suffix}"):
        scrub_trace(path, tmp_path / "out.sqlite")
    for arguments in (
        ("export", path, "--to", "csv", "-o", tmp_path / "out"),
        ("ranges", path, "-o", tmp_path / "r.csv"),
    ):
        monkeypatch.setattr(sys, "argv", ["aisp-prof", "trace", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert (caught.value.code, f"t.sqlite{suffix}" in capsys.readouterr().err) == (2, True)
    assert not {"out.sqlite", "out", "r.csv"} & {one.name for one in tmp_path.iterdir()}
