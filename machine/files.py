"""Files that are either whole or absent, whatever is killed; bounded reading of untrusted files; the cache folder.

Unfinished work lies in hidden folders that vanish with their process, or at the next start when that was killed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .child import end_marked

PREFIX = ".aisp-tmp-"
_LOCK = ".lock"
_STREAM = re.compile(r"/dev/(?:stdout|stderr|fd/\d+)|/proc/self/fd/\d+")
"""Paths that name an already open file."""
_OURS = re.compile(re.escape(PREFIX) + "[0-9a-f]{32}" + re.escape(_LOCK))


def cache_folder() -> Path:
    """$AISP_CACHE, else $XDG_CACHE_HOME/aisp-prof, else ~/.cache/aisp-prof: everything in it can be rebuilt."""
    if own := os.environ.get("AISP_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aisp-prof"


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
    while True:
        lock = parent / f"{PREFIX}{uuid.uuid4().hex}{_LOCK}"
        with lock.open("x") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink == 0:
                continue  # `remove_abandoned` took it for a dead process's before it was locked
            try:
                file.write(mark)
                file.flush()
                yield lock
            finally:
                lock.unlink(missing_ok=True)
            return


def remove_abandoned(parent: Path) -> list[str]:
    """Remove what killed processes left in `parent`, ending their surviving children first; returns the folders' names."""
    removed = []
    for lock in sorted(path for path in parent.glob(f"{PREFIX}*{_LOCK}") if _is_ours(path)):
        with contextlib.suppress(OSError), lock.open() as file:  # gone by now, or its owner is alive: BlockingIOError
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if mark := file.read():
                end_marked(mark)
            folder = lock.with_name(lock.name.removesuffix(_LOCK))
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            removed.append(folder.name)
    return removed


def _is_ours(lock: Path) -> bool:
    """The folder may be somebody else's: opening a pipe would block, and reading a link to a device would never end."""
    return bool(_OURS.fullmatch(lock.name)) and lock.is_file() and not lock.is_symlink()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that nobody ever sees half-written, however the process ends: hidden at first, moved into place at the end.

    Raises:
        OSError: the folder is not there, cannot be written, or is full, or `path` is a device, a pipe or a folder; what
            was there before then still is.
    """
    path = path.resolve()  # a link stays, and what it leads to is replaced
    parent = path.parent
    parent.stat()  # `scratch_folder` would make it
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    remove_abandoned(parent)
    with scratch_folder(parent) as work:
        with (work / path.name).open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        (work / path.name).replace(path)


def write_whole(path: Path, data: bytes) -> None:
    """Write these bytes as a `whole_file`.

    Raises:
        OSError: as there.
    """
    with whole_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """As `whole_file`; but a device or a pipe (`/dev/stdout`), which keeps nothing, is written to directly.

    Raises:
        OSError: as there.
    """
    if (path.exists() and not path.is_file() and not path.is_dir()) or _STREAM.fullmatch(str(path.absolute())):
        with path.open("wb") as file:
            yield file
        return
    with whole_file(path) as file:
        yield file


def append_whole(path: Path, data: bytes) -> None:
    """Append to a file that others also write to; if that fails, it holds what it held before and no more.

    Raises:
        OSError: it cannot be written, or the disk is full.
    """
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        left = memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            if path.is_file():
                file.truncate(before)
            raise


@contextlib.contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """A hidden folder in `folder`, whose files move there at the end, all of them or, where one could not be written, none.

    Raises:
        OSError: the folder cannot be made or written, or is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    with scratch_folder(folder) as work:
        yield work
        made = sorted(work.iterdir())
        if taken := [folder / one.name for one in made if (folder / one.name).is_dir()]:
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(taken[0]))
        for one in made:
            settle(one)
        for one in made:
            one.replace(folder / one.name)


def settle(path: Path) -> None:
    """Flush a file's contents, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Wait until no other process is within `only_one` of this folder, which is created if it does not exist.

    Needed by whoever checks that files are unchanged before writing them: another writer could come in between.
    The lock is on the folder itself, so that it leaves no file behind.

    Raises:
        OSError: the folder cannot be made, or its file system knows no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes; for small files from untrusted sources.

    Raises:
        OSError: it cannot be read, is a pipe, a device or a folder, or larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for a writer
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "no regular file", str(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(0, f"more than {most:,} bytes", str(path))
    return data
