"""What an export holds: its tables and columns, its version, and what it was told to trace."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import TraceError

NVTX = "NVTX_EVENTS"
RUNTIME = "CUPTI_ACTIVITY_KIND_RUNTIME"
KERNEL = "CUPTI_ACTIVITY_KIND_KERNEL"
MEMCPY = "CUPTI_ACTIVITY_KIND_MEMCPY"
MEMSET = "CUPTI_ACTIVITY_KIND_MEMSET"
GRAPH_TRACE = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"
SYNCHRONIZATION = "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION"
CUDA_EVENT = "CUPTI_ACTIVITY_KIND_CUDA_EVENT"

KNOWN_MAJOR = (2, 3)
"""Major versions of the export schema that were read and checked; others are read by their columns, with a finding."""

_SUFFIX = re.compile(r"_V\d+$")


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables by their plain name (an export may suffix them with _V2, _V3), columns in lower case, and metadata.

    `capture` and `export` hold META_DATA_CAPTURE and META_DATA_EXPORT; a name may have several values.
    """

    path: Path
    tables: Mapping[str, str]
    columns: Mapping[str, frozenset[str]]
    capture: Mapping[str, tuple[str, ...]]
    export: Mapping[str, tuple[str, ...]]

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table is there with all these columns."""
        return table in self.tables and all(column.lower() in self.columns[table] for column in columns)

    @property
    def version(self) -> str:
        """`major.minor.micro` of the export's schema, "" when it does not say."""
        return self.export.get("EXPORT_SCHEMA_VERSION", ("",))[0]

    @property
    def known(self) -> bool:
        return self.version.partition(".")[0] in {str(major) for major in KNOWN_MAJOR}

    @property
    def graph_mode(self) -> str:
        """`Node`, `Graph` or "" when the export does not say."""
        for name, values in self.capture.items():
            if name.endswith("CUDA_GRAPH_TRACE_OPTIONS:MODE"):
                return values[0]
        return ""


def read_schema(connection: sqlite3.Connection, path: Path) -> Schema:
    """Look at what is there.

    Raises:
        TraceError: an SQLite file that no Nsight Systems wrote.
    """
    tables: dict[str, str] = {}
    columns: dict[str, frozenset[str]] = {}
    # Views and virtual tables are not data that nsys wrote; a hostile file could hide code in them.
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    ):
        plain = _SUFFIX.sub("", name)
        if plain not in tables or name > tables[plain]:
            tables[plain] = name
            columns[plain] = frozenset(
                row[1].lower() for row in connection.execute(f"PRAGMA table_info({quote(name)})")
            )
    if not {"StringIds", "META_DATA_EXPORT"} & set(tables):
        raise TraceError(
            f"{path}: an SQLite file, but no export of Nsight Systems (neither StringIds nor META_DATA_EXPORT is in it)",
            "make one with: nsys export --type sqlite REPORT.nsys-rep",
        )
    schema = Schema(path, tables, columns, {}, {})
    return Schema(
        path, tables, columns, _metadata(connection, schema, "CAPTURE"), _metadata(connection, schema, "EXPORT")
    )


def quote(name: str) -> str:
    """An SQL identifier: table names come from the file."""
    return '"' + name.replace('"', '""') + '"'


def _metadata(connection: sqlite3.Connection, schema: Schema, kind: str) -> dict[str, tuple[str, ...]]:
    table = f"META_DATA_{kind}"
    found: dict[str, tuple[str, ...]] = {}
    if schema.has(table, "name", "value"):
        for name, value in connection.execute(f"SELECT name, value FROM {quote(schema.tables[table])}"):
            found[str(name)] = (*found.get(str(name), ()), "" if value is None else str(value))
    return found
