"""From an export to a `Trace`: every table is scanned once into columns."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from . import communication
from .calls import read_calls
from .file import connect
from .model import TABLES, Diagnostic, Trace
from .nvtx import read_ranges
from .operations import read_operations
from .schema import CUDA_EVENT, RUNTIME, SYNCHRONIZATION, Schema, quote, read_schema
from .strings import Strings


def read_trace(path: Path | str, communication_patterns: Iterable[str] = ()) -> Trace:
    """Read an Nsight Systems SQLite export; the file is not touched.

    Args:
        path: `.sqlite`, also compressed as `.xz` or `.gz`.
        communication_patterns: regular expressions of kernel names that count as communication, besides the known ones.

    Raises:
        TraceError: the file is missing, no SQLite, truncated, damaged, no nsys export, or a table is not as it should be.
    """
    path = Path(path)
    with connect(path) as connection:
        schema = read_schema(connection, path)
        strings = Strings(connection, schema)
        return _read(connection, schema, strings, communication.matcher(communication_patterns))


def _read(connection: sqlite3.Connection, schema: Schema, strings: Strings, comm: re.Pattern[str]) -> Trace:
    invalid: dict[tuple[str, str], int] = {}
    calls = read_calls(connection, schema, strings, invalid)
    operations, gpus = read_operations(connection, schema, strings, calls, comm, invalid)
    end = max((int(a.max()) for a in (operations.end, calls.end) if len(a)), default=0)
    ranges = read_ranges(connection, schema, strings, end, invalid)
    end = max(end, int(ranges.end.max()) if len(ranges) else 0)
    return Trace(
        path=schema.path,
        schema=schema,
        strings=strings.values(),
        operations=operations,
        calls=calls,
        ranges=ranges,
        gpus=gpus,
        diagnostics=_diagnostics(connection, schema),
        rows={table: _count(connection, schema, table) for table in (*TABLES, RUNTIME, SYNCHRONIZATION, CUDA_EVENT)},
        invalid=invalid,
        start_utc_ns=_start_utc(connection, schema),
        end=end,
    )


def _diagnostics(connection: sqlite3.Connection, schema: Schema) -> tuple[Diagnostic, ...] | None:
    table = "DIAGNOSTIC_EVENT"
    if not schema.has(table, "severity", "text"):
        return None
    process = "globalPid" if schema.has(table, "globalPid") else "0"
    query = f"SELECT severity, text, COALESCE({process}, 0) FROM {quote(schema.tables[table])} ORDER BY rowid"
    return tuple(Diagnostic(int(severity), str(text), int(key)) for severity, text, key in connection.execute(query))


def _start_utc(connection: sqlite3.Connection, schema: Schema) -> int | None:
    table = "TARGET_INFO_SESSION_START_TIME"
    if not schema.has(table, "utcEpochNs"):
        return None
    row = connection.execute(f"SELECT utcEpochNs FROM {quote(schema.tables[table])}").fetchone()
    return int(row[0]) if row and row[0] is not None else None


def _count(connection: sqlite3.Connection, schema: Schema, table: str) -> int:
    if table not in schema.tables:
        return 0
    return int(connection.execute(f"SELECT COUNT(*) FROM {quote(schema.tables[table])}").fetchone()[0])
