"""From an export to a `Trace`: every table is scanned once into columns."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...errors import TraceError
from ..arrays.types import Int64
from . import communication
from .cache.traces import Put, TraceCache, as_it_is
from .model import TABLES, Diagnostic, Trace
from .schema import CUDA_EVENT, NVTX, RUNTIME, SYNCHRONIZATION, Schema, read_schema
from .source.file import Export, open_source, refuse_unfinished, state_of
from .source.limits import refuse_absurd_counts
from .source.scan import Source
from .tables.calls import only_process, read_calls
from .tables.columns import Invalid
from .tables.nvtx import Ends, read_nvtx
from .tables.operations import read_operations
from .tables.session import session_ends, start_utc
from .tables.stated import read_stated, said_rank
from .tables.strings import Strings
from .tables.sums import refuse_absurd_sizes, refuse_absurd_times


def read_trace(
    path: Path | str,
    communication_patterns: Iterable[str] = (),
    export: Export | None = None,
    cache: TraceCache | None = None,
) -> Trace:
    """Read an Nsight Systems export; the file is not touched.

    Args:
        path: `.sqlite`, also packed as `.xz`, `.gz` or `.zst`, or a folder of Parquet files (`nsys export -t parquetdir`).
        communication_patterns: regular expressions of kernel names that count as communication, besides the known ones.
        export: makes an SQLite file of a `.nsys-rep`; without it such a file is refused.
        cache: where large traces are kept as columns; by default in the folder that `cache_folder` names.

    Raises:
        TraceError: the file is missing, not SQLite, truncated, damaged, not an nsys export, or changes while it is
            read, or a table is malformed.
        EnvironmentLacks: what a packed or a Parquet trace needs is not installed.
    """
    path, patterns = Path(path), tuple(communication_patterns)
    refuse_unfinished(path)  # first, because the cache answers for the file alone
    before = state_of(path)
    kept = cache or TraceCache()
    key = kept.key(path, patterns)
    known = kept.get(key, path) if key else None
    if known is not None:
        return known
    with open_source(path, export) as source:
        talking = communication.matcher(patterns)

        def read(put: Put) -> Trace:
            trace = read_source(source, talking, put)
            if (
                state_of(path) != before
            ):  # else the cache would answer for the file's content with another one's numbers
                raise TraceError(f"{path}: changed while it was read", "run the command again")
            return trace

        return kept.keep(key, read) if key else read(as_it_is)


def read_source(source: Source, comm: communication.Known, put: Put = as_it_is) -> Trace:
    """Read all tables of an opened trace. Each part goes through `put` as soon as it has been read, beside the reading of the
    next one."""
    with ThreadPoolExecutor(1) as beside:
        return _read_source(source, comm, put, beside)


def _read_source(source: Source, comm: communication.Known, put: Put, beside: Executor) -> Trace:
    schema = read_schema(source)
    started = start_utc(source, schema)
    strings = Strings(source, schema)
    invalid: Invalid = {}
    calls, submitted = read_calls(source, schema, strings, invalid)
    ends, alone = _latest(calls.end), only_process(calls)
    refuse_absurd_times(schema.path, "API calls", calls)
    kept_calls = beside.submit(put, "calls", calls)
    del calls
    operations, gpus = read_operations(source, schema, strings, alone, submitted, comm, invalid)
    del submitted
    end = max((*ends, *_latest(operations.end)), default=0)
    refuse_absurd_times(schema.path, "operations", operations)
    refuse_absurd_sizes(schema.path, operations)
    kept_operations = beside.submit(put, "operations", operations)
    del operations
    ranges, marks = read_nvtx(source, schema, strings, Ends(end, session_ends(source, schema, started)), invalid)
    refuse_absurd_times(schema.path, "ranges", ranges)
    end = max((end, *_latest(ranges.end)))
    calls, operations = kept_calls.result(), kept_operations.result()
    stated = put("stated", read_stated(source, schema, strings, ranges, operations))
    processes = [rows.codes("process").values for rows in (calls, operations, ranges)]
    refuse_absurd_counts(schema.path, len(np.unique(np.concatenate(processes))), len(gpus))
    ranges, marks = put("ranges", ranges), put("marks", marks)
    return Trace(
        path=schema.path,
        schema=schema,
        strings=strings.values(),
        operations=operations,
        calls=calls,
        ranges=ranges,
        gpus=gpus,
        diagnostics=_diagnostics(source, schema),
        rows={table: _count(source, schema, table) for table in (*TABLES, RUNTIME, SYNCHRONIZATION, CUDA_EVENT, NVTX)},
        invalid=invalid,
        start_utc_ns=started,
        end=end,
        marks=marks,
        stated=stated,
        said_rank=said_rank(source, schema),
    )


def _latest(ends: Int64) -> tuple[int, ...]:
    return (int(ends.max()),) if len(ends) else ()


def _diagnostics(source: Source, schema: Schema) -> tuple[Diagnostic, ...] | None:
    table = "DIAGNOSTIC_EVENT"
    if not schema.has(table, "severity", "text"):
        return None
    process = ("globalPid",) if schema.has(table, "globalPid") else ()
    rows = source.records(schema.tables[table], ("severity", "text", *process))
    return tuple(
        Diagnostic(int(severity), str(text), key[0] if key and isinstance(key[0], int) else 0)
        for severity, text, *key in rows
        if isinstance(severity, int)
    )


def _count(source: Source, schema: Schema, table: str) -> int:
    return source.count(schema.tables[table]) if table in schema.tables else 0
