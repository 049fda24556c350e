"""An export as a folder of Parquet files, as `nsys export --type parquetdir` writes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest


def parquet_of(plain: Path, folder: Path) -> Path:
    """Every table of an SQLite export as a file of `folder`, which is made."""
    pyarrow = pytest.importorskip("pyarrow", reason="the pyarrow package is not installed")
    from pyarrow import parquet

    folder.mkdir()
    with closing(sqlite3.connect(plain)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = connection.execute(f"SELECT * FROM {table}")
            rows, names = cursor.fetchall(), [part[0] for part in cursor.description]
            columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
            parquet.write_table(pyarrow.table(columns), folder / f"{table}.parquet")
    return folder
