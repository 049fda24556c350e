"""What a file is, told by all of its bytes."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from ...arrays.blocks import workers

READER = (Path(__file__).parents[1], Path(__file__).parents[2] / "arrays")
"""The rooms of all code that decides what a trace becomes."""

_PART = 8 << 20
_STEP = 1 << 18  # stays in a core's cache


def fingerprint(path: Path) -> str:
    """The SHA-256 of the SHA-256s of the file's parts of 8 MiB, and its length, in hex.

    A hash of the whole file and not its time, size or some of its pages: two exports of one length differ in a few bytes,
    and a cache that answers for the wrong trace would make a proof of nothing. In parts because several cores can then
    share the work: 1.6 GB take 0.5 s on two of them.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size

        def digest(offset: int) -> bytes:
            found, buffer, stop = hashlib.sha256(), memoryview(bytearray(_STEP)), min(offset + _PART, size)
            while offset < stop and (got := os.preadv(descriptor, [buffer[: stop - offset]], offset)):
                found.update(buffer[:got])
                offset += got
            return found.digest()

        with ThreadPoolExecutor(workers()) as pool:
            parts = list(pool.map(digest, range(0, size, _PART)))
    finally:
        os.close(descriptor)
    return hashlib.sha256(b"".join([*parts, str(size).encode()])).hexdigest()


@cache
def reader_fingerprint() -> str:
    """The SHA-256 of the reader's own code: what another reader has cached is not what this one would read."""
    digest = hashlib.sha256()
    for file in sorted(file for folder in READER for file in folder.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
