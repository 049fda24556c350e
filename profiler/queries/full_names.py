"""Kernels' full names, with their template arguments, which the columns of a trace leave out."""

from __future__ import annotations

import numpy as np

from ..trace.columns import NONE, Int64, read_integers
from ..trace.file import connect
from ..trace.model import TABLES, Trace
from ..trace.schema import KERNEL
from ..trace.strings import Strings


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
    with connect(trace.path) as connection:
        strings = Strings(connection, trace.schema)
        columns = read_integers(connection, trace.schema, KERNEL, (), {"demangledName": NONE})
        name = strings.of_ids(columns["demangledName"])
    kernels = np.flatnonzero(operations.table == TABLES.index(KERNEL))
    order = np.argsort(columns["row"])
    where = order[np.searchsorted(columns["row"][order], operations.row[kernels])]
    found[kernels] = name[where]
    return found, strings.values()
