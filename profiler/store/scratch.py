"""Unfinished work lies in hidden folders that vanish with their process, or at the next start when that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from ..capture.child import end_marked

PREFIX = ".tmp-"
_LOCK = ".lock"


@contextlib.contextmanager
def scratch_folder(parent: Path, mark: str = "") -> Iterator[Path]:
    """A hidden folder in `parent`, removed at the end; `mark` names the child processes that work in it (child.MARK).

    A lock file beside it is held as long as this process lives: the kernel releases it however the process ends, so
    `remove_abandoned` needs no process ids, which are reused and mean nothing on another machine.

    Raises:
        OSError: `parent` cannot be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent, mark) as lock:
        folder = lock.with_name(lock.name.removesuffix(_LOCK))
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(parent: Path, mark: str) -> Iterator[Path]:
    name = f"{PREFIX}{uuid.uuid4().hex}{_LOCK}"
    # Locked under a name that `remove_abandoned` does not look for, then renamed: nobody can take it in between.
    with tempfile.NamedTemporaryFile("w", dir=parent, prefix=".new-", delete=False) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(mark)
        file.flush()
        lock = parent / name
        os.rename(file.name, lock)
        try:
            yield lock
        finally:
            lock.unlink(missing_ok=True)


def remove_abandoned(parent: Path) -> list[str]:
    """Remove what killed processes left in `parent`, their still running children first; names of the removed folders."""
    removed = []
    for lock in sorted(parent.glob(f"{PREFIX}*{_LOCK}")):
        with contextlib.suppress(OSError), lock.open() as file:  # gone meanwhile, or its owner lives: BlockingIOError
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if mark := file.read():
                end_marked(mark)
            folder = lock.with_name(lock.name.removesuffix(_LOCK))
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            removed.append(folder.name)
    return removed
