"""What the benchmark runs, each in a process of its own: `python benchmarks/measured.py columns TRACE`.

Prints the seconds that the work itself took; the caller measures the process.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from pathlib import Path

from aisp_prof.profiler.analysis.completeness import attest  # noqa: TID251
from aisp_prof.profiler.analysis.ledger import ledger  # noqa: TID251
from aisp_prof.profiler.analysis.overlap import concurrency_by_gpu  # noqa: TID251
from aisp_prof.profiler.queries.ranges import ranges_in_parts  # noqa: TID251
from aisp_prof.profiler.trace.reader import read_trace  # noqa: TID251
from aisp_prof.profiler.trace.source.file import open_source  # noqa: TID251
from aisp_prof.profiler.trace.source.scan import Source, Wanted  # noqa: TID251
from aisp_prof.profiler.trace.source.sqlite import SqliteSource  # noqa: TID251

_TIMES = ("start", "end")
_STREAM = ("deviceId", "contextId", "streamId", "correlationId", "globalPid")
COLUMNS = {
    "CUPTI_ACTIVITY_KIND_RUNTIME": Wanted((*_TIMES, "globalTid", "correlationId", "nameId", "returnValue")),
    "CUPTI_ACTIVITY_KIND_KERNEL": Wanted((*_TIMES, *_STREAM, "demangledName", "shortName", "graphNodeId")),
    "CUPTI_ACTIVITY_KIND_MEMCPY": Wanted((*_TIMES, *_STREAM, "bytes", "copyKind", "srcKind", "dstKind")),
    "NVTX_EVENTS": Wanted(
        (*_TIMES, "eventType", "category", "globalTid", "endGlobalTid", "textId", "domainId", "int64Value"),
        (),
        ("text",),
    ),
}


def _scan(source: Source) -> None:
    for table, wanted in COLUMNS.items():
        source.scan(table, wanted)


def columns(path: Path) -> None:
    """The needed columns in memory."""
    with open_source(path) as source:
        _scan(source)


def columns_sqlite(path: Path) -> None:
    """The same columns through Python's sqlite3."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        _scan(SqliteSource(connection, path))


def trace(path: Path) -> None:
    """A whole trace in memory: every column, names, calls matched to operations, nesting."""
    read = read_trace(path)
    for rows in (read.operations, read.calls, read.ranges, read.marks):
        for column in fields(rows):
            getattr(rows, column.name)


def sweeps(path: Path) -> None:
    """A trace, its completeness, ledger, and every device's concurrency."""
    read = read_trace(path)
    attest(read)
    ledger(read)
    concurrency_by_gpu(read.operations, len(read.gpus))


def ranges(path: Path) -> None:
    """A trace and every number of every range, written nowhere."""
    for _ in ranges_in_parts(read_trace(path)):
        pass


WORK: dict[str, Callable[[Path], None]] = {
    work.__name__: work for work in (columns, columns_sqlite, trace, sweeps, ranges)
}


def main() -> None:
    work, path = WORK[sys.argv[1]], Path(sys.argv[2])
    begin = time.perf_counter()
    work(path)
    print(time.perf_counter() - begin)


if __name__ == "__main__":
    main()
