"""May this trace prove anything? The checks of docs/traces.md, each a finding with its count."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..arrays.blocks import gathered
from ..arrays.groups import distinct_values
from ..arrays.types import Int64
from ..evidence import Completeness, Finding
from ..trace.communication import sounds_like_communication
from ..trace.model import COMPUTE, GRAPH_LAUNCH, Trace, pid_of
from ..trace.schema import CUDA_EVENT, GRAPH_TRACE, KERNEL, MEMCPY, MEMSET, NVTX, RUNTIME, SYNCHRONIZATION
from .affected import limited, of_calls, of_operations
from .ledger import Matching, match_launches
from .messages import messages, stated

_CUDA_TABLES = (KERNEL, MEMCPY, MEMSET, RUNTIME)
_OPTIONAL = (GRAPH_TRACE, SYNCHRONIZATION, CUDA_EVENT)
OF_RANGES = frozenset({"nvtx_events_missing", "nvtx_count_differs"})
"""Findings that speak against what is said of ranges, and not of the whole trace."""
_FILTERS = ("EXPORT_PARAM_TABLES_TO_EXPORT", "EXPORT_PARAM_TIMES_TO_EXPORT")


def attest(trace: Trace, matching: Matching | None = None) -> Completeness:
    """Judge a whole trace: `complete`, `incomplete` (a finding blocks), or `unattested` (the file states no count).
    `matching` is what `match_launches` found, where it is known already."""
    claimed, found = stated(trace, "CUDA"), _found(trace)
    findings = [*_counts(trace, claimed, found), *_nvtx_counts(trace), *messages(trace), *_export(trace)]
    findings += [*_matching(trace, matching or match_launches(trace)), *_graphs(trace), *_nesting(trace)]
    findings += [*_unlisted(trace), *_kineto(trace)]
    blocked = any(finding.blocks for finding in findings)
    if claimed is None:
        findings.append(Finding("unattested", {}, "range"))
    status = "incomplete" if blocked else "unattested" if claimed is None else "complete"
    return Completeness(status, claimed, found, tuple(findings))


_WORSE = ("complete", "unattested", "incomplete")


def attested(traces: Sequence[Trace]) -> Completeness:
    """Judge several traces as one: it is as whole as the worst of them."""
    each = [attest(trace) for trace in traces]
    if len(each) == 1:
        return each[0]
    stated = [one.events_stated for one in each]
    known = [count for count in stated if count is not None]
    findings = {repr(finding): finding for one in each for finding in one.findings}
    return Completeness(
        status=max((one.status for one in each), key=_WORSE.index),
        events_stated=sum(known) if len(known) == len(stated) else None,
        events_found=sum(one.events_found for one in each),
        findings=tuple(findings.values()),
    )


def _found(trace: Trace) -> int:
    """The rows that nsys counts, by the reading that agrees with what it states, else the smallest.

    Seen with nsys 2025.3: RUNTIME + KERNEL + MEMCPY + MEMSET, without GRAPH_TRACE, SYNCHRONIZATION and CUDA_EVENT; other
    versions may count those, each of them wholly or not at all.
    """
    least = sum(trace.rows.get(table, 0) for table in _CUDA_TABLES)
    more = [trace.rows.get(table, 0) for table in _OPTIONAL]
    readings = [least + sum(chosen) for size in range(4) for chosen in combinations(more, size)]
    claimed = stated(trace, "CUDA")
    return claimed if claimed in readings else least


def _counts(trace: Trace, claimed: int | None, found: int) -> list[Finding]:
    if not sum(trace.rows.get(table, 0) for table in (*_CUDA_TABLES, *_OPTIONAL)):
        return [Finding("no_cuda_activity", {}, "range")]
    if claimed is None or found == claimed:
        return []
    code = "events_missing" if found < claimed else "event_count_differs"
    return [Finding(code, {"stated": claimed, "found": found}, "range")]


def _nvtx_counts(trace: Trace) -> list[Finding]:
    """Every row of NVTX_EVENTS counts, whatever its type (so it was in every real file that was seen)."""
    claimed, found = stated(trace, "NVTX"), trace.rows.get(NVTX, 0)
    if claimed is None or found == claimed:
        return []
    code = "nvtx_events_missing" if found < claimed else "nvtx_count_differs"
    return [Finding(code, {"stated": claimed, "found": found}, "range")]


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
    """Work without a launch and launches without work, with the classes that they leave in doubt; where the capture's
    window explains it, said so."""
    late, early = _after_the_last(trace, matching), _before_the_first(trace, matching)
    lost, orphans = (np.setdiff1d(all_, some) for all_, some in ((matching.dropped, late), (matching.orphans, early)))
    faults = (
        ("launch_without_operation", len(lost), of_calls(trace, lost)),
        ("operation_without_launch", len(orphans), of_operations(trace, orphans)),
        ("cut_by_window", len(late) + len(early), of_calls(trace, late) | of_operations(trace, early)),
    )
    findings = [limited(code, count, kinds) for code, count, kinds in faults if count]
    return findings + [Finding("device_without_operations", {"device": f"of process {pid}"}, "range")
                       for pid in _silent(trace, matching)]  # fmt: skip


def _silent(trace: Trace, matching: Matching) -> list[int]:
    """Processes that launched work and ran none: another client of CUPTI was attached, or the device was not traced."""
    launching = distinct_values(trace.calls.process[matching.dropped])
    working = distinct_values(trace.operations.process)
    return [pid_of(key) for key in launching.tolist() if key not in set(working.tolist())]


def _after_the_last(trace: Trace, matching: Matching) -> Int64:
    """Lost launches that were called after the last one of their process whose work is there: the window closed before
    the work was done. Those of a process without any work are not among them."""
    calls = trace.calls
    found = [np.empty(0, np.int64)]
    for process in distinct_values(calls.process[matching.dropped]).tolist():
        done = matching.executed[calls.process[matching.executed] == process]
        lost = matching.dropped[calls.process[matching.dropped] == process]
        if len(done):
            found.append(lost[calls.start[lost] > calls.start[done].max()])
    return np.concatenate(found)


def _before_the_first(trace: Trace, matching: Matching) -> Int64:
    """Operations without a launch that are older than every call of their process: the window opened after the launch."""
    operations, calls = trace.operations, trace.calls
    found = [np.empty(0, np.int64)]
    for process in distinct_values(operations.process[matching.orphans]).tolist():
        known = calls.correlation[(calls.process == process) & (calls.correlation >= 0)]
        mine = matching.orphans[operations.process[matching.orphans] == process]
        ids = operations.correlation[mine]
        if len(known):
            found.append(mine[(ids >= 0) & (ids < known.min())])
    return np.concatenate(found)


def _nesting(trace: Trace) -> list[Finding]:
    """Push/pop ranges that cross: no program pushes and pops so, and what encloses them is anybody's guess."""
    ranges = trace.ranges
    inner = np.flatnonzero(ranges.parent >= 0)
    outer = gathered(ranges.parent, inner)
    ends = gathered(ranges.end, outer)
    crossing = (gathered(ranges.end, inner) > ends) | (gathered(ranges.start, inner) > ends)
    count = int(crossing.sum())
    return [Finding("crossing_ranges", {"count": count}, "range")] if count else []


