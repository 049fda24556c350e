"""Lines of text made of columns, a block of rows at a time on all cores: by the compiled core, else by Python's `%`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...profiler.arrays.blocks import in_order
from ...profiler.arrays.codes import Codes
from ...profiler.core import library
from ...profiler.core.library import MICRO, NOTHING, SAID, SHORTEST, WHOLE

_ROWS = 1 << 13
_ROOM = 1 << 21
_LONGEST = 25
"""Bytes of the longest number: 20 of an integer, 21 as µs, 24 of a real."""
_SMALLEST, _LARGEST = 1e-4, 1e16
"""Between them Python writes reals without an exponent, and the core can."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What stands in each line, from left to right.

    before    text in front of the value
    values    int64 (µs of ns where `kind` says so), float64, or codes of texts, shape (n,); None: only `before`
    kind      how values are written: WHOLE, MICRO, SAID or SHORTEST
    texts     what codes mean
    where     a mask of the lines that have this part, shape (n,); None: all
    """

    before: str
    values: NDArray[Any] | None = None
    kind: int = WHOLE
    texts: Sequence[str] = ()
    where: NDArray[np.bool_] | None = None


def said(
    before: str, values: NDArray[Any], spell: Callable[[int], str], where: NDArray[np.bool_] | None = None
) -> Part:
    """Texts, each spelled once, of an integer column."""
    used = Codes.of(values)
    return Part(before, used.code, SAID, [spell(value) for value in used.values.tolist()], where)


def real(before: str, values: NDArray[np.float64], where: NDArray[np.bool_] | None = None) -> Iterator[Part]:
    """Numbers as Python writes them: the fewest digits that read as the same double. Those with an exponent it writes itself."""
    size = np.abs(values)
    plain = (size == 0) | ((size >= _SMALLEST) & (size < _LARGEST))
    if plain.all():
        yield Part(before, values, SHORTEST, where=where)
        return
    there = np.True_ if where is None else where
    rest = np.where(plain, 0.0, values)
    bits, code = np.unique(rest.view(np.int64), return_inverse=True)
    yield Part(before, np.where(plain, values, 0.0), SHORTEST, where=plain & there)
    yield Part(before, code, SAID, [repr(value) for value in bits.view(np.float64).tolist()], ~plain & there)


def rendered(
    tables: Iterable[tuple[int, Sequence[Part]]], encode: Callable[[str], bytes]
) -> Iterator[bytes | memoryview]:
    """The lines of tables, each so many rows of these parts, in pieces of text."""
    blocks = (block for rows, parts in tables for block in _blocks(rows, parts, encode))
    for pieces in in_order(lambda block: block(), blocks):
        yield from pieces


def _blocks(
    rows: int, parts: Sequence[Part], encode: Callable[[str], bytes]
) -> Iterator[Callable[[], list[bytes | memoryview]]]:
    core = library.core()
    prepared = None if core is None else _Prepared(parts, encode)
    for low in range(0, rows, _ROWS):
        block = slice(low, min(low + _ROWS, rows))
        if core is None or prepared is None:
            yield partial(_by_python, parts, block, encode)
        else:
            yield partial(prepared.lines, core, block)


def _by_python(parts: Sequence[Part], block: slice, encode: Callable[[str], bytes]) -> list[bytes | memoryview]:
    template, columns = "", []
    for part in parts:
        before = part.before.replace("%", "%%")
        if part.values is None and part.where is None:
            template += before
            continue
        template += before + "%s" if part.where is None else "%s"
        columns.append(_spelled(part, block))
    cells = zip(*columns, strict=True) if columns else repeat((), block.stop - block.start)
    return [encode("".join(map(template.__mod__, cells)))]


def _spelled(part: Part, block: slice) -> list[Any]:
    """The values of a part, with what stands before them where not all lines have it."""
    cells: list[Any] = [""] * (block.stop - block.start) if part.values is None else part.values[block].tolist()
    if part.kind == SAID:
        cells = [part.texts[code] for code in cells]
    elif part.kind == MICRO:
        cells = [micro(value) for value in cells]
    if part.where is None:
        return cells
    there = part.where[block].tolist()
    return [f"{part.before}{cell}" if is_there else "" for cell, is_there in zip(cells, there, strict=True)]


def micro(ns: int) -> str:
    """Nanoseconds as µs with three decimals; nothing is rounded."""
    whole, rest = divmod(abs(ns), 1000)
    return f"{'-' if ns < 0 else ''}{whole}.{rest:03d}"


class _Prepared:
    """Parts as the core takes them; holds what it points at."""

    def __init__(self, parts: Sequence[Part], encode: Callable[[str], bytes]) -> None:
        self._held: list[Any] = []
        self._longest = 0
        self._parts = (library.Part * len(parts))(*(self._part(part, encode) for part in parts))

    def _part(self, part: Part, encode: Callable[[str], bytes]) -> library.Part:
        before = encode(part.before)
        told = library.Part(kind=NOTHING, before=before, before_length=len(before))
        if part.where is not None:
            told.where = self._pointer(np.ascontiguousarray(part.where))
        longest = 0
        if part.values is not None:
            values = part.values if part.values.dtype.itemsize == 8 else part.values.astype(np.int64)
            told.kind, told.values, told.stride = part.kind, self._pointer(values), values.strides[0]
            longest = self._texts(told, [encode(text) for text in part.texts]) if part.kind == SAID else _LONGEST
        self._held.append(before)
        self._longest += len(before) + longest
        return told

    def _texts(self, told: library.Part, texts: Sequence[bytes]) -> int:
        """Puts them there; the length of the longest."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        joined = b"".join(texts)
        self._held.append(joined)
        told.texts, told.ends, told.count = joined, self._pointer(np.cumsum(lengths)), len(texts)
        return int(lengths.max(initial=0))

    def _pointer(self, array: NDArray[Any]) -> int:
        self._held.append(array)
        return int(array.ctypes.data)

    def lines(self, core: ctypes.CDLL, block: slice) -> list[bytes | memoryview]:
        """The text of a block of rows.

        Raises:
            IndexError: there is a code without a text.
        """
        room = max(self._longest, min(_ROOM, self._longest * (block.stop - block.start)))
        job = library.Lines(
            parts=self._parts,
            count=len(self._parts),
            low=block.start,
            high=block.stop,
            room=room,
            longest=self._longest,
        )
        pieces: list[bytes | memoryview] = []
        while job.low < job.high:
            piece = np.empty(room, np.uint8)
            job.out = piece.ctypes.data
            written = core.aisp_lines(ctypes.byref(job))
            if written < 0:
                raise IndexError(f"row {job.low}: a code without a text")
            pieces.append(piece[:written].data)
        return pieces
