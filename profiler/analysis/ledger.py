"""The launch ledger: every kernel, copy and memset is accounted for by exactly one line, and the lines close."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays.groups import any_of, distinct_values
from ..arrays.types import Int64
from ..evidence import LedgerLine
from ..trace import api
from ..trace.model import COMM, COMPUTE, COPIES, GRAPH_LAUNCH, MEMORY_SET, MIGRATION, OTHER, Trace


@dataclass(frozen=True, slots=True)
class Matching:
    """Row indices into `trace.calls` and `trace.operations`.

    executed   submitting calls with operations
    captured   submitting calls without any that a stream captured into a graph
    failed     submitting calls without any that returned an error
    dropped    submitting calls without any and without such an excuse: records that were lost
    orphans    operations whose call is not in the trace; migrations of unified memory have none by nature
    """

    executed: Int64
    captured: Int64
    failed: Int64
    dropped: Int64
    orphans: Int64


def match_launches(trace: Trace) -> Matching:
    """Sort every submitting call into one of the lists above."""
    calls = trace.calls
    submitting = calls.outermost & any_of(calls.effect, api.SUBMITTING)
    launch = trace.operations.launch
    has_work = np.zeros(len(calls) + 1, bool)
    has_work[launch] = True  # -1, no launch, is the one at the end
    has_work = has_work[:-1]
    capturing = _under_capture(trace)
    failed = calls.result != 0
    return Matching(
        executed=np.flatnonzero(submitting & has_work),
        captured=np.flatnonzero(submitting & ~has_work & capturing),
        failed=np.flatnonzero(submitting & ~has_work & ~capturing & failed),
        dropped=np.flatnonzero(submitting & ~has_work & ~capturing & ~failed),
        orphans=np.flatnonzero((launch < 0) & (trace.operations.kind != MIGRATION)),
    )


def _under_capture(trace: Trace) -> NDArray[np.bool_]:
    """Calls that execute nothing because a stream captures them.

    The trace does not say on which stream a call was made. Where it holds the nodes of graphs, a launch that was captured
    made one, on whichever thread it was called; else, and for copies and memsets, of which empty ones make none, a capture
    excuses the calls of the thread that began it.
    """
    calls = trace.calls
    nodes = calls.made_node
    tells = (calls.effect == api.KERNEL) & bool(nodes.any())
    captured: NDArray[np.bool_] = nodes | (_while_capturing(trace) & ~tells)
    return captured


def _while_capturing(trace: Trace) -> NDArray[np.bool_]:
    """Calls between a BeginCapture that succeeded and the next EndCapture of their thread."""
    calls = trace.calls
    inside = np.zeros(len(calls), bool)
    begins = calls.outermost & (calls.effect == api.BEGIN) & (calls.result == 0)
    if not begins.any():
        return inside
    ends = calls.outermost & (calls.effect == api.END)
    by_thread = np.argsort(calls.thread, kind="stable")
    threads = distinct_values(calls.thread[begins])
    low, high = (np.searchsorted(calls.thread[by_thread], threads, side).tolist() for side in ("left", "right"))
    for first, last in zip(low, high, strict=True):
        mine = by_thread[first:last]
        opened, closed = calls.end[mine[begins[mine]]], calls.start[mine[ends[mine]]]
        inside[mine] = _depth(opened, closed, calls.start[mine]) > 0
    return inside


def _depth(opened: Int64, closed: Int64, at: Int64) -> Int64:
    """How many captures are open at these times; an end without a beginning ends nothing."""
    times = np.concatenate((opened, closed))
    order = np.argsort(times, kind="stable")
    steps = np.repeat((1, -1), (len(opened), len(closed)))[order].cumsum()
    depth = steps - np.minimum.accumulate(np.minimum(steps, 0))
    return np.append(0, depth)[np.searchsorted(times[order], at, "right")]


def summed(ledgers: Iterable[tuple[LedgerLine, ...]]) -> tuple[LedgerLine, ...]:
    """The lines of several traces together."""
    counts: dict[str, int] = {}
    for line in (line for lines in ledgers for line in lines):
        counts[line.code] = counts.get(line.code, 0) + line.count
    return tuple(LedgerLine(code, count) for code, count in counts.items())


def ledger(trace: Trace, matching: Matching | None = None) -> tuple[LedgerLine, ...]:
    """The whole trace's lines. kernels = kernel_launches + graph_kernels + unmatched_kernels, and likewise for copies
    and memsets: `closes` checks it. `matching` is what `match_launches` found, where it is known already."""
    matching = matching or match_launches(trace)
    operations, calls = trace.operations, trace.calls
    launched = operations.launch >= 0
    graph = np.zeros(len(operations), bool)
    if (calls.effect == api.GRAPH).any():
        graph[launched] = calls.effect[operations.launch[launched]] == api.GRAPH
    single = launched & ~graph
    lines: list[LedgerLine] = []

    def counted(mask: NDArray[np.bool_]) -> int:
        return int(operations.copies[mask].sum())

    for name, kinds in (("kernels", (COMPUTE, COMM)), ("copies", (*COPIES, OTHER)), ("memsets", (MEMORY_SET,))):
        mine = any_of(operations.kind, kinds)
        lines.append(LedgerLine(name, counted(mine)))
        lines.append(LedgerLine(f"{name}_one_by_one", counted(mine & single)))
        lines.append(LedgerLine(f"{name}_in_graphs", counted(mine & graph)))
        lines.append(LedgerLine(f"{name}_unmatched", counted(mine & ~launched)))
    executed = calls.effect[matching.executed]
    lines += [
        LedgerLine("kernel_launch_calls", int((executed == api.KERNEL).sum())),
        LedgerLine("graph_launch_calls", int((executed == api.GRAPH).sum())),
        LedgerLine("graphs_untraced", int((operations.kind == GRAPH_LAUNCH).sum())),
        LedgerLine("captured_calls", len(matching.captured)),
        LedgerLine("failed_calls", len(matching.failed)),
        LedgerLine("unmatched_calls", len(matching.dropped)),
        LedgerLine("syncs", int((calls.outermost & (calls.effect == api.WAIT)).sum())),
    ]
    if migrations := int((operations.kind == MIGRATION).sum()):
        lines.append(LedgerLine("migrations", migrations))
    return tuple(lines)


def closes(lines: tuple[LedgerLine, ...]) -> bool:
    """Whether kernels, copies and memsets are each the sum of their parts."""
    count = {line.code: line.count for line in lines}
    parts = ("one_by_one", "in_graphs", "unmatched")
    return all(
        count[name] == sum(count[f"{name}_{part}"] for part in parts) for name in ("kernels", "copies", "memsets")
    )
