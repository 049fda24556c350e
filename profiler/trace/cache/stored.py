"""Columns in one file, each in as few bytes as hold it, read back one by one as they were."""

from __future__ import annotations

import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL
from dataclasses import dataclass, field, fields
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import TraceError
from ...arrays.blocks import BLOCK, each_block, gathered, workers
from ...arrays.codes import Codes, narrowest
from ...arrays.groups import distinct_values, few_codes, looked_up
from ...arrays.growing import constant, is_constant
from ...arrays.rows import Rows
from ...arrays.types import Int64
from ...core.library import core

_NARROW = tuple(np.dtype(kind) for kind in ("u1", "u2", "u4"))
_COUNTED_FROM = {"end": "start"}
"""Columns that are stored as the difference from another one: lengths take half the bytes of ends."""
_MOST_VALUES = 1 << 12
_ALIGNED = 64
"""Bytes; every column begins at a multiple."""
_PART = 8 << 20
_STEP = 1 << 18  # stays in a core's cache
_ODD = np.arange(1, _STEP // 4 + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
_ODD = ((_ODD ^ _ODD >> np.uint64(29)) * np.uint64(0xC4CEB9FE1A85EC53)) | np.uint64(1)
How = dict[str, Any]
"""How one column is stored, as plain JSON data."""


class ColumnFile:
    """The open file. It is read through its descriptor, so that it stays readable if it is renamed or deleted meanwhile."""

    def __init__(self, path: Path, new: bool = False) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL if new else os.O_RDONLY, 0o600)
        self.size = os.fstat(self.descriptor).st_size
        self._lock = Lock()
        self._written: dict[int, int] = {}
        weakref.finalize(self, os.close, self.descriptor)

    def room(self, size: int) -> int:
        """Where `size` new bytes may be written."""
        with self._lock:
            at, self.size = self.size, self.size + size + -size % _ALIGNED
            os.ftruncate(self.descriptor, self.size)
        return at

    def write(self, content: NDArray[Any], at: int) -> None:
        """Write to a part of some room that begins at a multiple of four bytes, once."""
        flat = np.ascontiguousarray(content).view(np.uint8).reshape(-1)
        self._weigh(flat, at)
        view = flat.data
        while view:
            done = os.pwrite(self.descriptor, view, at)
            view, at = view[done:], at + done

    def _weigh(self, content: NDArray[np.uint8], at: int) -> None:
        """Count what is written into the sums of its parts, as `sums` would."""
        low, stop = at, at + len(content)
        while low < stop:
            high = min(stop, low + _STEP - low % _STEP)
            words = np.zeros((high - low + 3) // 4, np.uint32)
            words.view(np.uint8)[: high - low] = content[low - at : high - at]
            found = _weighed(words, low % _STEP // 4) * int(_ODD[low % _PART // _STEP])
            with self._lock:
                self._written[low // _PART] = (self._written.get(low // _PART, 0) + found) % (1 << 64)
            low = high

    def finished(self) -> list[int]:
        """As `sums`, of what was written, without reading it."""
        return [self.size, *(self._written.get(part, 0) for part in range(-(-self.size // _PART)))]

    def read(self, into: NDArray[Any], at: int) -> None:
        """Fill an array.

        Raises:
            TraceError: the file was truncated.
        """
        view = into.data.cast("B")
        while view:
            got = os.preadv(self.descriptor, [view], at)
            if not got:
                raise TraceError("the cache of this trace was cut while it was read", "run the command again")
            view, at = view[got:], at + got

    def sums(self) -> list[int]:
        """The file's length, and a sum of every `_PART` of it, in their order, made on all cores: what CRC-32 finds at a multiple of
        its speed.

        Each four bytes count as a number times an odd one of its place, modulo 2^64: no change of a single number leaves a sum as
        it was, and one of several does with a chance of about 2^-32. It tells a damaged file; only the user can write to it.

        Raises:
            OSError: it cannot be read.
        """

        def one(at: int) -> int:
            total, stop, words = 0, min(at + _PART, self.size), np.zeros(_STEP // 4, np.uint32)
            for place, low in zip(_ODD.tolist(), range(at, stop, _STEP), strict=False):
                size = min(_STEP, stop - low)
                if size < _STEP:
                    words[:] = 0
                self.read(words.view(np.uint8)[:size], low)
                total += _weighed(words) * place
            return total % (1 << 64)

        with ThreadPoolExecutor(workers()) as pool:
            return [self.size, *pool.map(one, range(0, self.size, _PART))]


def _weighed(words: NDArray[np.uint32], first: int = 0) -> int:
    """The weighed sum of words that lie from place `first` on in their step."""
    library, weights = core(), _ODD[first : first + len(words)]
    if library is None:
        return int(np.dot(words.astype(np.uint64), weights))
    total: int = library.aisp_weighed(len(words), words.ctypes.data, weights.ctypes.data)
    return total


@dataclass(slots=True)
class StoredRows:
    """Columns that are read when asked for (a `Supply`). `how` says how each is stored."""

    file: ColumnFile
    length: int
    how: dict[str, How] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.length

    def column(self, name: str, rows: Rows) -> NDArray[Any]:
        how = self.how[name]
        if "constant" in how:
            return constant(how["constant"], self.length, how["dtype"])
        if "first" in how:
            return np.arange(how["first"], how["first"] + self.length, dtype=how["dtype"])
        if "values" in how:
            return gathered(np.array(how["values"], how["dtype"]), self._raw(how))
        if "base" not in how:
            return self._raw(how)
        return self._widened(how, np.ascontiguousarray(getattr(rows, how["after"])) if "after" in how else None)

    def codes(self, name: str) -> Codes | None:
        how = self.how[name]
        return Codes(self._raw(how), np.array(how["values"], np.int64)) if "values" in how else None

    def _raw(self, how: How) -> NDArray[Any]:
        column = np.empty(self.length, how["stored"])
        self.file.read(column, how["at"])
        return column

    def _widened(self, how: How, before: Int64 | None) -> Int64:
        """The differences of each block to its base, and to the column `before` that they were counted from."""
        column = np.empty(self.length, np.int64)
        kind, library = np.dtype(how["stored"]), core()

        def widen(block: slice) -> None:
            narrow = np.empty(block.stop - block.start, kind)
            self.file.read(narrow, how["at"] + block.start * kind.itemsize)
            if library is not None and kind in _NARROW:
                least, after = how["base"][block.start // BLOCK], None if before is None else before[block].ctypes.data
                out = column[block]
                library.aisp_widen(len(out), narrow.ctypes.data, kind.itemsize, least, after, out.ctypes.data)
                return
            np.add(narrow, how["base"][block.start // BLOCK], out=column[block], dtype=np.int64, casting="unsafe")
            if before is not None:
                column[block] += before[block]

        each_block(self.length, widen)
        return column


def store(rows: Rows, file: ColumnFile) -> StoredRows:
    """Append all columns of some rows to the file, and return rows that read from it.

    Raises:
        OSError: the disk is full.
    """
    names = [f.name for f in fields(rows)]
    with ThreadPoolExecutor(workers()) as pool:
        how = pool.map(lambda name: _stored(rows, name, file), names)
        return StoredRows(file, len(rows), dict(zip(names, how, strict=True)))


def _stored(rows: Rows, name: str, file: ColumnFile) -> How:
    """As one value, as a run of numbers, as places in a list of few values, or as differences to the least value of each
    block."""
    column: NDArray[Any] = getattr(rows, name)
    how: How = {"dtype": column.dtype.str}
    if not len(column) or is_constant(column) or (column[-1] == column[0] and bool((column == column[0]).all())):
        return {**how, "constant": column[0].item() if len(column) else 0}
    if column.dtype != np.int64:
        return {**how, **_written(file, column)}
    if name == "row" and _is_run(column):
        return {**how, "first": int(column[0])}
    after = _COUNTED_FROM.get(name)
    few = None if after else _few_values(column)
    if few is not None:
        return {**how, **_written(file, few.code), "values": few.values.tolist()}
    if after:
        return {**how, **_narrowed(file, column, getattr(rows, after)), "after": after}
    return {**how, **_narrowed(file, column, None)}


def _written(file: ColumnFile, column: NDArray[Any]) -> How:
    at = file.room(column.nbytes)
    file.write(column, at)
    return {"at": at, "stored": column.dtype.str}


def _is_run(column: Int64) -> bool:
    if int(column[-1]) - int(column[0]) != len(column) - 1:
        return False
    return all(
        bool((column[low + 1 : low + BLOCK + 1] - column[low : low + BLOCK][: len(column) - low - 1] == 1).all())
        for low in range(0, len(column) - 1, BLOCK)
    )


def _few_values(column: Int64) -> Codes | None:
    """The codes of the distinct values where they are few."""
    if len(np.unique(column[:: max(1, len(column) // _MOST_VALUES)])) > _MOST_VALUES // 2:
        return None
    if (few := few_codes(column)) is not None:
        return Codes(*few)
    values = distinct_values(column)
    if len(values) > _MOST_VALUES:
        return None
    return Codes(looked_up(column, values, np.arange(len(values), dtype=narrowest(len(values)))), values)


def _narrowed(file: ColumnFile, column: Int64, before: Int64 | None) -> How:
    """Every block's least value, and the differences to it in the narrowest unsigned integers that hold all of them."""
    blocks = [slice(low, min(low + BLOCK, len(column))) for low in range(0, len(column), BLOCK)]
    library = core()
    if library is not None:
        return _narrowed_by(library, file, column, before, blocks)

    def part(block: slice) -> Int64:
        return column[block] if before is None else column[block] - before[block]

    kind, base = _narrowest([(int(values.min()), int(values.max())) for values in map(part, blocks)])
    at = file.room(len(column) * kind.itemsize)
    for block, least in zip(blocks, base, strict=True):
        file.write((part(block) - least).astype(kind), at + block.start * kind.itemsize)
    return {"at": at, "stored": kind.str, "base": base}


def _narrowest(bounds: list[tuple[int, int]]) -> tuple[np.dtype[Any], list[int]]:
    """What holds the differences to the least value of every block, and these; differences to 0 where only int64 does."""
    widest = max(high - low for low, high in bounds)
    kind = next((kind for kind in _NARROW if widest <= np.iinfo(kind).max), np.dtype(np.int64))
    return kind, [low if kind.kind == "u" else 0 for low, _ in bounds]


def _narrowed_by(library: CDLL, file: ColumnFile, column: Int64, before: Int64 | None, blocks: list[slice]) -> How:
    """The same by the compiled core."""
    flat, other = np.ascontiguousarray(column), None if before is None else np.ascontiguousarray(before)

    def where(block: slice) -> tuple[int, int, int, int | None]:
        return (
            block.stop - block.start,
            BLOCK,
            flat[block].ctypes.data,
            None if other is None else other[block].ctypes.data,
        )

    found = np.empty((2, len(blocks)), np.int64)
    library.aisp_bounds(*where(slice(0, len(flat))), *(part.ctypes.data for part in found))
    kind, base = _narrowest(list(zip(*found.tolist(), strict=True)))
    at = file.room(len(column) * kind.itemsize)
    if kind.kind != "u":
        file.write(flat if other is None else flat - other, at)
        return {"at": at, "stored": kind.str, "base": base}
    narrow, least = np.empty(BLOCK, kind), np.array(base)
    for number, block in enumerate(blocks):
        library.aisp_narrow(*where(block), least[number:].ctypes.data, kind.itemsize, narrow.ctypes.data)
        file.write(narrow[: block.stop - block.start], at + block.start * kind.itemsize)
    return {"at": at, "stored": kind.str, "base": base}
