"""The kernels of a trace as joining needs them: with their grid and block, which the rest of the analysis does not need."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..trace.model import TABLES, Operations, Trace
from ..trace.schema import KERNEL, read_schema
from ..trace.source.file import open_source
from ..trace.tables.columns import Wish, read_table
from .joining import TracedKernel

_DIMS = ("gridX", "gridY", "gridZ", "blockX", "blockY", "blockZ")


def traced_kernels(path: Path, trace: Trace, operations: Operations) -> list[TracedKernel]:
    """The kernels among `operations`, in the order of their launches.

    Args:
        path: the file that `trace` was read from.
        operations: a selection of the trace's operations, e.g. those of one range.

    Raises:
        TraceError: the trace's kernels have no grid or block.
    """
    kernels = operations.take(operations.table == TABLES.index(KERNEL))
    kernels = kernels.take(np.lexsort((kernels.row, kernels.start, kernels.launch)))
    with open_source(path) as source:
        columns = read_table(source, read_schema(source), KERNEL, Wish(_DIMS), {}).columns
    order = np.argsort(columns["row"])
    place = order[np.searchsorted(columns["row"], kernels.row, sorter=order)]
    dims = np.stack([columns[name][place] for name in _DIMS], axis=1).tolist()
    rows = zip(kernels.row.tolist(), kernels.name.tolist(), kernels.start.tolist(), kernels.end.tolist(), strict=True)
    return [
        TracedKernel(row, trace.text(name), (x, y, z), (i, j, k), start, end)
        for (row, name, start, end), (x, y, z, i, j, k) in zip(rows, dims, strict=True)
    ]
