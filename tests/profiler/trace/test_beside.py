"""A trace of which a part lies beside it, in a write-ahead log or a journal, is not passed on without that part."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof import cli
from aisp_prof.errors import UsageError
from aisp_prof.profiler.store.redact import scrub_trace
from aisp_prof.profiler.trace.file import beside
from busy_trace import busy_trace


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
    assert beside(path) == Path(f"{path}{suffix}")
    with pytest.raises(UsageError, match=f"t.sqlite{suffix} lies beside it"):
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


def test_the_mend_that_is_named_mends(tmp_path: Path) -> None:
    path = changed(tmp_path, "WAL", "-wal")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    assert beside(path) is None
    scrub_trace(path, tmp_path / "out.sqlite")


def test_what_holds_nothing_is_no_hindrance(tmp_path: Path) -> None:
    path = busy_trace().write(tmp_path / "t.sqlite")
    Path(f"{path}-wal").touch()
    Path(f"{path}-journal").write_bytes(bytes(512))  # as journal_mode = PERSIST leaves it
    assert beside(path) is None
    scrub_trace(path, tmp_path / "out.sqlite")
