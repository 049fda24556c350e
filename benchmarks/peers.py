"""The columns that a trace is made of, read by others: `PYTHON benchmarks/peers.py pandas TRACE`.

Runs in an environment that holds the reader, and nothing of this project. Each reads every needed column of the four large tables
into its own kind of frame, as `measured.py columns` does here.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

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
QUERIES = [
    f"SELECT {', '.join(f'{chr(34)}{c}{chr(34)}' for c in columns)} FROM {table}" for table, columns in COLUMNS.items()
]


def with_sqlite3(trace: Path) -> int:
    with closing(sqlite3.connect(trace)) as connection:
        return sum(len(connection.execute(query).fetchall()) for query in QUERIES)


def with_pandas(trace: Path) -> int:
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

    with closing(sqlite3.connect(trace)) as connection:
        return sum(len(pd.read_sql_query(query, connection)) for query in QUERIES)


def with_polars(trace: Path) -> int:
    import polars as pl  # type: ignore[import-not-found, unused-ignore]

    return sum(len(pl.read_database_uri(query, f"sqlite://{trace}")) for query in QUERIES)


def with_duckdb(trace: Path) -> int:
    import duckdb  # type: ignore[import-not-found, unused-ignore]

    connection = duckdb.connect()
    connection.execute(f"ATTACH '{trace}' AS t (TYPE sqlite, READ_ONLY)")
    return sum(len(connection.execute(query.replace("FROM ", "FROM t.")).arrow().read_all()) for query in QUERIES)


READERS: dict[str, Callable[[Path], int]] = {
    "sqlite3": with_sqlite3,
    "pandas": with_pandas,
    "polars": with_polars,
    "duckdb": with_duckdb,
}


if __name__ == "__main__":
    print(READERS[sys.argv[1]](Path(sys.argv[2])))
