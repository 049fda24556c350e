"""Kernels' full names, with their template arguments, which the columns of a trace leave out."""

from __future__ import annotations

import sqlite3

import numpy as np

from ..trace.columns import Int64
from ..trace.file import connect
from ..trace.model import TABLES, Trace
from ..trace.schema import KERNEL, quote


def full_names(trace: Trace) -> tuple[Int64, tuple[str, ...]]:
    """The demangled name of every operation, read from the trace's file a second time.

    Returns:
        indices of shape (len(trace.operations),), -1 where there is none, and the texts that they mean. Only kernels
        have a full name.

    Raises:
        TraceError: the file is gone or cannot be read.
    """
    operations = trace.operations
    found = np.full(len(operations), -1, np.int64)
    kernels = np.flatnonzero(operations.table == TABLES.index(KERNEL))
    if not len(kernels) or not trace.schema.has(KERNEL, "demangledName"):
        return found, ()
    with connect(trace.path) as connection:
        rows, texts = _read(connection, trace)
    order = np.argsort(rows[:, 0], kind="stable")
    place = np.searchsorted(rows[order, 0], operations.row[kernels])
    found[kernels] = rows[order[place], 1]
    return found, texts


def _read(connection: sqlite3.Connection, trace: Trace) -> tuple[Int64, tuple[str, ...]]:
    """Row ids of KERNEL with the index of their name, shape (n, 2), and the names."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    kernel, strings = (quote(trace.schema.tables[table]) for table in (KERNEL, "StringIds"))
    used = f"SELECT DISTINCT demangledName FROM {kernel}"
    query = f"SELECT id, value FROM {strings} WHERE id IN ({used})"
    names = {key: (number, str(value)) for number, (key, value) in enumerate(connection.execute(query))}
    nothing = (-1, "")
    pairs = connection.execute(f"SELECT rowid, demangledName FROM {kernel}")
    rows = [(row, names.get(key, nothing)[0]) for row, key in pairs]
    return np.array(rows, np.int64).reshape(-1, 2), tuple(text for _, text in names.values())
