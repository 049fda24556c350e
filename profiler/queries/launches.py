"""`trace launches`: a row for every API call that submits work, what it led to and how long the GPU took to begin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..analysis.ledger import match_launches
from ..arrays.blocks import both, gathered
from ..arrays.types import Int64
from ..arrays.windows import by_group
from ..trace import api
from ..trace.model import Trace
from .kept import kept
from .spread import Spread, groups, spread, spreads

_EFFECTS = {
    api.KERNEL: "kernel",
    api.GRAPH: "graph",
    api.COPY: "copy",
    api.MEMSET: "memset",
    api.WAIT: "sync",
    api.BEGIN: "capture",
    api.END: "capture",
    api.OTHER: "other",
}


@dataclass(frozen=True, slots=True)
class LaunchRow:
    """All calls of one API function, runtime or driver.

    effect           kernel, graph, copy, memset, sync, capture or other
    calls            rows of RUNTIME; `nested` of them lie inside another call with the same correlation id
    executed         calls that led to operations, of which there are `operations`
    captured         under stream capture: they executed nothing; `failed` returned an error
    unmatched        submitted work of which the trace has no record
    time             of the calls, on the host
    launch_latency   operation's start minus call's start, signed; `queue_delay` minus the call's end. A graph counts once,
                     with its first operation
    """

    name: str
    effect: str
    calls: int
    nested: int
    executed: int
    captured: int
    failed: int
    unmatched: int
    operations: int
    time: Spread
    launch_latency: Spread | None
    negative_latencies: int
    queue_delay: Spread | None


def launches(trace: Trace, everything: bool = False) -> tuple[LaunchRow, ...]:
    """The rows, the longest total time first; `everything` adds the calls that submit nothing."""
    name = f"calls{', all' if everything else ''}"
    return kept(trace, name, (LaunchRow, Spread), partial(_rows, trace, everything))


def _rows(trace: Trace, everything: bool) -> tuple[LaunchRow, ...]:
    calls = trace.calls
    group, first = groups(calls.name)
    times = spreads(group, calls.end - calls.start)
    rows = []
    shown = [everything or int(calls.effect[at]) in api.SUBMITTING for at in first]
    outcomes, begin = both(partial(_outcomes, trace, group, len(first)), partial(_begins, trace))
    order = by_group(group, len(first))
    members = np.split(order, np.flatnonzero(np.diff(gathered(group, order))) + 1) if len(first) else []
    for number, at in enumerate(first):
        if shown[number]:
            name, effect = trace.text(int(calls.name[at])), _EFFECTS[int(calls.effect[at])]
            nested, executed, captured, failed, unmatched, operations = outcomes[number]
            counts = (times[number].n, nested, executed, captured, failed, unmatched, operations)
            rows.append(LaunchRow(name, effect, *counts, times[number], *_latency(trace, members[number], begin)))
    return tuple(sorted(rows, key=lambda row: (-row.time.sum, row.name)))


def _outcomes(trace: Trace, group: Int64, n: int) -> list[tuple[int, ...]]:
    """nested, executed, captured, failed, unmatched, operations of each group."""
    matching = match_launches(trace)
    launch = trace.operations.launch
    launched = launch if (launch >= 0).all() else launch[launch >= 0]
    lists = (np.flatnonzero(~trace.calls.outermost), matching.executed, matching.captured, matching.failed)
    counts = [np.bincount(gathered(group, rows), minlength=n) for rows in (*lists, matching.dropped, launched)]
    return [tuple(int(column[number]) for column in counts) for number in range(n)]


def _begins(trace: Trace) -> Int64:
    """When the first operation of each call began, shape (len(trace.calls),); the largest integer where none did."""
    first = np.full(len(trace.calls), np.iinfo(np.int64).max, np.int64)
    launch, start = trace.operations.launch, trace.operations.start
    launched = launch >= 0
    if not launched.all():
        launch, start = launch[launched], start[launched]
    np.minimum.at(first, launch, start)
    return first


def _latency(trace: Trace, members: Int64, begin: Int64) -> tuple[Spread | None, int, Spread | None]:
    began = gathered(begin, members)
    there = began != np.iinfo(np.int64).max
    mine, began = (members, began) if there.all() else (members[there], began[there])
    after_start = began - gathered(trace.calls.start, mine)
    return spread(after_start), int((after_start < 0).sum()), spread(began - gathered(trace.calls.end, mine))
