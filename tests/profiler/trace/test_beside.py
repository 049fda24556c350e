"""A log beside a database: the file alone is not the trace, and says nothing of it."""

import shutil
import sqlite3

import pytest
from aisp_prof.cli import app
from aisp_prof.errors import TraceError
from aisp_prof.profiler.trace.cache import TraceCache
from aisp_prof.profiler.trace.file import connect
from aisp_prof.profiler.trace.reader import read_trace
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
