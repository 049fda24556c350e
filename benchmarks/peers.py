"""What other readers make of a trace: `PYTHON benchmarks/peers.py pandas kernels TRACE`.

Runs in an environment that holds the reader, and nothing of this project. `columns` reads every needed column of the four large
tables into the reader's own kind of frame, as `measured.py columns` does here; `kernels` says of every kernel's name how often it
ran and for how long, as `aisp-prof trace kernels` does; `digest` tells what `columns` read, as `measured.py digest` does: `run.py`
compares the two. Answers are JSON.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

TIMES, STREAM = ("start", "end"), ("deviceId", "contextId", "streamId", "correlationId", "globalPid")
COLUMNS = {
    "CUPTI_ACTIVITY_KIND_RUNTIME": (*TIMES, "globalTid", "correlationId", "nameId", "returnValue"),
    "CUPTI_ACTIVITY_KIND_KERNEL": (*TIMES, *STREAM, "demangledName", "shortName", "graphNodeId"),
    "CUPTI_ACTIVITY_KIND_MEMCPY": (*TIMES, *STREAM, "bytes", "copyKind", "srcKind", "dstKind"),
    "NVTX_EVENTS": (
        *TIMES,
        "eventType",
        "category",
        "globalTid",
        "endGlobalTid",
        "textId",
        "domainId",
        "int64Value",
        "text",
    ),
}
TEXT = "text"
"""The one column that holds no integers."""
QUERIES = {
    table: f"SELECT {', '.join(f'{chr(34)}{c}{chr(34)}' for c in columns)} FROM {table}"
    for table, columns in COLUMNS.items()
}
RUNS = 'SELECT demangledName AS id, "end" - start AS ns FROM CUPTI_ACTIVITY_KIND_KERNEL'
NAMES = "SELECT id, value AS name FROM StringIds"
GROUPED = f"SELECT name, count(*), sum(ns), min(ns), max(ns) FROM ({RUNS}) JOIN ({NAMES}) USING (id) GROUP BY name"
Digest = list[int]
"""How many values are there, and their sum as 64 bits; of texts their length in bytes."""


def digest_of(values: Any, lengths: Any = None) -> Digest:
    """Of a column as a numpy array, NULLs left out; of texts the array of their lengths."""
    counted = values if lengths is None else lengths
    return [len(values), int(counted.sum()) % 2**64 if len(counted) else 0]


class Sqlite3:
    """Python's own module: tuples."""

    def __init__(self, trace: Path) -> None:
        self._connection = closing(sqlite3.connect(trace))

    def columns(self) -> dict[str, Any]:
        with self._connection as connection:
            return {table: connection.execute(query).fetchall() for table, query in QUERIES.items()}

    def digest(self, name: str, frame: Any, place: int) -> Digest:
        values = [row[place] for row in frame if row[place] is not None]
        return [len(values), sum(len(value.encode()) if name == TEXT else value for value in values) % 2**64]

    def kernels(self) -> list[tuple[Any, ...]]:
        with self._connection as connection:
            return connection.execute(GROUPED).fetchall()


class Pandas:
    """Frames by way of Python's own module."""

    def __init__(self, trace: Path) -> None:
        self._connection = closing(sqlite3.connect(trace))

    def columns(self) -> dict[str, Any]:
        import pandas as pd  # type: ignore[import-untyped, unused-ignore]

        with self._connection as connection:
            return {table: pd.read_sql_query(query, connection) for table, query in QUERIES.items()}

    def digest(self, name: str, frame: Any, place: int) -> Digest:
        values = frame[name].dropna()
        if name == TEXT:
            return digest_of(values, values.map(lambda text: len(text.encode())).to_numpy("int64"))
        return digest_of(values.to_numpy("int64"))

    def kernels(self) -> list[tuple[Any, ...]]:
        import pandas as pd

        with self._connection as connection:
            runs, names = (pd.read_sql_query(query, connection) for query in (RUNS, NAMES))
        found = runs.merge(names, on="id").groupby("name")["ns"].agg(["count", "sum", "min", "max"])
        return list(found.itertuples(name=None))


class Polars:
    """Frames by way of connectorx."""

    def __init__(self, trace: Path) -> None:
        self._uri = f"sqlite://{trace}"

    def _read(self, query: str) -> Any:
        import polars as pl  # type: ignore[import-not-found, unused-ignore]

        return pl.read_database_uri(query, self._uri)

    def columns(self) -> dict[str, Any]:
        return {table: self._read(query) for table, query in QUERIES.items()}

    def digest(self, name: str, frame: Any, place: int) -> Digest:
        values = frame[name].drop_nulls()
        if name == TEXT:
            return digest_of(values, values.str.len_bytes().to_numpy().astype("int64"))
        return digest_of(values.to_numpy())

    def kernels(self) -> list[tuple[Any, ...]]:
        import polars as pl

        ns = pl.col("ns")
        numbers = (pl.len(), ns.sum().alias("sum"), ns.min().alias("min"), ns.max().alias("max"))
        found = self._read(RUNS).join(self._read(NAMES), on="id").group_by("name").agg(*numbers)
        return list(found.iter_rows())


class Duckdb:
    """Arrow tables, by the extension that attaches SQLite files, which DuckDB fetches when it is first used."""

    def __init__(self, trace: Path) -> None:
        import duckdb  # type: ignore[import-not-found, unused-ignore]

        self._connection = duckdb.connect()
        self._connection.execute(f"ATTACH '{trace}' AS t (TYPE sqlite, READ_ONLY)")

    def _of_trace(self, query: str) -> Any:
        for table in (*COLUMNS, "StringIds"):
            query = query.replace(f"FROM {table}", f"FROM t.{table}")
        return self._connection.execute(query)

    def columns(self) -> dict[str, Any]:
        return {table: self._of_trace(query).arrow().read_all() for table, query in QUERIES.items()}

    def digest(self, name: str, frame: Any, place: int) -> Digest:
        import pyarrow.compute as pc  # type: ignore[import-not-found, import-untyped, unused-ignore]

        values = frame.column(place).drop_null()
        if name == TEXT:
            return digest_of(values, pc.binary_length(values).to_numpy().astype("int64"))
        return digest_of(values.to_numpy())

    def kernels(self) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._of_trace(GROUPED).fetchall()
        return found


class NsysAi:
    """nsys-ai's own command; it tells times in ms with two decimals."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def kernels(self) -> list[tuple[Any, ...]]:
        command = [str(Path(sys.executable).with_name("nsys-ai")), "skill", "run", "top_kernels", str(self._trace)]
        told = subprocess.run(
            [*command, "--format", "json", "--no-cache", "-p", "limit=1000000"], stdout=subprocess.PIPE, check=True
        )
        keys = ("kernel_name", "invocations", "total_ms", "min_ms", "max_ms")
        return [tuple(row[key] for key in keys) for row in json.loads(told.stdout)]


READERS: dict[str, Callable[[Path], Any]] = {
    "sqlite3": Sqlite3,
    "pandas": Pandas,
    "polars": Polars,
    "duckdb": Duckdb,
    "nsys-ai": NsysAi,
}
ONLY_KERNELS = ("nsys-ai",)


def main() -> None:
    name, work, trace = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    reader = READERS[name](trace)
    if work == "kernels":
        print(json.dumps(sorted(reader.kernels())))
        return
    frames = reader.columns()
    if work == "digest":
        told = {
            table: [reader.digest(column, frames[table], place) for place, column in enumerate(columns)]
            for table, columns in COLUMNS.items()
        }
        print(json.dumps(told))


if __name__ == "__main__":
    main()
