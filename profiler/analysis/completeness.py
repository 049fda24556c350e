"""May this trace prove anything? The checks of docs/traces.md, each a finding with its count."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np

from ..evidence import Completeness, Finding
from ..trace.communication import sounds_like_communication
from ..trace.groups import distinct_values
from ..trace.model import COMPUTE, GRAPH_LAUNCH, Trace, pid_of
from ..trace.schema import CUDA_EVENT, GRAPH_TRACE, SYNCHRONIZATION
from .ledger import Matching, match_launches

_STATED = re.compile(r"Number of CUDA events collected:\s*([0-9,]{1,26})(?![0-9,])")
"""64 bits have 20 digits and 6 commas."""
_HARMLESS = re.compile(
    # of processes that never used CUDA or NVTX, such as a compiler that the program started
    r"No (CUDA|NVTX) events collected|CUDA profiling might have not been started correctly"
)
_FILTERS = ("EXPORT_PARAM_TABLES_TO_EXPORT", "EXPORT_PARAM_TIMES_TO_EXPORT")


def attest(trace: Trace, matching: Matching | None = None) -> Completeness:
    """Judge a whole trace: `complete`, `incomplete` (a finding blocks), or `unattested` (the file states no count).
    `matching` is what `match_launches` found, where it is known already."""
    stated, found = _stated(trace), _found(trace)
    findings = [*_counts(trace, stated, found), *_messages(trace), *_export(trace)]
    findings += [*_matching(trace, matching or match_launches(trace)), *_graphs(trace), *_nesting(trace)]
    findings += _unlisted(trace)
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
    working = set(distinct_values(trace.operations.process).tolist())  # a launcher may ask how many GPUs there are
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


def _matching(trace: Trace, matching: Matching) -> list[Finding]:
    """Work without a launch and launches without work; where the capture's window explains it, said so."""
    late, early = _after_the_last(trace, matching), _before_the_first(trace, matching)
    counts = {
        "launch_without_operation": len(matching.dropped) - late,
        "operation_without_launch": len(matching.orphans) - early,
        "cut_by_window": late + early,
    }
    findings = [Finding(code, {"count": count}, "range") for code, count in counts.items() if count]
    return findings + [Finding("device_without_operations", {"device": f"of process {pid}"}, "range")
                       for pid in _silent(trace, matching)]  # fmt: skip


def _silent(trace: Trace, matching: Matching) -> list[int]:
    """Processes that launched work and ran none: another client of CUPTI was attached, or the device was not traced."""
    launching = distinct_values(trace.calls.process[matching.dropped])
    working = distinct_values(trace.operations.process)
    return [pid_of(key) for key in launching.tolist() if key not in set(working.tolist())]


def _after_the_last(trace: Trace, matching: Matching) -> int:
    """Lost launches that were called after the last one of their process whose work is there: the window closed before
    the work was done. A process without any work is not counted here."""
    calls, count = trace.calls, 0
    for process in distinct_values(calls.process[matching.dropped]).tolist():
        done = matching.executed[calls.process[matching.executed] == process]
        lost = matching.dropped[calls.process[matching.dropped] == process]
        if len(done):
            count += int((calls.start[lost] > calls.start[done].max()).sum())
    return count


def _before_the_first(trace: Trace, matching: Matching) -> int:
    """Operations without a launch that are older than every call of their process: the window opened after the launch."""
    operations, calls, count = trace.operations, trace.calls, 0
    for process in distinct_values(operations.process[matching.orphans]).tolist():
        known = calls.correlation[(calls.process == process) & (calls.correlation >= 0)]
        mine = operations.correlation[matching.orphans][operations.process[matching.orphans] == process]
        if len(known):
            count += int(((mine >= 0) & (mine < known.min())).sum())
    return count


def _nesting(trace: Trace) -> list[Finding]:
    """Push/pop ranges that cross: no program pushes and pops so, and what encloses them is anybody's guess."""
    ranges = trace.ranges
    inner = np.flatnonzero(ranges.parent >= 0)
    outer = ranges.parent[inner]
    crossing = (ranges.end[inner] > ranges.end[outer]) | (ranges.start[inner] > ranges.end[outer])
    count = int(crossing.sum())
    return [Finding("crossing_ranges", {"count": count}, "range")] if count else []


def _graphs(trace: Trace) -> list[Finding]:
    """Graphs traced as a whole hide their kernels: only claims on ranges that hold one suffer."""
    count = int((trace.operations.kind == GRAPH_LAUNCH).sum())
    return [Finding("graph_level_tracing", {"count": count})] if count else []


_MOST_NAMES = 3


def _unlisted(trace: Trace) -> list[Finding]:
    """Kernels that count as compute and are called like communication: what hides what may be another thing than it seems."""
    operations = trace.operations
    found = np.zeros(len(operations), bool)
    for column in (operations.codes("name"), operations.codes("full_name")):
        told = np.array([sounds_like_communication(trace.text(i)) for i in column.values.tolist()], bool)
        if told.any():
            found |= told[column.code] & (operations.kind == COMPUTE)
    names = [trace.text(i) for i in distinct_values(operations.name[found]).tolist()]
    listed = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    return [Finding("unlisted_communication", {"count": int(found.sum()), "names": listed})] if names else []
