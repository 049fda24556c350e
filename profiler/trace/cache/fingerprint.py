"""The identity of a file, computed from all of its bytes."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from ...arrays.blocks import workers

READER = (Path(__file__).parents[1], *(Path(__file__).parents[2] / room for room in ("arrays", "core")))
"""The packages that hold all code that decides what a trace becomes."""

_PART = 8 << 20
_STEP = 1 << 18  # stays in a core's cache


def fingerprint(path: Path) -> str:
    """The SHA-256 of the SHA-256s of the file's parts of 8 MiB, and its length, in hex.

    The hash covers the whole file, not its time, its size or some of its pages: two exports of the same length may
    differ in a few bytes, and a cache that answered for the wrong trace would prove nothing. It works in parts so that
    several cores can share the work: 1.6 GB take 0.5 s on two of them.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size

        def digest(offset: int) -> bytes:
            sha256, buffer, stop = hashlib.sha256(), memoryview(bytearray(_STEP)), min(offset + _PART, size)
            while offset < stop and (got := os.preadv(descriptor, [buffer[: stop - offset]], offset)):
                sha256.update(buffer[:got])
                offset += got
            return sha256.digest()

        with ThreadPoolExecutor(workers()) as pool:
            parts = list(pool.map(digest, range(0, size, _PART)))
    finally:
        os.close(descriptor)
    return hashlib.sha256(b"".join([*parts, str(size).encode()])).hexdigest()


@cache
def reader_fingerprint() -> str:
    """The SHA-256 of the reader's own code: what another version has cached may not be what this one would read."""
    digest = hashlib.sha256()
    for file in sorted(file for folder in READER for kind in ("*.py", "*.c", "*.h") for file in folder.rglob(kind)):
        digest.update(file.read_bytes())
    return digest.hexdigest()
