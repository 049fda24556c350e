"""What the benchmark runs, each in a process of its own: `python benchmarks/measured.py columns TRACE`.

Prints the seconds that the work itself took; the caller measures the process. `digest` and `projections` print what others must have
found too.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import cast

import numpy as np
from aisp_prof.profiler.analysis.completeness import attest  # noqa: TID251
from aisp_prof.profiler.analysis.ledger import ledger  # noqa: TID251
from aisp_prof.profiler.analysis.overlap import concurrency_by_gpu  # noqa: TID251
from aisp_prof.profiler.queries.ranges import ranges_in_parts  # noqa: TID251
from aisp_prof.profiler.queries.table import Column  # noqa: TID251
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


def digest(path: Path) -> None:
    """What `columns` reads, as `peers.py` tells it of other readers: of each column how many values there are, and their sum as
    64 bits; of texts their length in bytes."""
    told = {}
    with open_source(path) as source:
        for table, wanted in COLUMNS.items():
            found = source.scan(table, wanted)
            integers = [found.integers[name] for name in wanted.integers]
            told[table] = [[int((~one.is_null).sum()), int(one.values[~one.is_null].sum()) % 2**64] for one in integers]
            for texts in (found.texts[name] for name in wanted.texts):
                length = np.array([len(text) for text in texts.values], np.int64)
                told[table].append([int((texts.codes >= 0).sum()), int(length[texts.codes[texts.codes >= 0]].sum())])
    print(json.dumps(told))


def projections(path: Path) -> None:
    """What `nvtx_gpu_proj_sum` tells of each range's name: how many instances have work, and for how long in all; a range's
    rows of several devices are one projection there."""
    total: dict[str, list[int]] = {}
    for part in ranges_in_parts(read_trace(path)):
        keys = [cast(Column, part.columns[name]) for name in ("start", "end", "pid", "tid", "name", "domain")]
        order = np.lexsort([key.values for key in keys])
        first = np.flatnonzero(
            np.append(True, np.any([np.diff(key.values[order]) != 0 for key in keys], axis=0))[: len(order)]
        )
        begin, end = (cast(Column, part.columns[name]).values[order] for name in ("proj_start", "proj_end"))
        took = np.maximum.reduceat(end, first) - np.minimum.reduceat(begin, first) if len(first) else first
        names = [cast(Column, part.columns[name]).take(order[first]).python() for name in ("domain", "name")]
        for domain, name, ns in zip(*names, took.tolist(), strict=True):
            one = total.setdefault(f"{domain}:{name}" if domain else name, [0, 0])
            one[0] += 1
            one[1] += ns
    print(json.dumps(total))


WORK: dict[str, Callable[[Path], None]] = {
    work.__name__: work for work in (columns, columns_sqlite, trace, sweeps, ranges, digest, projections)
}


def main() -> None:
    work, path = WORK[sys.argv[1]], Path(sys.argv[2])
    begin = time.perf_counter()
    work(path)
    print(time.perf_counter() - begin, file=sys.stderr)


if __name__ == "__main__":
    main()
