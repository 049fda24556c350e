"""Every operation and every call as rows, for `trace export` and for notebooks."""

from __future__ import annotations

import numpy as np

from ..arrays.types import Int64
from ..trace.model import KINDS, Trace
from .table import Column, Table


def operations(trace: Trace) -> Table:
    """Every GPU operation, by start: what it was, where it ran, and the call that submitted it (its row in RUNTIME)."""
    rows = trace.operations
    order = np.lexsort((rows.row, rows.table, rows.end, rows.start))
    rows = rows.take(order)
    bare = rows.launch < 0
    launch = np.where(bare, 0, rows.launch)
    call_row, call_start = (
        getattr(trace.calls, name)[launch] if len(trace.calls) else launch for name in ("row", "start")
    )
    return Table(
        {
            "table": Column(rows.table.astype(np.int64), trace.tables),
            "row": Column(rows.row),
            "kind": Column(rows.kind.astype(np.int64), KINDS),
            "name": Column(rows.name, trace.strings),
            "start": Column(rows.start),
            "end": Column(rows.end),
            "pid": Column(_pid(rows.process)),
            "device": Column(rows.device),
            "gpu_uuid": Column(rows.gpu, [gpu.uuid for gpu in trace.gpus]),
            "context": Column(rows.context),
            "stream": Column(rows.stream),
            "bytes": Column(rows.bytes, missing=rows.bytes < 0),
            "pageable": Column(rows.pageable),
            "graph_node": Column(rows.graph_node, missing=rows.graph_node == 0),
            "correlation": Column(rows.correlation, missing=rows.correlation < 0),
            "launch_row": Column(call_row, missing=bare),
            "launch_start": Column(call_start, missing=bare),
        }
    )


def calls(trace: Trace) -> Table:
    """Every CUDA API call, by start."""
    rows = trace.calls.take(np.lexsort((trace.calls.row, -trace.calls.end, trace.calls.start)))
    return Table(
        {
            "row": Column(rows.row),
            "name": Column(rows.name, trace.strings),
            "start": Column(rows.start),
            "end": Column(rows.end),
            "pid": Column(_pid(rows.thread)),
            "tid": Column(rows.thread & 0xFFFFFF),
            "correlation": Column(rows.correlation, missing=rows.correlation < 0),
            "result": Column(rows.result),
            "nested": Column(~rows.outermost),
        }
    )


def _pid(key: Int64) -> Int64:
    return (key >> 24) & 0xFFFFFF
