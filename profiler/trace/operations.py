"""GPU operations: kernels, copies, memsets and untraced graphs, from their tables into one set of columns."""

from __future__ import annotations

import re
import sqlite3

import numpy as np
from numpy.typing import NDArray

from .columns import NONE, Columns, Int64, read_integers
from .devices import physical_gpus
from .matching import launches_of
from .model import (
    COMM,
    COMPUTE,
    D2D,
    D2H,
    GRAPH_LAUNCH,
    H2D,
    MEMORY_SET,
    OTHER,
    P2P,
    TABLES,
    Calls,
    Gpu,
    Operations,
)
from .schema import GRAPH_TRACE, KERNEL, MEMCPY, MEMSET, Schema
from .strings import Strings
from .validity import Invalid, valid_times

# copyKind -> class. 3-7 are array copies, 11-13 managed memory; 9 (host to host) touches no device.
_COPY_KIND = {1: H2D, 2: D2H, 3: H2D, 4: D2H, 5: D2D, 6: D2D, 7: D2D, 8: D2D, 10: P2P, 11: H2D, 12: D2H, 13: D2D}
_PAGEABLE = 0  # srcKind / dstKind


def read_operations(
    connection: sqlite3.Connection,
    schema: Schema,
    strings: Strings,
    calls: Calls,
    comm: re.Pattern[str],
    invalid: Invalid,
) -> tuple[Operations, tuple[Gpu, ...]]:
    """All operations of all tables, each with its call, and the physical devices that they ran on."""
    tables = [_read_table(connection, schema, table, invalid) for table in TABLES]

    def every(column: str, default: int = 0) -> Int64:
        parts = [t[column] if column in t else np.full(len(t["row"]), default, np.int64) for t in tables]
        return np.concatenate(parts)

    name = strings.of_ids(
        np.where(every("shortName", NONE) >= 0, every("shortName", NONE), every("demangledName", NONE))
    )
    table = np.repeat(np.arange(len(TABLES), dtype=np.int8), [len(t["row"]) for t in tables])
    process, device, correlation = every("globalPid"), every("deviceId"), every("correlationId", NONE)
    gpu, gpus = physical_gpus(connection, schema, process, device)
    kernel = table == TABLES.index(KERNEL)
    operations = Operations(
        table=table,
        row=every("row"),
        process=process,
        device=device,
        context=every("contextId"),
        stream=every("streamId"),
        gpu=gpu,
        start=every("start"),
        end=every("end"),
        correlation=correlation,
        kind=_kinds(table, every("copyKind"), name, strings.of_ids(every("demangledName", NONE)), strings, comm),
        name=name,
        bytes=np.where(kernel | (table == TABLES.index(GRAPH_TRACE)), NONE, every("bytes")),
        graph_node=every("graphNodeId"),
        pageable=(every("srcKind", NONE) == _PAGEABLE) | (every("dstKind", NONE) == _PAGEABLE),
        launch=launches_of(process, correlation, calls),
    )
    return operations, gpus


def _read_table(connection: sqlite3.Connection, schema: Schema, table: str, invalid: Invalid) -> Columns:
    optional = {"globalPid": 0, "contextId": 0, "correlationId": NONE, "graphNodeId": 0}
    own = {
        KERNEL: {"shortName": NONE, "demangledName": NONE},
        MEMCPY: {"copyKind": 0, "bytes": 0, "srcKind": NONE, "dstKind": NONE},
        MEMSET: {"bytes": 0},
        GRAPH_TRACE: {},
    }[table]
    columns = read_integers(connection, schema, table, ("start", "end", "deviceId", "streamId"), {**optional, **own})
    return valid_times(columns, table, invalid)


def _kinds(
    table: NDArray[np.int8],
    copy_kind: Int64,
    short: Int64,
    full: Int64,
    strings: Strings,
    comm: re.Pattern[str],
) -> NDArray[np.int8]:
    known = np.array(
        [_COPY_KIND.get(code, OTHER) for code in range(max(14, int(copy_kind.max(initial=0)) + 1))], np.int8
    )
    by_table = np.array([COMPUTE, OTHER, MEMORY_SET, GRAPH_LAUNCH], np.int8)
    kind = np.where(table == TABLES.index(MEMCPY), known[np.maximum(copy_kind, 0)], by_table[table])
    names = np.union1d(short, full)
    talking = [i for i in names if i >= 0 and comm.search(strings.text(int(i)))]
    is_comm = (kind == COMPUTE) & (np.isin(short, talking) | np.isin(full, talking))
    return np.where(is_comm, np.int8(COMM), kind).astype(np.int8)
