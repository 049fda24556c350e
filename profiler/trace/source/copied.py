"""A source that is no SQLite file, as one: what a proof holds, and whoever verifies it reads, is a single file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from .scan import Source
from .sqlite import quote


def copy_tables(source: Source, target: Path) -> None:
    """Write every table of an opened trace into an SQLite file that does not exist yet.

    Raises:
        TraceError: the source is damaged.
        OSError, sqlite3.Error: it cannot be written.
    """
    with closing(sqlite3.connect(target)) as database:
        database.execute("pragma journal_mode = off")
        database.execute("pragma synchronous = off")
        with database:
            for table, columns in source.tables().items():
                if columns:
                    _copy(database, table, columns, source.records(table, columns))


def _copy(database: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Bytes are a text that need not be UTF-8; 64 bits without a sign are kept as SQLite has them, with one."""
    types = [_type(row[place] for row in rows) for place in range(len(columns))]
    declared = ", ".join(f"{quote(name)} {kind}" for name, kind in zip(columns, types, strict=True))
    places = ", ".join("cast(? as text)" if kind == "TEXT" else "?" for kind in types)
    database.execute(f"create table {quote(table)} ({declared})")
    database.executemany(f"insert into {quote(table)} values ({places})", (tuple(map(_signed, row)) for row in rows))


def _type(values: Iterable[Any]) -> str:
    first = next((value for value in values if value is not None), 0)
    return "TEXT" if isinstance(first, str | bytes) else "REAL" if isinstance(first, float) else "INTEGER"


def _signed(value: Any) -> Any:
    return value - (1 << 64) if isinstance(value, int) and value >= 1 << 63 else value
