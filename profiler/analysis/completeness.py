"""May this trace prove anything? The checks of docs/traces.md, each a finding with its count."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np

from ..evidence import Completeness, Finding
from ..trace.model import GRAPH_LAUNCH, Trace
from ..trace.schema import CUDA_EVENT, GRAPH_TRACE, SYNCHRONIZATION
from .ledger import Matching, match_launches

_STATED = re.compile(r"Number of CUDA events collected:\s*([\d,]+)")
_HARMLESS = re.compile(
    # of processes that never used CUDA or NVTX, such as a compiler that the program started
    r"No (CUDA|NVTX) events collected|CUDA profiling might have not been started correctly"
)
_FILTERS = ("EXPORT_PARAM_TABLES_TO_EXPORT", "EXPORT_PARAM_TIMES_TO_EXPORT")


def attest(trace: Trace) -> Completeness:
    """Judge a whole trace: `complete`, `incomplete` (a finding blocks), or `unattested` (the file states no count)."""
    stated, found = _stated(trace), _found(trace)
    findings = [*_counts(trace, stated, found), *_messages(trace), *_export(trace)]
    findings += [*_matching(match_launches(trace)), *_graphs(trace)]
    blocked = any(finding.blocks for finding in findings)
    if stated is None:
        findings.append(Finding("unattested", {}))
    status = "incomplete" if blocked else "unattested" if stated is None else "complete"
    return Completeness(status, stated, found, tuple(findings))


def _stated(trace: Trace) -> int | None:
    """Σ over processes of what the profiler says it collected; None where it says nothing."""
    matches = [_STATED.search(diagnostic.text) for diagnostic in trace.diagnostics or ()]
    counts = [int(match[1].replace(",", "")) for match in matches if match]
    return sum(counts) if counts else None


def _found(trace: Trace) -> int:
    """The rows that nsys counts, by the reading that agrees with what it states, else the smallest.

    Seen with nsys 2025.3: RUNTIME + KERNEL + MEMCPY + MEMSET, without GRAPH_TRACE, SYNCHRONIZATION and CUDA_EVENT; other
    versions may count those, each of them wholly or not at all.
    """
    optional = (GRAPH_TRACE, SYNCHRONIZATION, CUDA_EVENT)
    least = sum(count for table, count in trace.rows.items() if table not in optional)
    more = [trace.rows.get(table, 0) for table in optional]
    readings = [least + sum(chosen) for size in range(4) for chosen in combinations(more, size)]
    stated = _stated(trace)
    return stated if stated in readings else least


def _counts(trace: Trace, stated: int | None, found: int) -> list[Finding]:
    if not sum(trace.rows.values()):
        return [Finding("no_cuda_activity", {}, "range")]
    if stated is None or found == stated:
        return []
    code = "events_missing" if found < stated else "event_count_differs"
    return [Finding(code, {"stated": stated, "found": found}, "range")]


def _messages(trace: Trace) -> list[Finding]:
    """Errors block; warnings are passed on, except what is said of processes without any GPU work."""
    working = set(np.unique(trace.operations.process).tolist()) | set(np.unique(trace.calls.process).tolist())
    found = []
    for message in trace.diagnostics or ():
        idle = message.process not in working and _HARMLESS.search(message.text)
        if message.severity in (2, 3) and not idle:
            values = {"severity": "error" if message.severity == 3 else "warning", "text": message.text.strip()}
            found.append(Finding("diagnostic", values, "range" if message.severity == 3 else ""))
    return found


def _export(trace: Trace) -> list[Finding]:
    findings = []
    for name in _FILTERS:
        kept = ", ".join(value for value in trace.schema.export.get(name, ()) if value)
        if kept:
            findings.append(Finding("filtered_export", {"what": kept}, "range"))
    if not trace.schema.known:
        findings.append(Finding("unknown_schema", {"version": trace.schema.version or "?"}, "range"))
    if not trace.schema.has("NVTX_EVENTS"):
        findings.append(Finding("no_nvtx", {}))
    for (reason, table), count in sorted(trace.invalid.items()):
        findings.append(Finding(reason, {"count": count, "table": table}, "range"))
    return findings


def _matching(matching: Matching) -> list[Finding]:
    findings = []
    if len(matching.dropped):
        findings.append(Finding("launch_without_operation", {"count": len(matching.dropped)}, "range"))
    if len(matching.orphans):
        findings.append(Finding("operation_without_launch", {"count": len(matching.orphans)}, "range"))
    return findings


def _graphs(trace: Trace) -> list[Finding]:
    """Graphs traced as a whole hide their kernels: only claims on ranges that hold one suffer."""
    count = int((trace.operations.kind == GRAPH_LAUNCH).sum())
    return [Finding("graph_level_tracing", {"count": count})] if count else []
