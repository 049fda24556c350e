from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from aisp_prof.profiler.capture.child import child_environment
from aisp_prof.profiler.store.scratch import remove_abandoned, scratch_folder

KILLED = """
import os, sys
from pathlib import Path
from aisp_prof.profiler.store.scratch import scratch_folder
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
