"""The fast source: reads plain tables by their pages, several batches at once, and leaves all else to SQLite's library.

Agreement with the library is not left to hope: whatever the reader does not know to be plain raises `Unusual`, and then
the library reads the whole table (or, for rows on overflow pages, those rows).
tests/profiler/trace/source/test_source.py compares
both on random tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import TraceError
from ...arrays.blocks import in_order, workers
from ...arrays.growing import is_constant
from ...arrays.types import Int64
from . import compiled, values
from .pages import Impossible, Leaves, PageFile, Unusual, leaves, open_pages
from .pieces import Piece, assembled, merged_codes, together
from .records import Records, plain_rows, read_batch
from .scan import Integers, Scan, Wanted
from .sqlite import REPAIR, SqliteSource, quote

PAGES = 768
"""Leaf pages per batch: about 3 MB, 20,000 to 70,000 rows, whose columns stay in a core's cache."""
_MOST_SPILLED = 0.05


@dataclass(frozen=True, slots=True)
class Layout:
    """A table: its root page, how many columns a record has, the position of each, which one is an alias of the rowid,
    and in which ones SQLite stores whole numbers as reals."""

    root: int
    columns: int
    place: dict[str, int]
    alias: str
    reals: frozenset[str]


class FastSource(SqliteSource):
    """`file` is the SQLite file that the connection reads, open and unchanged for as long as the source is used."""

    def __init__(self, source: SqliteSource, file: Path) -> None:
        super().__init__(source.connection, source.path)
        self._file = file
        self._counts: dict[str, int] = {}

    def scan(self, table: str, wanted: Wanted) -> Scan:
        try:
            return self._scan(table, wanted)
        except Impossible as error:
            raise TraceError(f"{self.path}: table {table}: {error}", REPAIR) from error
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
            leaf_pages = leaves(file, layout.root)
            expected = _expected(file, leaf_pages)
            found = _compiled(file, leaf_pages, expected, layout, wanted)
            scan, spilled = found or assembled(_pieces(file, leaf_pages, layout, wanted), wanted, expected)
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
            Unusual: generated columns, or columns added with a default: a record then differs from what a query returns.
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
        place = {str(column[1]).lower(): int(column[0]) for column in columns}
        reals = frozenset(str(column[1]).lower() for column in columns if _is_real(str(column[2])))
        return Layout(int(root[0]), len(columns), place, alias, reals)

    def _patch(self, table: str, wanted: Wanted, scan: Scan, spilled: Int64) -> None:
        """Have SQLite's library read these rows."""
        exact = self.rows(table, wanted, scan.row[spilled].tolist())
        if not np.array_equal(exact.row, scan.row[spilled]):
            raise Unusual("rowids that cannot be looked up")
        for name, column in exact.integers.items():
            whole = scan.integers[name]
            whole.values = _writable(whole.values)
            whole.values[spilled] = column.values
            if column.null is not None or whole.null is not None:
                null = whole.is_null.copy()
                null[spilled] = column.is_null
                whole.null = null
        for name, reals in exact.reals.items():
            scan.reals[name] = _writable(scan.reals[name])
            scan.reals[name][spilled] = reals
        for name, texts in exact.texts.items():
            index = {value: code for code, value in enumerate(scan.texts[name].values)}
            scan.texts[name].codes = _writable(scan.texts[name].codes)
            scan.texts[name].codes[spilled] = merged_codes(texts.codes, texts.values, index)
            scan.texts[name].values = list(index)


def _is_real(declared: str) -> bool:
    """Source: "Determination Of Column Affinity" of SQLite's documentation."""
    kinds = ("INT", "CHAR", "CLOB", "TEXT", "BLOB", "REAL", "FLOA", "DOUB")
    return next((kind for kind in kinds if kind in declared.upper()), "") in ("REAL", "FLOA", "DOUB")


def _writable(column: NDArray[Any]) -> NDArray[Any]:
    return column.copy() if is_constant(column) else column


def _compiled(
    file: PageFile, leaf_pages: Leaves, expected: int, layout: Layout, wanted: Wanted
) -> tuple[Scan, Int64] | None:
    """The table by the compiled core; None where numpy has to read it."""
    if any(name.lower() in layout.reals for name in wanted.integers):
        return None
    columns = compiled.kinds(wanted.integers, wanted.reals, wanted.texts, layout.place, layout.alias)
    return compiled.scanned(file, leaf_pages, expected, layout.columns, columns)


def _pieces(file: PageFile, leaf_pages: Leaves, layout: Layout, wanted: Wanted) -> Iterator[Piece]:
    """Decoded batches in the order of the table."""
    parts = [leaf_pages[i : i + PAGES] for i in range(0, len(leaf_pages), PAGES)]
    return in_order(lambda part: _decode(file, part, layout, wanted), parts, min(workers(), len(parts)))


def _decode(file: PageFile, part: Leaves, layout: Layout, wanted: Wanted) -> Piece:
    batch = read_batch(file, part)
    plain = plain_rows(batch, layout.columns)
    if plain.all():
        return _columns(Records(batch, slice(None), layout.columns, True), batch.row, layout, wanted)
    parts = []
    for rows, is_plain in ((plain, True), (~plain & ~batch.spilled, False)):
        which = np.flatnonzero(rows)
        if len(which):
            records = Records(batch, which, layout.columns, is_plain)
            parts.append((which, _columns(records, batch.row[which], layout, wanted)))
    return together(batch.row, np.flatnonzero(batch.spilled), parts, wanted)


def _columns(records: Records, row: Int64, layout: Layout, wanted: Wanted) -> Piece:
    """The wanted columns of some rows, asked for in the order of the table."""
    piece = Piece(row, np.empty(0, np.int64))
    for name in sorted(set(wanted.every), key=lambda name: layout.place[name.lower()]):
        column = layout.place[name.lower()]
        if name in wanted.integers and name.lower() in layout.reals:
            raise Unusual("integers of a real column")
        if name in wanted.integers:
            piece.integers[name] = (
                _alias(records, column, row) if name.lower() == layout.alias else values.integers(records, column)
            )
        elif name in wanted.reals:
            piece.reals[name] = values.reals(records, column)
        else:
            piece.texts[name] = values.texts(records, column)
    if wanted.every:
        records.check_end(max(layout.place[name.lower()] for name in wanted.every))
    return piece


def _alias(records: Records, column: int, row: Int64) -> Integers:
    """The INTEGER PRIMARY KEY is the rowid itself; its place in the record holds NULL."""
    if (records.types(column) != 0).any():
        raise Unusual("a stored primary key")
    return Integers(row)


def _expected(file: PageFile, leaf_pages: Leaves) -> int:
    """About how many rows there will be: rowids usually have no gaps."""
    if len(leaf_pages) < 2:
        return 0
    first, last = read_batch(file, leaf_pages[:1]).row, read_batch(file, leaf_pages[-1:]).row
    span = int(last[-1]) - int(first[0]) + 1 if len(first) and len(last) else 0
    return span if 0 < span <= 4 * max(len(first), len(last)) * len(leaf_pages) else 0
