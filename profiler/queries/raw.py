"""Every operation and every call as rows, for `trace export` and for notebooks."""

from __future__ import annotations

import numpy as np

from ..arrays.types import Int64
from ..trace.model import KINDS, Trace
from .table import Column, Table


def operations(trace: Trace) -> Table:
    """Every GPU operation, by start: what it was, where it ran, and the call that submitted it (its row in RUNTIME)."""
    found = trace.operations
    order = np.lexsort((found.row, found.table, found.end, found.start))
    found = found.take(order)
    bare = found.launch < 0
    launch = np.where(bare, 0, found.launch)
    call_row, call_start = (
        getattr(trace.calls, name)[launch] if len(trace.calls) else launch for name in ("row", "start")
    )
    return Table(
        {
            "table": Column(found.table.astype(np.int64), trace.tables),
            "row": Column(found.row),
            "kind": Column(found.kind.astype(np.int64), KINDS),
            "name": Column(found.name, trace.strings),
            "start": Column(found.start),
            "end": Column(found.end),
            "pid": Column(_pid(found.process)),
            "device": Column(found.device),
            "gpu_uuid": Column(found.gpu, [gpu.uuid for gpu in trace.gpus]),
            "context": Column(found.context),
            "stream": Column(found.stream),
            "bytes": Column(found.bytes, missing=found.bytes < 0),
            "pageable": Column(found.pageable),
            "graph_node": Column(found.graph_node, missing=found.graph_node == 0),
            "correlation": Column(found.correlation, missing=found.correlation < 0),
            "launch_row": Column(call_row, missing=bare),
            "launch_start": Column(call_start, missing=bare),
        }
    )


def calls(trace: Trace) -> Table:
    """Every CUDA API call, by start."""
    found = trace.calls.take(np.lexsort((trace.calls.row, -trace.calls.end, trace.calls.start)))
    return Table(
        {
            "row": Column(found.row),
            "name": Column(found.name, trace.strings),
            "start": Column(found.start),
            "end": Column(found.end),
            "pid": Column(_pid(found.thread)),
            "tid": Column(found.thread & 0xFFFFFF),
            "correlation": Column(found.correlation, missing=found.correlation < 0),
            "result": Column(found.result),
            "nested": Column(~found.outermost),
        }
    )


def _pid(key: Int64) -> Int64:
    return (key >> 24) & 0xFFFFFF
