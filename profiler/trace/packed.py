"""A trace's columns as files: each in the narrowest integers that hold it, each read back as it was."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .blocks import each_block, workers
from .groups import distinct_values, looked_up
from .model import Calls, Diagnostic, Gpu, Marks, Operations, Ranges, Rows, Trace
from .schema import Schema
from .source.growing import constant, is_constant

_PARTS: Mapping[str, type[Rows]] = {"operations": Operations, "calls": Calls, "ranges": Ranges, "marks": Marks}
_NARROW = (np.int8, np.int16, np.int32)
_R = TypeVar("_R", bound=Rows)


def pack(trace: Trace, folder: Path, pool: Executor) -> dict[str, Any]:
    """Write every column to the folder; what is returned is plain data that JSON holds."""
    waiting = {
        f"{part}.{field.name}": pool.submit(_write, folder, trace, part, field.name)
        for part, kind in _PARTS.items()
        for field in fields(kind)
    }
    schema = trace.schema
    return {
        "columns": {name: one.result() for name, one in waiting.items()},
        "lengths": {part: len(getattr(trace, part)) for part in _PARTS},
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


def _write(folder: Path, trace: Trace, part: str, name: str) -> dict[str, Any]:
    """One column: as one value, as a run of numbers, as places in a list of few values, or narrowed. `end` is written as
    the length, which takes half the bytes."""
    rows = getattr(trace, part)
    column: NDArray[Any] = getattr(rows, name)
    if not len(column) or is_constant(column) or (column[-1] == column[0] and bool((column == column[0]).all())):
        return {"dtype": column.dtype.str, "constant": column[0].item() if len(column) else 0}
    file = f"{part}.{name}"
    if column.dtype != np.int64:
        return _saved(folder, file, column, column.dtype)
    if name == "row" and int(column[-1]) - int(column[0]) == len(column) - 1 and bool((np.diff(column) == 1).all()):
        return {"dtype": column.dtype.str, "first": int(column[0])}
    if name == "end":
        return {**_saved(folder, file, *_narrowed(column - rows.start)), "after": True}
    values = _few_values(column)
    if values is not None:
        codes = looked_up(column, values, np.arange(len(values), dtype=np.uint8))
        return {**_saved(folder, file, codes, codes.dtype), "dtype": column.dtype.str, "values": values.tolist()}
    return _saved(folder, file, *_narrowed(column))


def _few_values(column: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The distinct values where they are wide and at most 256."""
    if abs(int(column[0])) <= np.iinfo(np.int32).max or len(np.unique(column[:: max(1, len(column) // 1024)])) > 200:
        return None
    values = distinct_values(column)
    return values if len(values) <= 256 else None


def _narrowed(column: NDArray[Any]) -> tuple[NDArray[Any], Any]:
    low, high = int(column.min()), int(column.max())
    for kind in _NARROW:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return column, np.dtype(kind)
    return column, column.dtype


def _saved(folder: Path, name: str, column: NDArray[Any], kind: Any) -> dict[str, Any]:
    with (folder / name).open("wb") as file:
        for low in range(0, len(column), 1 << 20):
            file.write(column[low : low + (1 << 20)].astype(kind, copy=False).tobytes())
    return {"dtype": column.dtype.str, "stored": np.dtype(kind).str}


def unpack(info: dict[str, Any], folder: Path, path: Path) -> Trace:
    """The trace again.

    Raises:
        OSError, ValueError, KeyError, TypeError: files that are missing, cut or of another form.
    """
    with ThreadPoolExecutor(workers()) as pool:
        waiting = {
            name: pool.submit(_read, folder / name, how, info["lengths"][name.partition(".")[0]])
            for name, how in info["columns"].items()
        }
        columns = {name: one.result() for name, one in waiting.items()}
    for name, how in info["columns"].items():
        if how.get("after"):
            _shift(columns[name], columns[name.replace(".end", ".start")])
    schema = info["schema"]
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
        operations=_rows(Operations, "operations", columns),
        calls=_rows(Calls, "calls", columns),
        ranges=_rows(Ranges, "ranges", columns),
        marks=_rows(Marks, "marks", columns),
    )


def _rows(kind: type[_R], part: str, columns: dict[str, NDArray[Any]]) -> _R:
    return kind(**{field.name: columns[f"{part}.{field.name}"] for field in fields(kind)})


def _read(file: Path, how: dict[str, Any], length: int) -> NDArray[Any]:
    if "constant" in how:
        return constant(how["constant"], length, how["dtype"])
    if "first" in how:
        return np.arange(how["first"], how["first"] + length, dtype=how["dtype"])
    stored = np.dtype(how["stored"])
    if file.stat().st_size != length * stored.itemsize:
        raise ValueError(f"{file}: cut")
    column: NDArray[Any] = np.asarray(np.memmap(file, stored, "r"))
    if "values" in how:
        return np.array(how["values"], how["dtype"]).take(column)
    return column if stored == np.dtype(how["dtype"]) and not how.get("after") else column.astype(how["dtype"])


def _shift(end: NDArray[Any], start: NDArray[Any]) -> None:
    def add(block: slice) -> None:
        end[block] += start[block]

    each_block(len(end), add)
