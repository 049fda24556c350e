"""The source that is always right: SQLite's own library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import TraceError
from .scan import Bools, Int64, Integers, Scan, Texts, Wanted, decoded

_CHUNK = 100_000
_NUMBERS: frozenset[type] = frozenset({int, float, type(None)})
_INTEGERS: frozenset[type] = frozenset({int, type(None)})


def quote(name: str) -> str:
    """An SQL identifier: table names come from the file."""
    return '"' + name.replace('"', '""') + '"'


class SqliteSource:
    """Reads through a connection that was opened read-only."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path

    @property
    def path(self) -> Path:
        return self._path

    def tables(self) -> Mapping[str, tuple[str, ...]]:
        # Views and virtual tables are not data that nsys wrote; a hostile file could hide code in them.
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        self.connection.text_factory = decoded
        names = [name for (name,) in self.connection.execute(query).fetchall() if isinstance(name, str)]
        return {name: tuple(self._columns(name)) for name in names}

    def _columns(self, table: str) -> list[str]:
        return [row[1] for row in self.connection.execute(f"PRAGMA table_info({quote(table)})")]

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT COUNT(*) FROM {quote(table)}").fetchone()[0])

    def records(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        self.connection.text_factory = decoded
        terms = ", ".join(quote(column) for column in columns)
        return self.connection.execute(f"SELECT {terms} FROM {quote(table)}").fetchall()

    def scan(self, table: str, wanted: Wanted) -> Scan:
        query = f"SELECT {', '.join([self._rowid(table), *map(quote, wanted.every)])} FROM {quote(table)}"
        return self._collect(table, wanted, self._chunks(query, ()))

    def rows(self, table: str, wanted: Wanted, rowids: Sequence[int]) -> Scan:
        """The rows of these ids, in their order; an id without a row is left out."""
        query = f"SELECT {', '.join(['rowid', *map(quote, wanted.every)])} FROM {quote(table)} WHERE rowid = ?"
        self.connection.text_factory = bytes
        found = [row for rowid in rowids for row in self.connection.execute(query, (rowid,)).fetchall()]
        return self._collect(table, wanted, iter([found] if found else []))

    def _rowid(self, table: str) -> str:
        """A table WITHOUT ROWID has no such column, and its rows are numbered as they come."""
        try:
            self.connection.execute(f"SELECT rowid FROM {quote(table)} LIMIT 0")
        except sqlite3.OperationalError as error:
            if "rowid" not in str(error):
                raise
            return "ROW_NUMBER() OVER ()"
        return "rowid"

    def _chunks(self, query: str, parameters: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
        self.connection.text_factory = bytes
        cursor = self.connection.execute(query, parameters)
        while rows := cursor.fetchmany(_CHUNK):
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
    """Codes of texts, in the order in which they are first seen. A number in a text column counts as its digits."""
    raw = [v if v is None or isinstance(v, bytes) else str(v).encode() for v in values]
    return np.array([-1 if v is None else seen.setdefault(v, len(seen)) for v in raw], np.int64)


def _joined(parts: list[Int64]) -> Int64:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


def _joined_integers(parts: list[Integers]) -> Integers:
    null: Bools | None = None
    if any(part.null is not None for part in parts):
        null = np.concatenate([part.is_null for part in parts])
    return Integers(_joined([part.values for part in parts]), null)
