"""Records of table leaf pages, decoded for many cells at once.

Source: "Database File Format" of SQLite's documentation, sections "A Variable-Length Integer", "Record Format" and
"Cell Payload Overflow Pages". Two kinds of rows: those whose serial types are one byte each, so that the type of column
j is at a known position, and the rest (long text), whose headers are walked. Rows that reach onto overflow pages are
left to
SQLite's library, as `spilled`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays.types import Bools, Int64
from .pages import CONTINUES, LEAF, Bytes, Impossible, Leaves, PageFile, Unusual, Words, cells, varints, words

NULL, FLOAT, ZERO, ONE, BLOB = 0, 7, 8, 9, 12
"""Serial types; 1 to 6 are integers of 1, 2, 3, 4, 6 and 8 bytes, 12 and above are BLOB (even) and TEXT (odd); 10 and
11 are reserved, and every check refuses them."""
_SIZE = np.array([0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0, *((t - 12) // 2 for t in range(12, 128))], np.int64)


@dataclass(frozen=True, slots=True)
class Batch:
    """Cells of some leaf pages. `header` is where each record's header begins, `stop` where its local payload ends."""

    content: Bytes
    words: Words
    row: Int64
    header: Int64
    stop: Int64
    spilled: Bools


def read_batch(file: PageFile, leaves: Leaves) -> Batch:
    """All cells of these leaf pages.

    Raises:
        Unusual: anything that is not a table leaf, or that reaches outside its page.
        Impossible: rowids that do not ascend, or that lie beyond those between the leaves. SQLite's library returns
            such rows when it scans a table, but others or none when it looks a rowid up.
    """
    content = file.read(leaves.numbers)
    loads = words(content)
    page, at = cells(file, content, LEAF)
    end = (page + 1) * file.size - (file.size - file.usable)
    payload, at = varints(loads, at, len(content))
    row, at = varints(loads, at, len(content))
    spilled = payload > file.usable - 35
    stop = np.where(spilled, end, at + payload)
    if (stop > end).any() or (at >= end).any():
        raise Unusual("a record that leaves its page")
    if spilled.any() and ((at + _local(payload, file.usable) + 4)[spilled] > end[spilled]).any():
        raise Unusual("a record that leaves its page before it overflows")
    _check_order(leaves, page, row)
    return Batch(content, loads, row, at, stop, spilled)


def _local(payload: Int64, usable: int) -> Int64:
    """How much of an overflowing record lies on its leaf."""
    if int(payload.max()) >= 1 << 31:
        raise Unusual("a record longer than SQLite reads")
    least = (usable - 12) * 32 // 255 - 23
    rest = least + (payload - least) % (usable - 4)
    return np.where(rest <= usable - 35, rest, least)


def _check_order(leaves: Leaves, page: Int64, row: Int64) -> None:
    begin = np.searchsorted(page, np.arange(len(leaves) + 1))
    if len(leaves) > 1 and (np.diff(begin) == 0).any():
        raise Unusual("an empty leaf among others")
    if not len(row):
        return
    first, last = row[begin[:-1]], row[begin[1:] - 1]
    if (row[1:] <= row[:-1]).any() or (first <= leaves.above).any() or (last > leaves.upto).any():
        raise Impossible("its rowids do not ascend")


class Records:
    """Serial types and positions of the columns of some rows, computed as they are asked for."""

    def __init__(self, batch: Batch, rows: Int64 | slice, columns: int, plain: bool) -> None:
        self.batch = batch
        self.columns = columns
        self.stop = batch.stop[rows]
        self._header = batch.header[rows]
        self._length = batch.content[self._header].astype(np.int64)
        self._types: dict[int, Int64 | NDArray[np.uint8]] = {}
        self._bounds: dict[int, tuple[int, int]] = {}
        self._walked = 0
        self._at = self._header + self._length
        if not plain:
            self._walk_headers()

    def types(self, column: int) -> Int64 | NDArray[np.uint8]:
        """Serial types of one column, shape (rows,)."""
        if column not in self._types:
            self._types[column] = self.batch.content[self._header + (1 + column)]
        return self._types[column]

    def bounds(self, column: int) -> tuple[int, int]:
        """The lowest and the highest serial type of a column: most columns have one."""
        if column not in self._bounds:
            types = self.types(column)
            self._bounds[column] = (int(types.min()), int(types.max())) if len(types) else (NULL, NULL)
        return self._bounds[column]

    def positions(self, column: int) -> Int64:
        """Where one column's values begin. Columns must be asked for in order.

        Raises:
            Unusual: a value that ends after its record.
        """
        step: int | Int64 = 0
        while self._walked < column:
            step = step + self._sizes(self._walked)
            self._walked += 1
        if isinstance(step, np.ndarray) or step:
            self._at = self._at + step
        if ((self._at + self._sizes(column)) > self.stop).any():
            raise Unusual("a value that leaves its record")
        return self._at

    def check_end(self, column: int) -> None:
        """Check that the columns up to the last one asked for lie within their records; where it is the table's last, that
        it ends where the record does. SQLite's library refuses other records.

        Raises:
            Unusual: they do not.
        """
        end = self.positions(column) + self._sizes(column)
        if column == self.columns - 1 and (end != self.stop).any():
            raise Unusual("a record that goes on behind its last column")

    def _sizes(self, column: int) -> int | Int64:
        """Bytes that the values of a column take: one number if all are equal."""
        low, high = self.bounds(column)
        types = self.types(column)
        if low == high:
            return int(_SIZE[low]) if low < len(_SIZE) else (low - BLOB) >> 1
        if types.dtype == np.uint8:
            return _SIZE[types]
        return np.where(types < BLOB, _SIZE[np.minimum(types, BLOB)], (types - BLOB) >> 1)

    def _walk_headers(self) -> None:
        """Read every serial type as a varint.

        Raises:
            Unusual: a record of fewer columns than the table has (ALTER TABLE ADD COLUMN), or more.
        """
        size = len(self.batch.content)
        length, at = varints(self.batch.words, self._header, size)
        end = self._header + length
        self._at = end
        for column in range(self.columns):
            if (at >= end).any():
                raise Unusual("a record of fewer columns")
            self._types[column], at = varints(self.batch.words, at, size)
        if (at != end).any() or (end > self.stop).any():
            raise Unusual("a header that does not end where it says")


def plain_rows(batch: Batch, columns: int) -> Bools:
    """Which rows have a header of one byte for itself and one for each column: 1 + columns < 128 bytes."""
    inside = batch.header + 1 + columns <= batch.stop
    plain: Bools = (batch.content[batch.header] == 1 + columns) & inside & ~batch.spilled & (columns < 127)
    header = batch.header[plain] if not plain.all() else batch.header
    if len(header) and int(header.max()) + 1 + columns + 8 > len(batch.content):
        header = np.minimum(
            header, len(batch.content) - columns - 9
        )  # then the check below errs on the safe side: not plain
        plain &= batch.header <= len(batch.content) - columns - 9
        header = batch.header[plain]
    wide = np.zeros(len(header), np.uint64)
    for first in range(0, columns, 8):
        mask = (1 << (8 * min(8, columns - first))) - 1
        wide |= batch.words[header + (1 + first)] & np.uint64(mask & int(CONTINUES))
    plain[plain] = wide == 0
    return plain
