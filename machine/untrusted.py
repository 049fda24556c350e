"""Small files that others wrote, read whole: no pipe or device that never ends, and no more than such a file may have."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes.

    Raises:
        OSError: it cannot be read, is a pipe, a device or a folder, or larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for who writes into it
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "no regular file", str(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(0, f"more than {most:,} bytes", str(path))
    return data
