"""What only this user knows, and by which the cache knows files again."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from ....machine.files import scratch_folder

SIZE = 32
"""Bytes, of the system's randomness."""


def secret_in(folder: Path) -> bytes | None:
    """The secret of a cache folder, made when first asked for; None where none can be kept there, or others could read it."""
    path = folder / "traces.secret"
    return _read(path) or _made(path)


def _read(path: Path) -> bytes | None:
    """What lies there, where it is a whole secret of this user's alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077 or facts.st_uid != os.geteuid():
            return None
        found = file.read(SIZE + 1)
    return found if len(found) == SIZE else None


def _made(path: Path) -> bytes | None:
    """A new one, whole before it has its name; the other's where two make one at the same time."""
    with suppress(OSError), scratch_folder(path.parent) as work:
        new = os.open(work / path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(new, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(new)
        with suppress(FileExistsError):
            os.link(work / path.name, path)
    return _read(path)
