"""The identity of a file, computed from all of its bytes."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from blake3 import blake3

READER = (Path(__file__).parents[1], *(Path(__file__).parents[2] / room for room in ("arrays", "core")))
"""The packages that hold all code that decides what a trace becomes."""

_PACKAGE = Path(__file__).parents[3]
_STEP = 1 << 20


def fingerprint(path: Path) -> str:
    """The BLAKE3 of all bytes.

    It covers the whole file, not its time, its size or some of its pages: two exports of the same length may differ in a few bytes, times can be set
    back, and a cache that answered for the wrong trace would prove nothing. No pair of files with the same value is known. It takes less than half of
    SHA-256's time, which binds whatever is evidence. The file is read rather than mapped: one that shrinks meanwhile must not end the process.

    Raises:
        OSError: it cannot be read.
    """
    hashed, buffer = blake3(max_threads=blake3.AUTO), memoryview(bytearray(_STEP))
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(buffer):
            hashed.update(buffer[:got])
    return f"blake3-{hashed.hexdigest()}"


@cache
def code_fingerprint(*folders: Path) -> str:
    """The SHA-256 of the code in these folders of the package, by its places: what another version has kept may not be what this one
    would make."""
    digest = hashlib.sha256()
    for file in sorted(file for folder in folders for kind in ("*.py", "*.c", "*.h") for file in folder.rglob(kind)):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(_PACKAGE)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
