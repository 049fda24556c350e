"""The fast source: reads plain tables by their pages, several batches at once, and leaves all else to SQLite's library.

Agreement with the library is not hoped for: whatever the reader does not know to be plain raises `Unusual`, and then the
library reads the whole table (or, for rows on overflow pages, those rows). tests/profiler/trace/test_source.py compares
both on random tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..blocks import in_order, workers
from . import values
from .growing import Growing, constant, is_constant
from .pages import PageFile, Unusual, leaves, open_pages
from .records import Records, plain_rows, read_batch
from .scan import Bools, Int64, Integers, Scan, Texts, Wanted
from .sqlite import SqliteSource, quote

PAGES = 768
"""Leaf pages a batch: about 3 MB, 20 000 to 70 000 rows, whose columns stay in a core's cache."""
_MOST_SPILLED = 0.05


@dataclass(frozen=True, slots=True)
class Layout:
    """A table: its root page, how many columns a record has, the place of each, and which is another name of the rowid."""

    root: int
    columns: int
    place: dict[str, int]
    alias: str


@dataclass(slots=True)
class Piece:
    """One batch's columns. `spilled` holds positions of rows that have yet to be read by SQLite's library."""

    row: Int64
    spilled: Int64
    integers: dict[str, Integers] = field(default_factory=dict)
    reals: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    texts: dict[str, tuple[Int64, list[bytes]]] = field(default_factory=dict)


class FastSource(SqliteSource):
    """`file` is the SQLite file that the connection reads, open and unchanged for as long as the source is used."""

    def __init__(self, source: SqliteSource, file: Path) -> None:
        super().__init__(source.connection, source.path)
        self._file = file
        self._counts: dict[str, int] = {}

    def scan(self, table: str, wanted: Wanted) -> Scan:
        try:
            return self._scan(table, wanted)
        except Unusual:
            return super().scan(table, wanted)

    def count(self, table: str) -> int:
        """The number of rows, known already for tables that were scanned."""
        if table not in self._counts:
            self._counts[table] = super().count(table)
        return self._counts[table]

    def _scan(self, table: str, wanted: Wanted) -> Scan:
        layout = self._layout(table)
        file = open_pages(self._file)
        try:
            numbers = leaves(file, layout.root)
            scan, spilled = _assemble(_pieces(file, numbers, layout, wanted), wanted, _expected(file, numbers))
        finally:
            os.close(file.descriptor)
        if len(spilled) > 1000 + _MOST_SPILLED * len(scan):
            raise Unusual("many rows on overflow pages")
        if len(spilled):
            self._patch(table, wanted, scan, spilled)
        self._counts[table] = len(scan)
        return scan

    def _layout(self, table: str) -> Layout:
        """What SQLite says of a table.

        Raises:
            Unusual: generated columns, or added ones with a default: then a record does not hold what a query gives.
        """
        self.connection.text_factory = str
        query = "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?"
        root = self.connection.execute(query, (table,)).fetchone()
        columns = self.connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
        if root is None or any(column[6] for column in columns):
            raise Unusual("generated columns")
        keys = [column for column in columns if column[5]]
        indexed = any(row[3] == "pk" for row in self.connection.execute(f"PRAGMA index_list({quote(table)})"))
        alias = (
            str(keys[0][1]).lower() if len(keys) == 1 and str(keys[0][2]).upper() == "INTEGER" and not indexed else ""
        )
        return Layout(int(root[0]), len(columns), {str(column[1]).lower(): int(column[0]) for column in columns}, alias)

    def _patch(self, table: str, wanted: Wanted, scan: Scan, spilled: Int64) -> None:
        """Let SQLite's library read these rows."""
        found = self.rows(table, wanted, scan.row[spilled].tolist())
        if not np.array_equal(found.row, scan.row[spilled]):
            raise Unusual("rowids that cannot be looked up")
        for name, column in found.integers.items():
            whole = scan.integers[name]
            whole.values = _writable(whole.values)
            whole.values[spilled] = column.values
            if column.null is not None or whole.null is not None:
                null = whole.is_null.copy()
                null[spilled] = column.is_null
                whole.null = null
        for name, reals in found.reals.items():
            scan.reals[name] = _writable(scan.reals[name])
            scan.reals[name][spilled] = reals
        for name, texts in found.texts.items():
            index = {value: code for code, value in enumerate(scan.texts[name].values)}
            scan.texts[name].codes = _writable(scan.texts[name].codes)
            scan.texts[name].codes[spilled] = _merged(texts.codes, texts.values, index)
            scan.texts[name].values = list(index)


def _writable(column: NDArray[Any]) -> NDArray[Any]:
    return column.copy() if is_constant(column) else column


def _pieces(file: PageFile, numbers: Int64, layout: Layout, wanted: Wanted) -> Iterator[Piece]:
    """Decoded batches in the order of the table."""
    parts = [numbers[i : i + PAGES] for i in range(0, len(numbers), PAGES)]
    return in_order(lambda part: _decode(file, part, layout, wanted), parts, min(workers(), len(parts)))


