from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aisp_prof.machine.child import child_environment
from aisp_prof.machine.files import PREFIX, cache_folder, read_whole, remove_abandoned, scratch_folder, write_whole

KILLED = """
import os, sys
from pathlib import Path
from aisp_prof.machine.files import scratch_folder
with scratch_folder(Path(sys.argv[1])) as work:
    (work / "half").write_text("done")
    os.kill(os.getpid(), 9)
"""


def test_gone_at_the_end_and_on_failure(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "new") as work:
        (work / "file").touch()
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_was_renamed_away_stays(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as work:
        (work / "file").touch()
        work.rename(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()


def test_only_what_its_process_abandoned_is_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=child_environment("m"), check=False)
    (dead,) = (path.name for path in tmp_path.iterdir() if path.is_dir())
    with scratch_folder(tmp_path) as alive:
        assert remove_abandoned(tmp_path) == [dead]
        assert alive.is_dir()
        assert remove_abandoned(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("AISP_CACHE")
    assert cache_folder() == Path("/somewhere/aisp-prof")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "aisp-prof"


@pytest.mark.timeout(20)
def test_only_a_small_regular_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_whole(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_whole(tmp_path / "file", 4)
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            read_whole(odd, 5)


def test_a_whole_file_goes_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "file")
    for data in (b"one", b"two"):
        write_whole(tmp_path / "link", data)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "far" / "file").read_bytes() == data


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    """`-o /dev/stdout` must not put a file in the place of a device."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "device", "folder"):
        with pytest.raises(OSError, match="not a regular file"):
            write_whole(tmp_path / name, b"data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "folder", "pipe"]
    assert Path("/dev/null").is_char_device()
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "file", b"data")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.timeout(20)
def test_a_pipe_or_a_link_is_no_lock(tmp_path: Path) -> None:
    """A folder that somebody sent may hold them: the one would be waited for, the other never end."""
    os.mkfifo(tmp_path / f"{PREFIX}{'a' * 32}.lock")
    (tmp_path / f"{PREFIX}{'b' * 32}.lock").symlink_to("/dev/zero")
    assert remove_abandoned(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 2
