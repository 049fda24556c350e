"""A table's leaves into columns by the compiled core, where it is: the same columns that `pieces.assembled` makes.

The core refuses whatever is not the plain case, and numpy's reader then says what it is. So it answers less often, and
never differently.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....errors import EnvironmentLacks
from ...arrays.blocks import workers
from ...arrays.growing import constant
from ...arrays.types import Bools, Int64
from ...core.library import (
    ALIAS,
    ALL_NULL,
    INTEGER,
    MEMORY,
    MOST_COLUMNS,
    NO_NULL,
    REAL,
    ROOM,
    TEXT,
    Decode,
    Wanted,
    core,
)
from .pages import Leaves, PageFile
from .scan import Integers, Scan, Texts

_SPILLED = 1 << 16
"""Rows on overflow pages, at most; with more, the table is read in the other way."""


class Column(NamedTuple):
    """A column to read: its position in the table's records, and what it is to the core."""

    place: int
    name: str
    kind: int


def kinds(
    integers: Sequence[str], reals: Sequence[str], texts: Sequence[str], place: Mapping[str, int], alias: str
) -> list[Column]:
    """The columns in the order of the table."""
    named = [
        *((name, ALIAS if name.lower() == alias else INTEGER) for name in integers),
        *((name, REAL) for name in reals),
        *((name, TEXT) for name in texts),
    ]
    return sorted(Column(place[name.lower()], name, kind) for name, kind in named)


def scanned(
    file: PageFile, leaves: Leaves, expected: int, table_columns: int, columns: Sequence[Column]
) -> tuple[Scan, Int64] | None:
    """The columns, and the positions of rows that SQLite's library has yet to read; None where there is no core, or the
    table is not the plain case.

    Args:
        expected: how many rows are likely; 0 where nothing is known.

    Raises:
        EnvironmentLacks: memory ran out.
    """
    library = core()
    if library is None or len(columns) > MOST_COLUMNS or len({one.place for one in columns}) < len(columns):
        return None
    job = _Job(file, leaves, table_columns, columns)
    rows = job.run(library, expected) if expected else ROOM
    if rows == ROOM:
        count = library.aisp_count(job.decode)
        rows = job.run(library, count) if count >= 0 else count
    try:
        if rows == MEMORY:
            raise EnvironmentLacks("memory ran out", "on a machine with more, or of a smaller trace")
        return None if rows < 0 else job.result(library, rows)
    finally:
        job.close(library)


@dataclass(slots=True)
class _Room:
    """Where the core writes a column; memory that it does not write is never taken from the system."""

    values: Int64
    null: NDArray[np.uint8]


class _Job:
    """One table's decoding: what the core is told, and the memory that it writes."""

    def __init__(self, file: PageFile, leaves: Leaves, table_columns: int, columns: Sequence[Column]) -> None:
        self.columns = columns
        self._leaves = [np.ascontiguousarray(part, np.int64) for part in (leaves.numbers, leaves.above, leaves.upto)]
        self._wanted = (Wanted * max(len(columns), 1))(*(Wanted(place=c.place, kind=c.kind) for c in columns))
        self._spilled = np.empty(_SPILLED, np.int64)
        self._row, self._room = np.empty(0, np.int64), list[_Room]()
        self.decode = Decode(
            descriptor=file.descriptor,
            threads=workers(),
            columns=len(columns),
            table_columns=table_columns,
            page_size=file.size,
            usable=file.usable,
            page_count=file.count,
            leaf_count=len(leaves),
            wanted=self._wanted,
            spilled=self._spilled.ctypes.data,
            spilled_room=_SPILLED,
        )
        self.decode.leaves, self.decode.above, self.decode.upto = (part.ctypes.data for part in self._leaves)

    def run(self, library: ctypes.CDLL, rows: int) -> int:
        """Decode into room for so many rows; how many there are, or the core's code."""
        self.close(library)
        self._row = np.empty(rows, np.int64)
        self._room = [_Room(np.empty(rows, np.int64), np.empty(rows, np.uint8)) for _ in self.columns]
        for wanted, room in zip(self._wanted, self._room, strict=False):
            wanted.values, wanted.null = room.values.ctypes.data, room.null.ctypes.data
        self.decode.room, self.decode.row = rows, self._row.ctypes.data
        self.decode.spilled_count = 0
        return int(library.aisp_decode(self.decode))

    def close(self, library: ctypes.CDLL) -> None:
        """Give back what the core holds."""
        for wanted in self._wanted:
            library.aisp_texts_free(wanted.texts)
            wanted.texts = None

    def result(self, library: ctypes.CDLL, rows: int) -> tuple[Scan, Int64]:
        scan = Scan(self._row[:rows])
        for column, wanted, room in zip(self.columns, self._wanted, self._room, strict=False):
            if column.kind == TEXT:
                scan.texts[column.name] = _texts(library, wanted, room, rows)
            elif column.kind == REAL:
                bits = _values(wanted, room, rows)
                scan.reals[column.name] = (
                    constant(bits[:1].view(np.float64)[0], rows, np.float64) if wanted.one_value and rows
                    else bits.view(np.float64)
                )  # fmt: skip
            else:
                scan.integers[column.name] = Integers(_values(wanted, room, rows), _null(wanted, room, rows))
        return scan, np.sort(self._spilled[: self.decode.spilled_count])


def _values(wanted: Wanted, room: _Room, rows: int) -> Int64:
    return constant(wanted.value, rows, np.int64) if wanted.one_value and rows else room.values[:rows]


def _null(wanted: Wanted, room: _Room, rows: int) -> Bools | None:
    if wanted.nulls == NO_NULL:
        return None
    return constant(True, rows, bool) if wanted.nulls == ALL_NULL else room.null[:rows].view(bool)


def _texts(library: ctypes.CDLL, wanted: Wanted, room: _Room, rows: int) -> Texts:
    """Codes by first appearance, whichever thread saw a text first."""
    codes: NDArray[Any] = np.array([wanted.value]) if wanted.one_value and rows else room.values[:rows]
    size = ctypes.c_int64()
    count = library.aisp_texts_number(wanted.texts, codes.ctypes.data, len(codes), size)
    if count == MEMORY:
        raise EnvironmentLacks("memory ran out", "on a machine with more, or of a smaller trace")
    ends, content = np.empty(count, np.int64), np.empty(size.value, np.uint8)
    library.aisp_texts_copy(wanted.texts, ends.ctypes.data, content.ctypes.data)
    whole = content.tobytes()
    values = [whole[low:high] for low, high in pairwise((0, *ends.tolist()))]
    return Texts(constant(codes[0], rows, np.int64) if wanted.one_value and rows else codes, values)