def _graphs(trace: Trace) -> list[Finding]:
    """Graphs traced as a whole hide their kernels: only claims on ranges that hold one suffer."""
    count = int((trace.operations.kind == GRAPH_LAUNCH).sum())
    return [Finding("graph_level_tracing", {"count": count})] if count else []


_COARSE_NS = 100
_FEWEST = 8
"""Starts that lie on a grid by chance are not taken for coarse ones: one chance in a hundred to the eighth."""


def _kineto(trace: Trace) -> list[Finding]:
    """What a trace of torch.profiler cannot show: that it is whole, and, where its times went through numbers with too few
    digits, which of two operations came first.

    A double holds microseconds since 1970 in steps of 0.25 µs; Kineto counts from a base of its own since PyTorch 2.4.
    """
    if not trace.schema.kineto:
        return []
    starts = distinct_values(trace.operations.start)
    step = int(np.gcd.reduce(np.diff(starts))) if len(starts) > _FEWEST else 1
    coarse = [Finding("coarse_times", {"step": step}, "range")] if step >= _COARSE_NS else []
    return [Finding("kineto", {}), *coarse]


_MOST_NAMES = 3


def _unlisted(trace: Trace) -> list[Finding]:
    """Kernels that count as compute and are called like communication: what hides what may be another thing than it seems."""
    operations = trace.operations
    columns = operations.codes("name"), operations.codes("full_name")
    found = np.zeros(len(operations), bool)
    used = np.union1d(*(column.values for column in columns))
    told = np.array([sounds_like_communication(trace.text(i)) for i in used.tolist()], bool)
    for column in columns if told.any() else ():
        mine = told[np.searchsorted(used, column.values)]
        if mine.any():
            found |= mine[column.code] & (operations.kind == COMPUTE)
    names = [trace.text(i) for i in distinct_values(operations.name[found]).tolist()]
    listed = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    return [Finding("unlisted_communication", {"count": int(found.sum()), "names": listed})] if names else []
