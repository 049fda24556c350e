"""What a trace holds besides its columns, as plain data that JSON holds, and the trace again from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ...arrays.rows import Rows
from ..model import Calls, Diagnostic, Gpu, Marks, Operations, Ranges, Trace
from ..schema import Schema
from .stored import ColumnFile, StoredRows

_R = TypeVar("_R", bound=Rows)


def described(trace: Trace, parts: Mapping[str, StoredRows]) -> dict[str, Any]:
    """A trace whose columns are stored: `parts` are its operations, calls, ranges and marks."""
    schema = trace.schema
    return {
        "parts": {name: {"length": part.length, "columns": part.how} for name, part in parts.items()},
        "strings": trace.strings,
        "gpus": [asdict(gpu) for gpu in trace.gpus],
        "diagnostics": None if trace.diagnostics is None else [asdict(d) for d in trace.diagnostics],
        "rows": dict(trace.rows),
        "invalid": [[*key, count] for key, count in trace.invalid.items()],
        "start_utc_ns": trace.start_utc_ns,
        "end": trace.end,
        "schema": {
            "tables": dict(schema.tables),
            "columns": {table: sorted(columns) for table, columns in schema.columns.items()},
            "capture": schema.capture,
            "export": schema.export,
        },
    }


def unpacked(info: dict[str, Any], file: ColumnFile, path: Path) -> Trace:
    """The trace again, under the path that it has now.

    Raises:
        ValueError, KeyError, TypeError: another form than `described` makes.
    """
    schema = info["schema"]

    def rows(kind: type[_R], name: str) -> _R:
        part = info["parts"][name]
        return kind.supplied(StoredRows(file, part["length"], part["columns"]))

    return Trace(
        path=path,
        schema=Schema(
            path,
            schema["tables"],
            {table: frozenset(names) for table, names in schema["columns"].items()},
            {name: tuple(values) for name, values in schema["capture"].items()},
            {name: tuple(values) for name, values in schema["export"].items()},
        ),
        strings=tuple(info["strings"]),
        gpus=tuple(Gpu(**gpu) for gpu in info["gpus"]),
        diagnostics=None if info["diagnostics"] is None else tuple(Diagnostic(**d) for d in info["diagnostics"]),
        rows=info["rows"],
        invalid={(reason, table): count for reason, table, count in info["invalid"]},
        start_utc_ns=info["start_utc_ns"],
        end=info["end"],
        operations=rows(Operations, "operations"),
        calls=rows(Calls, "calls"),
        ranges=rows(Ranges, "ranges"),
        marks=rows(Marks, "marks"),
    )
