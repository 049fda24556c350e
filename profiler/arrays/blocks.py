"""Work on long columns block by block, on all cores: a block's data stays in a core's cache, and no intermediate array
is as long as the column. numpy releases the interpreter's lock, so threads are enough."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from ctypes import byref
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.library import Column, core

BLOCK = 1 << 17
"""Elements: 1 MiB of int64."""

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Value = TypeVar("_Value", bound=np.generic)


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


def gathered(column: NDArray[_Value], chosen: NDArray[Any]) -> NDArray[_Value]:
    """`column[chosen]` for an array of indices."""
    if len(chosen) < 2 * BLOCK:
        some: NDArray[_Value] = column[chosen]
        return some
    taken = np.empty((len(chosen), *column.shape[1:]), column.dtype)
    library = core() if _plain(column, chosen) else None  # it takes half of numpy's time

    def gather(block: slice) -> None:
        some, out = chosen[block], taken[block]
        found = (len(column), column.ctypes.data, column.itemsize, out.ctypes.data)
        if library is None or library.aisp_gather(len(some), byref(Column.of(some)), *found):
            out[:] = column[some]

    each_block(len(chosen), gather)
    return taken


def _plain(column: NDArray[Any], chosen: NDArray[Any]) -> bool:
    """Whether the compiled core can gather: one value after the other, by indices of which none is meant from the end."""
    counted = chosen.dtype.kind == "u" or chosen.dtype == np.int64
    return (
        counted
        and chosen.flags.c_contiguous
        and column.ndim == 1
        and column.flags.c_contiguous
        and column.dtype.kind in "iufb"
    )


def in_order(work: Callable[[_Item], _T], items: Iterable[_Item], threads: int | None = None) -> Iterator[_T]:
    """`work` for every item on all cores, the results in the order of the items. Items are taken, and results held,
    only as far ahead as keeps the cores busy."""
    threads = workers() if threads is None else threads
    if threads < 2:
        yield from map(work, items)
        return
    running: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                running.append(pool.submit(work, item))
                if len(running) > 2 * threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for waiting in running:
                waiting.cancel()


def ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The items, each made while the one before is in use; where there is one core, when it is asked for."""
    if workers() < 2:
        yield from items
        return
    nothing, source = object(), iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Any] = pool.submit(next, source, nothing)
        while (item := coming.result()) is not nothing:
            coming = pool.submit(next, source, nothing)
            yield item


def both(one: Callable[[], _T], other: Callable[[], _Item]) -> tuple[_T, _Item]:
    """What two pieces of work give, done beside each other where there are cores."""
    if workers() < 2:
        return one(), other()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(other)
        return one(), coming.result()
