"""Read table columns into numpy arrays: integers stay int64 exactly, NULLs become a stated value."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TraceError
from .schema import Schema, quote

Int64 = NDArray[np.int64]
Columns = dict[str, Int64]

NONE = -1
"""What a NULL in an integer column becomes; every column read this way holds ids, counts or sizes, never below 0."""


def read_integers(
    connection: sqlite3.Connection,
    schema: Schema,
    table: str,
    required: Sequence[str],
    optional: Mapping[str, int] | None = None,
    where: str = "",
) -> Columns:
    """Integer columns of one table, with its `rowid` as "row"; no row and empty arrays when the table is not there.

    Args:
        required: columns that any version of the table has; a NULL becomes NONE.
        optional: column -> the value that stands in where the column is missing or NULL.
        where: an SQL condition.

    Raises:
        TraceError: a required column is missing, or a value is no integer (the table, column and row are named).
    """
    optional = optional or {}
    names = ["row", *required, *optional]
    if table not in schema.tables:
        return {name: np.empty(0, np.int64) for name in names}
    absent = [column for column in required if not schema.has(table, column)]
    if absent:
        version = schema.version or "unknown"
        raise TraceError(f"{schema.path}: table {table} has no column {', '.join(absent)} (schema version {version})")
    terms = ["rowid", *(f"COALESCE({quote(column)}, {NONE})" for column in required)]
    terms += [f"COALESCE({quote(c)}, {d})" if schema.has(table, c) else str(d) for c, d in optional.items()]
    query = f"SELECT {', '.join(terms)} FROM {quote(schema.tables[table])} {'WHERE ' + where if where else ''}"
    rows = connection.execute(query).fetchall()
    found = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {name: _integers(values, schema, table, name, found[0]) for name, values in zip(names, found, strict=True)}


def _integers(values: Sequence[Any], schema: Schema, table: str, column: str, rows: Sequence[int]) -> Int64:
    odd = next((i for i, value in enumerate(values) if type(value) is not int), None)
    if odd is not None:
        what = f"{type(values[odd]).__name__} {str(values[odd])[:40]!r}"
        raise TraceError(f"{schema.path}: table {table}, row {rows[odd]}: {column} is {what}, not an integer")
    return np.array(values, np.int64)