def _decode(file: PageFile, numbers: Int64, layout: Layout, wanted: Wanted) -> Piece:
    batch = read_batch(file, numbers)
    plain = plain_rows(batch, layout.columns)
    if plain.all():
        return _columns(Records(batch, slice(None), layout.columns, True), batch.row, layout, wanted)
    piece = _blank(batch.row, np.flatnonzero(batch.spilled), wanted)
    for rows, is_plain in ((plain, True), (~plain & ~batch.spilled, False)):
        which = np.flatnonzero(rows)
        if len(which):
            records = Records(batch, which, layout.columns, is_plain)
            _place(piece, which, _columns(records, batch.row[which], layout, wanted))
    return piece


def _columns(records: Records, row: Int64, layout: Layout, wanted: Wanted) -> Piece:
    """The wanted columns of some rows, asked for in the order of the table."""
    piece = Piece(row, np.empty(0, np.int64))
    for name in sorted(set(wanted.every), key=lambda name: layout.place[name.lower()]):
        column = layout.place[name.lower()]
        if name in wanted.integers:
            piece.integers[name] = (
                _alias(records, column, row) if name.lower() == layout.alias else values.integers(records, column)
            )
        elif name in wanted.reals:
            piece.reals[name] = values.reals(records, column)
        else:
            piece.texts[name] = values.texts(records, column)
    return piece


def _alias(records: Records, column: int, row: Int64) -> Integers:
    """The INTEGER PRIMARY KEY is the rowid itself; its place in the record holds NULL."""
    if (records.types(column) != 0).any():
        raise Unusual("a stored primary key")
    return Integers(row)


def _blank(row: Int64, spilled: Int64, wanted: Wanted) -> Piece:
    n = len(row)
    return Piece(
        row,
        spilled,
        {name: Integers(np.zeros(n, np.int64), np.ones(n, bool)) for name in wanted.integers},
        {name: np.full(n, np.nan) for name in wanted.reals},
        {name: (np.full(n, -1, np.int64), []) for name in wanted.texts},
    )


def _place(whole: Piece, which: Int64, part: Piece) -> None:
    """Put the columns of some rows among all rows of a batch."""
    for name, column in part.integers.items():
        target = whole.integers[name]
        target.values[which] = column.values
        if target.null is not None:
            target.null[which] = column.is_null
    for name, reals in part.reals.items():
        whole.reals[name][which] = reals
    for name, (codes, found) in part.texts.items():
        index = {value: code for code, value in enumerate(whole.texts[name][1])}
        whole.texts[name][0][which] = _merged(codes, found, index)
        whole.texts[name] = (whole.texts[name][0], list(index))


def _merged(codes: Int64, found: list[bytes], index: dict[bytes, int]) -> Int64:
    """Codes of one list of texts as codes of another, which grows by what is new."""
    known = np.array([*(index.setdefault(value, len(index)) for value in found), -1], np.int64)
    return known[codes]


def _assemble(pieces: Iterator[Piece], wanted: Wanted, expected: int) -> tuple[Scan, Int64]:
    row, spilled = Growing(np.int64, expected), [np.empty(0, np.int64)]
    integers = {name: (Growing(np.int64, expected), Growing(np.bool_, expected)) for name in wanted.integers}
    reals = {name: Growing(np.float64, expected) for name in wanted.reals}
    codes = {name: Growing(np.int64, expected) for name in wanted.texts}
    index: dict[str, dict[bytes, int]] = {name: {} for name in wanted.texts}
    for piece in pieces:
        spilled.append(piece.spilled + len(row))
        row.add(piece.row)
        for name, (whole, null) in integers.items():
            whole.add(piece.integers[name].values)
            mask = piece.integers[name].null
            null.add(constant(False, len(piece.row), bool) if mask is None else mask)
        for name, real in reals.items():
            real.add(piece.reals[name])
        for name, code in codes.items():
            codes_here, found = piece.texts[name]
            code.add(_merged(codes_here, found, index[name]) if found else codes_here)
    scan = Scan(
        row.array(),
        {name: Integers(whole.array(), _mask(null)) for name, (whole, null) in integers.items()},
        {name: real.array() for name, real in reals.items()},
        {name: Texts(code.array(), list(index[name])) for name, code in codes.items()},
    )
    return scan, np.concatenate(spilled)


def _mask(null: Growing) -> Bools | None:
    mask = null.array()
    return mask if mask.any() else None


def _expected(file: PageFile, numbers: Int64) -> int:
    """About how many rows there will be: rowids are usually without gaps."""
    if len(numbers) < 2:
        return 0
    first, last = read_batch(file, numbers[:1]).row, read_batch(file, numbers[-1:]).row
    span = int(last[-1]) - int(first[0]) + 1 if len(first) and len(last) else 0
    return span if 0 < span <= 4 * max(len(first), len(last)) * len(numbers) else 0
