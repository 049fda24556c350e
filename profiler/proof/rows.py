"""Which rows of a trace the numbers of each measured iteration are made of, to be looked up by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays.groups import ascending
from ..arrays.types import Int64
from ..evidence import Evidence
from ..ranges.instances import Instances
from ..trace.model import TABLES, Calls, Trace
from ..trace.schema import NVTX, RUNTIME
from .measured import Measured, gpus_of
from .named import Traces, measured_in

Span = tuple[int, int]
"""The first and the last of consecutive row ids, both included."""


@dataclass(frozen=True, slots=True)
class IterationRows:
    """The rows of one iteration: its NVTX range, the operations that belong to it, the API calls inside it.

    path         the range's names from the outside in, `outer/inner`
    range        the table and row id of the range
    operations   table -> row ids
    calls        table -> row ids
    """

    path: str
    range: tuple[str, int]
    operations: Mapping[str, tuple[Span, ...]]
    calls: Mapping[str, tuple[Span, ...]]


def rows_of(traces: Traces, evidence: Evidence) -> dict[str, tuple[IterationRows, ...]]:
    """variant -> the rows of each of its iterations, in the order of `VariantEvidence.iterations`; none where nothing was traced."""
    if not traces:
        return {}
    measured = _shown(traces[0], evidence, measured_in(evidence.manifest, traces))
    return {
        v: tuple(_rows(one, place, calls) for place, calls in enumerate(one.each_calls()))
        for v, one in measured.items()
    }


def _shown(trace: Trace, evidence: Evidence, measured: Measured) -> Measured:
    """Where several devices ran, the evidence is of the one that its caveat names."""
    named = next((str(f.values["gpu"]) for f in evidence.caveats if f.code == "mixed_devices"), None)
    gpus = gpus_of(measured)
    if named is None or len(gpus) < 2:
        return measured
    gpu = next(gpu for gpu in gpus if (trace.gpus[gpu].uuid or str(gpu)) == named)
    return {v: one.on(gpu) for v, one in measured.items()}


def _rows(runs: Instances, place: int, calls: Calls) -> IterationRows:
    trace, index = runs.trace, int(runs.range[place])
    tables, operations = trace.schema.tables, runs.operations(place)
    of_table = {TABLES[t]: operations.row[operations.table == t] for t in np.unique(operations.table).tolist()}
    return IterationRows(
        path=trace.path_of(index),
        range=(tables[NVTX], int(trace.ranges.row[index])),
        operations={tables[name]: tuple(_spans(rows)) for name, rows in sorted(of_table.items())},
        calls={tables[RUNTIME]: tuple(_spans(calls.row))} if len(calls) else {},
    )


def _spans(rows: Int64) -> Iterable[Span]:
    """Ascending, in as few pieces as there are."""
    ordered = ascending(rows)
    for piece in np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1):
        if len(piece):
            yield int(piece[0]), int(piece[-1])
