"""The source that is always right: SQLite's own library."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import TraceError
from ...arrays.types import Bools, Int64
from .integrity import faults_of, loops
from .limits import ROW_BYTES, TABLES
from .scan import Integers, Scan, Texts, Wanted, decoded, told

_ROWIDS = ("rowid", "_rowid_", "oid")
_CHUNK = 100_000
_NUMBERS: frozenset[type] = frozenset({int, float, type(None)})
_INTEGERS: frozenset[type] = frozenset({int, type(None)})

REPAIR = "export the report again: nsys export --type sqlite"
_TABLE = re.compile(r"CREATE TABLE\b")  # SQLite stores it this way, however it was written
_OF_NSYS = re.compile(
    r"NVTX_|CUPTI_|CUDA_|StringIds|TARGET_INFO_|META_DATA_|DIAGNOSTIC_|PROFILER_|ANALYSIS_|ENUM_", re.IGNORECASE
)
"""Names of the tables that are read or copied."""


def quote(name: str) -> str:
    """Quote an SQL identifier: table names come from the file."""
    return '"' + name.replace('"', '""') + '"'


class SqliteSource:
    """Reads through a connection that was opened read-only."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        self._sound: set[str] = set()
        self._loops: str | None = None

    @property
    def path(self) -> Path:
        return self._path

    def tables(self) -> Mapping[str, tuple[str, ...]]:
        """Ordinary tables. Anything else that carries the name of a table of nsys is not a trace, whatever it holds.

        Raises:
            TraceError: a view, a virtual table or computed columns in place of a table; absurdly many tables.
        """
        self.connection.text_factory = decoded
        entries = self.connection.execute("SELECT type, name, rootpage, sql FROM sqlite_master LIMIT ?", (TABLES + 1,))
        rows = [row for row in entries.fetchall() if row[0] in ("table", "view") and isinstance(row[1], str)]
        if len(rows) > TABLES:
            raise TraceError(f"{self._path}: more than {TABLES} tables: nsys did not write this")
        columns = {}
        for kind, name, root, sql in rows:
            ordinary = kind == "table" and bool(root) and _TABLE.match(str(sql))
            if not ordinary and _OF_NSYS.match(name):
                what = "a view" if kind == "view" else "no ordinary table"
                raise TraceError(f"{self._path}: {told(name)} is {what}: nsys did not write this")
            if ordinary:
                columns[name] = tuple(self._columns(name))
        return columns

    def _columns(self, table: str) -> list[str]:
        columns = self.connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
        computed = [column[1] for column in columns if column[6]]
        if computed and _OF_NSYS.match(table):
            raise TraceError(
                f"{self._path}: table {told(table)}: {told(computed[0])} is a generated column: nsys did not write this"
            )
        return [column[1] for column in columns]

    def count(self, table: str) -> int:
        counted = f"SELECT COUNT(*) FROM (SELECT 1 FROM {quote(table)} NOT INDEXED LIMIT ?)"
        return self._checked(table, int(self.connection.execute(counted, (self._most_rows + 1,)).fetchone()[0]))

    @property
    def _most_rows(self) -> int:
        """The most rows that a file of this size can hold. Pages that lead back to themselves would yield rows forever."""
        pages, size = (self.connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
        return int(pages) * int(size) // ROW_BYTES

    def _checked(self, table: str, rows: int) -> int:
        if rows > self._most_rows:
            raise TraceError(f"{self._path}: table {table} has more rows than the file can hold: its pages form a loop")
        return rows

    def _check_structure(self, table: str) -> None:
        """Check that the table is as SQLite writes it: scanning its rows does not show that, and a query that looks
        rows up could return others.

        Raises:
            TraceError: it is not.
        """
        if table in self._sound:
            return
        self.connection.text_factory = decoded
        if self._loops is None:  # once: all pages of the file are walked
            self._loops = loops(self.connection)
        if found := [self._loops] if self._loops else faults_of(self.connection, table):
            raise TraceError(f"{self._path}: table {told(table)} is damaged: {found[0]}", REPAIR)
        self._sound.add(table)

    def records(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        self._check_structure(table)
        self.connection.text_factory = decoded
        terms = ", ".join(quote(column) for column in columns)
        query = f"SELECT {terms} FROM {quote(table)} NOT INDEXED LIMIT ?"
        rows = self.connection.execute(query, (self._most_rows + 1,)).fetchall()
        self._checked(table, len(rows))
        return rows

    def scan(self, table: str, wanted: Wanted) -> Scan:
        self._check_structure(table)
        # Limited in the inner query: given a loop of pages, ROW_NUMBER would collect rows forever before returning the first.
        name = self._rowid(table)
        rows = (
            f"{quote(table)} NOT INDEXED"
            if self._has(table, name)
            else (
                f"(SELECT ROW_NUMBER() OVER () AS {name}, * FROM (SELECT * FROM {quote(table)} LIMIT {self._most_rows + 1}))"
            )
        )
        query = f"SELECT {', '.join([name, *map(quote, wanted.every)])} FROM {rows}"
        return self._collect(table, wanted, self._chunks(table, query))

    def rows(self, table: str, wanted: Wanted, rowids: Sequence[int]) -> Scan:
        """The rows of these ids, in their order; an id without a row is left out."""
        name = self._rowid(table)
        query = f"SELECT {', '.join([name, *map(quote, wanted.every)])} FROM {quote(table)} WHERE {name} = ?"
        self.connection.text_factory = bytes
        found = [row for rowid in rowids for row in self.connection.execute(query, (rowid,)).fetchall()]
        return self._collect(table, wanted, iter([found] if found else []))

    def _rowid(self, table: str) -> str:
        """The name under which SQLite exposes a row's id: one of three, each hidden by a column of that name."""
        columns = {name.lower() for name in self._columns(table)}
        free = [name for name in _ROWIDS if name not in columns]
        if not free:
            raise TraceError(
                f"{self._path}: table {told(table)}: columns hide the ids of its rows: nsys did not write this"
            )
        return free[0]

    def _has(self, table: str, name: str) -> bool:
        """A table WITHOUT ROWID has none; its rows are numbered as they come."""
        try:
            self.connection.execute(f"SELECT {name} FROM {quote(table)} LIMIT 0")
        except sqlite3.OperationalError as error:
            if name not in str(error):
                raise
            return False
        return True

    def _chunks(self, table: str, query: str) -> Iterator[list[tuple[Any, ...]]]:
        self.connection.text_factory = bytes
        cursor, seen = self.connection.execute(query), 0
        while rows := cursor.fetchmany(_CHUNK):
            seen = self._checked(table, seen + len(rows))
            yield rows

    def _collect(self, table: str, wanted: Wanted, chunks: Iterator[list[tuple[Any, ...]]]) -> Scan:
        row: list[Int64] = []
        integers: dict[str, list[Integers]] = {name: [] for name in wanted.integers}
        reals: dict[str, list[Any]] = {name: [] for name in wanted.reals}
        seen: dict[str, dict[bytes, int]] = {name: {} for name in wanted.texts}
        codes: dict[str, list[Int64]] = {name: [] for name in wanted.texts}
        for rows in chunks:
            columns = dict(zip(("", *wanted.every), zip(*rows, strict=True), strict=True))
            row.append(np.array(columns[""], np.int64))
            for name in wanted.integers:
                integers[name].append(self._integers(table, name, columns[name], columns[""]))
            for name in wanted.reals:
                reals[name].append(self._reals(table, name, columns[name], columns[""]))
            for name in wanted.texts:
                codes[name].append(_codes(columns[name], seen[name]))
        return Scan(
            row=_joined(row),
            integers={name: _joined_integers(parts) for name, parts in integers.items()},
            reals={name: np.concatenate([np.empty(0), *parts]) for name, parts in reals.items()},
            texts={name: Texts(_joined(parts), list(seen[name])) for name, parts in codes.items()},
        )

    def _integers(self, table: str, column: str, values: Sequence[Any], rows: Sequence[int]) -> Integers:
        kinds = set(map(type, values))
        if kinds == {int}:
            return Integers(np.array(values, np.int64))
        if kinds - _INTEGERS:
            self._refuse(table, column, values, rows, "an integer", _INTEGERS)
        null = np.array([value is None for value in values], bool)
        return Integers(np.array([0 if value is None else value for value in values], np.int64), null)

    def _reals(self, table: str, column: str, values: Sequence[Any], rows: Sequence[int]) -> Any:
        if not set(map(type, values)) <= _NUMBERS:
            self._refuse(table, column, values, rows, "a number", _NUMBERS)
        return np.array([np.nan if value is None else float(value) for value in values], np.float64)

    def _refuse(
        self, table: str, column: str, values: Sequence[Any], rows: Sequence[int], wanted: str, fine: frozenset[type]
    ) -> None:
        odd = next(i for i, value in enumerate(values) if type(value) not in fine)
        value = decoded(values[odd]) if isinstance(values[odd], bytes) else values[odd]
        what = f"{type(value).__name__} {str(value)[:40]!r}"
        raise TraceError(f"{self.path}: table {table}, row {rows[odd]}: {column} is {what}, not {wanted}")


def _codes(values: Sequence[Any], seen: dict[bytes, int]) -> Int64:
    """Codes of texts, in order of first appearance. A number in a text column counts as its digits."""
    raw = [v if v is None or isinstance(v, bytes) else str(v).encode() for v in values]
    return np.array([-1 if v is None else seen.setdefault(v, len(seen)) for v in raw], np.int64)


def _joined(parts: list[Int64]) -> Int64:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


def _joined_integers(parts: list[Integers]) -> Integers:
    null: Bools | None = None
    if any(part.null is not None for part in parts):
        null = np.concatenate([part.is_null for part in parts])
    return Integers(_joined([part.values for part in parts]), null)
