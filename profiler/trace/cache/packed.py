"""What a trace holds besides its columns, as plain JSON data, and the trace rebuilt from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..model import COLUMNS, Diagnostic, Gpu, Trace
from ..schema import Schema
from .stored import ColumnFile, StoredRows


def described(trace: Trace, parts: Mapping[str, StoredRows]) -> dict[str, Any]:
    """A trace whose columns are stored: `parts` are those of `COLUMNS`."""
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
        "said_rank": trace.said_rank,
        "schema": {
            "tables": dict(schema.tables),
            "columns": {table: sorted(columns) for table, columns in schema.columns.items()},
            "capture": schema.capture,
            "export": schema.export,
        },
    }


def unpacked(info: dict[str, Any], file: ColumnFile, path: Path) -> Trace:
    """The trace, rebuilt under its present path.

    Raises:
        ValueError, KeyError, TypeError: the data is not of the form that `described` makes.
    """
    schema, parts = info["schema"], info["parts"]
    rows: dict[str, Any] = {
        name: kind.supplied(StoredRows(file, parts[name]["length"], parts[name]["columns"]))
        for name, kind in COLUMNS.items()
    }
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
        said_rank=info["said_rank"],
        **rows,
    )
