"""Work on long columns block by block, on all cores: what a block needs stays in a core's cache, and no array as long as
the column is made in between. numpy computes outside the interpreter's lock, so threads are enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

BLOCK = 1 << 17
"""Elements: 1 MiB of int64."""

_T = TypeVar("_T")


def workers() -> int:
    """How many threads share the work."""
    return min(8, os.cpu_count() or 1)


def each_block(length: int, work: Callable[[slice], _T]) -> list[_T]:
    """`work` for every block of 0…length, in any order; the results in the order of the blocks."""
    blocks = [slice(low, min(low + BLOCK, length)) for low in range(0, length, BLOCK)]
    if len(blocks) < 2 or workers() < 2:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(workers()) as pool:
        return list(pool.map(work, blocks))
