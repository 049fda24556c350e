"""The identity of a file, computed from all of its bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays.blocks import workers
from ...core.library import KEYED, core

READER = (Path(__file__).parents[1], *(Path(__file__).parents[2] / room for room in ("arrays", "core")))
"""The packages that hold all code that decides what a trace becomes."""

Bytes = NDArray[np.uint8]

_PART = 8 << 20
_STEP = 1 << 18  # stays in a core's cache


def fingerprint(path: Path) -> str:
    """The SHA-256 of the SHA-256s of the file's parts of 8 MiB, and its length, in hex.

    The hash covers the whole file, not its time, its size or some of its pages: two exports of the same length may
    differ in a few bytes, and a cache that answered for the wrong trace would prove nothing. It works in parts so that
    several cores can share the work: 1.6 GB take 0.5 s on two of them.
    """
    return _of_parts(path, lambda step: step)


def keyed_fingerprint(path: Path, secret: bytes) -> str | None:
    """The same of the file's keyed sums, 16 bytes of every 16 KiB, in a fraction of the time; None without the compiled core.

    No two files, chosen without knowing the secret, have the same one but with a chance of 2^-64, as long as SHA-256 holds
    (`aisp_keyed`; the key is SHAKE-256's of the secret). Whoever knows the secret can make two: it is for what one user keeps.
    """
    library = core()
    if library is None:
        return None
    key = np.frombuffer(hashlib.shake_256(secret).digest(8 * KEYED), np.uint64)

    def summed(step: Bytes) -> NDArray[Any]:
        lacking = -len(step) % key.nbytes
        words = (np.append(step, np.zeros(lacking, np.uint8)) if lacking else step).view(np.uint64)
        sums = np.empty(len(words) // KEYED * 2, np.uint64)
        library.aisp_keyed(len(words), words.ctypes.data, key.ctypes.data, sums.ctypes.data)
        return sums

    return _of_parts(path, summed)


def _of_parts(path: Path, told: Callable[[Bytes], NDArray[Any]]) -> str:
    """The SHA-256 of the SHA-256s of what is told of the file's parts, a step at a time, and of its length."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size

        def digest(offset: int) -> bytes:
            sha256, buffer, stop = hashlib.sha256(), np.empty(_STEP, np.uint8), min(offset + _PART, size)
            for low in range(offset, stop, _STEP):
                sha256.update(told(_read(descriptor, buffer[: min(_STEP, stop - low)], low)).data)
            return sha256.digest()

        with ThreadPoolExecutor(workers()) as pool:
            parts = list(pool.map(digest, range(0, size, _PART)))
    finally:
        os.close(descriptor)
    return hashlib.sha256(b"".join([*parts, str(size).encode()])).hexdigest()


def _read(descriptor: int, into: Bytes, offset: int) -> Bytes:
    """Fill an array from there on; what of it was filled, all unless the file was truncated."""
    filled = 0
    while filled < len(into) and (got := os.preadv(descriptor, [into[filled:].data], offset + filled)):
        filled += got
    return into[:filled]


@cache
def reader_fingerprint() -> str:
    """The SHA-256 of the reader's own code: what another version has cached may not be what this one would read."""
    digest = hashlib.sha256()
    for file in sorted(file for folder in READER for kind in ("*.py", "*.c", "*.h") for file in folder.rglob(kind)):
        digest.update(file.read_bytes())
    return digest.hexdigest()
