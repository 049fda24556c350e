"""`trace ranges`: a row for every range instance and device with GPU work."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..analysis.names import hint, known, matches
from ..analysis.overlap import ENGINES
from ..arrays.types import Int64
from ..ranges.attribution import Attribution
from ..ranges.chosen import chosen_ranges
from ..ranges.table import RangeTable, RangeTables
from ..trace.model import KINDS, Trace
from .table import Column, Table

PART = 1 << 19
"""Ranges per part; the rows of one part take some 200 MB."""
_NUMBERS = ("sum", "busy", "span", "idle", "overlap", "max_in_flight")
_NOT_IN_GRAPHS = frozenset({"kernels", "overlap", "max_in_flight", "overlap_copy_compute", "overlap_comm_compute"})


def why_none(trace: Trace, domain: str | None, name: str) -> str:
    """Why there is no row: no range at all, none of that name (with the nearest), or none with GPU work."""
    if not len(trace.ranges):
        return "the trace holds no NVTX range"
    if domain is not None and not matches(trace.ranges.domain, trace.strings, domain).any():
        return f"no range is in domain {domain!r}: {hint(domain, known(trace.ranges.domain, trace.strings))}"
    if not len(chosen_ranges(trace, domain, name)):
        return f"no range is called {name!r}: {hint(name, known(trace.ranges.text, trace.strings))}"
    return "none of these ranges launched GPU work"


def ranges(
    trace: Trace,
    domain: str | None = None,
    name: str = "*",
    everything: bool = False,
    attribution: str = "thread",
) -> Table:
    """The rows, with the columns of docs/json.md, sorted by start, end (later first), pid, tid, device.

    Args:
        domain, name: as `chosen_ranges` takes them.
        everything: ranges without GPU work too.
        attribution: "thread", or "process" for the launches of every thread inside the range; the rows then say so.

    Raises:
        UsageError: no such attribution.
    """
    tables = RangeTables(trace, Attribution.named(attribution))
    return _table(trace, tables, chosen_ranges(trace, domain, name), everything, attribution)


def ranges_in_parts(
    trace: Trace,
    domain: str | None = None,
    name: str = "*",
    everything: bool = False,
    attribution: str = "thread",
) -> Iterator[Table]:
    """The same rows in the same order, about `PART` ranges at a time, so that they are never all in memory at once. There
    is at least one part.

    Raises:
        UsageError: no such attribution.
    """
    tables, chosen = RangeTables(trace, Attribution.named(attribution)), chosen_ranges(trace, domain, name)
    chosen = chosen[np.argsort(trace.ranges.start[chosen], kind="stable")]
    later = np.flatnonzero(np.diff(trace.ranges.start[chosen])) + 1  # ranges that start together stay together
    cuts = np.unique(np.searchsorted(later, np.arange(PART, len(chosen), PART), "left"))
    for part in np.split(chosen, later[cuts[cuts < len(later)]]):
        yield _table(trace, tables, part, everything, attribution)


def _table(trace: Trace, tables: RangeTables, chosen: Int64, everything: bool, attribution: str) -> Table:
    numbers = tables.table(chosen)
    silent = np.setdiff1d(chosen, numbers.range) if everything else np.empty(0, np.int64)
    rows = np.concatenate([numbers.range, silent]) if len(silent) else numbers.range
    columns = {**_identity(trace, rows), **_numbers(trace, numbers, len(silent))}
    if attribution == "process":
        columns["attribution"] = Column(np.zeros(len(rows), np.int64), ("process",))
    order = _order(trace, rows, columns)
    return Table(columns) if order is None else Table(columns).take(order)


def _identity(trace: Trace, rows: Int64) -> dict[str, Column | Table]:
    r, thread = trace.ranges, trace.ranges.thread[rows]
    return {
        "domain": Column(r.domain[rows], trace.strings),
        "name": Column(r.text[rows], trace.strings),
        "kind": Column(r.start_end[rows].astype(np.int64), ("pushpop", "startend")),
        "start": Column(r.start[rows]),
        "end": Column(r.end[rows]),
        "open": Column(r.is_open[rows]),
        "pid": Column((thread >> 24) & 0xFFFFFF),
        "tid": Column(thread & 0xFFFFFF),
    }


def _numbers(trace: Trace, numbers: RangeTable, silent: int) -> dict[str, Column | Table]:
    """The columns from `device` on; the last `silent` rows are of ranges without GPU work."""
    none = np.concatenate([np.zeros(len(numbers), bool), np.ones(silent, bool)])
    unknown = np.concatenate([numbers.graphs > 0, np.zeros(silent, bool)])

    def column(name: str, missing: bool = False) -> Column:
        values = _followed(getattr(numbers, name), silent)
        return Column(values, missing=unknown if name in _NOT_IN_GRAPHS else none if missing else None)

    def quotient(above: Int64, below: Int64) -> Column:
        above, below = _followed(above, silent), _followed(below, silent)
        return Column(above / np.maximum(below, 1), missing=unknown | none | (below == 0))

    uuids = [gpu.uuid for gpu in trace.gpus]
    return {
        "device": column("device", missing=True),
        "gpu_uuid": Column(_followed(numbers.gpu, silent, -1), uuids),
        **{name: column(name) for name in ("ops", "kernels", "launches")},
        **{name: column(name, missing=True) for name in ("proj_start", "proj_end")},
        **{name: column(name) for name in _NUMBERS},
        "busy_by_class": Table(
            {name: Column(_followed(numbers.busy_by_class[:, code], silent)) for code, name in enumerate(KINDS)}
        ),
        **{name: column(name) for name in ("overlap_copy_compute", "overlap_comm_compute")},
        "engine": Column(_followed(numbers.engine, silent, -1), tuple(ENGINES), unknown),
        "busiest": quotient(numbers.engine_busy, numbers.span),
        "bound": quotient(numbers.span, numbers.engine_busy),
    }


def _followed(values: Int64, silent: int, by: int = 0) -> Int64:
    return np.concatenate([values, np.full(silent, by)]) if silent else values


def _order(trace: Trace, rows: Int64, columns: dict[str, Column | Table]) -> Int64 | None:
    """The order of the rows, None where they are in order; only what starts together is sorted by more than its start."""
    start = trace.ranges.start[rows]
    if (start[1:] > start[:-1]).all():
        return None
    order = np.argsort(start, kind="stable")
    tied = start[order][1:] == start[order][:-1]
    places = np.flatnonzero(np.concatenate([[False], tied]) | np.concatenate([tied, [False]]))
    mine = order[places]
    keys = [trace.ranges.row[rows[mine]]]
    for name in ("device", "tid", "pid", "end", "start"):
        column = columns[name]
        if isinstance(column, Column):
            keys.append(-column.values[mine] if name == "end" else column.values[mine])
    order[places] = mine[np.lexsort(keys)]
    return order
