"""`trace summary`: what a trace holds, whether it may prove anything, and where the time went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..analysis.completeness import attest
from ..analysis.ledger import closes, ledger
from ..analysis.overlap import busy_time, concurrency
from ..analysis.range_table import range_table
from ..evidence import Completeness, LedgerLine
from ..trace.columns import Int64
from ..trace.model import COMM, COMPUTE, COPIES, GRAPH_LAUNCH, MEMORY_SET, Operations, Trace, pid_of
from .kernels import KernelRow, kernels
from .spread import groups


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One physical device; times in ns over all its operations, as docs/metrics.md defines them.

    overlap, max_in_flight, the hidden and exposed numbers are None where graphs were traced as a whole: what ran inside
    them is unknown. `*_hidden` is a share in [0, 1] of the time of the copies or the communication, None without any.
    """

    gpu_uuid: str
    name: str
    pids: tuple[int, ...]
    ops: int
    kernels: int
    copies: int
    memsets: int
    untraced_graphs: int
    sum: int
    busy: int
    span: int
    idle: int
    overlap: int | None
    same_stream_overlap: int | None
    max_in_flight: int | None
    compute_time: int
    copy_time: int
    copy_hidden: float | None
    copy_exposed: int | None
    comm_time: int
    comm_hidden: float | None
    comm_exposed: int | None


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process: what it called and what ran for it."""

    pid: int
    key: int  # globalPid, which tells apart equal pids of two hosts or containers
    threads: int
    calls: int
    ops: int
    ranges: int
    gpu_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RangeRow:
    """All instances of one range name on one device: their projected spans summed, and the longest; ns."""

    domain: str
    name: str
    gpu_uuid: str
    instances: int
    ops: int
    span: int
    longest: int
    busy: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The answer; `start` and `end` are the first and last instant of the trace in ns, `ledger_closes` checks its sums."""

    schema_version: str
    start_utc_ns: int | None
    start: int
    end: int
    completeness: Completeness
    ledger: tuple[LedgerLine, ...]
    ledger_closes: bool
    devices: tuple[DeviceRow, ...]
    processes: tuple[ProcessRow, ...]
    kernels: tuple[KernelRow, ...]
    ranges: tuple[RangeRow, ...]


def summary(trace: Trace, top: int = 10) -> Summary:
    """Everything at once; `top` kernels and ranges."""
    lines = ledger(trace)
    parts = [part for part in (trace.operations, trace.calls, trace.ranges) if len(part)]
    return Summary(
        schema_version=trace.schema.version,
        start_utc_ns=trace.start_utc_ns,
        start=min((int(part.start.min()) for part in parts), default=0),
        end=trace.end,
        completeness=attest(trace),
        ledger=lines,
        ledger_closes=closes(lines),
        devices=tuple(_device(trace, gpu) for gpu in range(len(trace.gpus))),
        processes=_processes(trace),
        kernels=kernels(trace)[:top],
        ranges=top_ranges(trace)[:top],
    )


def _device(trace: Trace, gpu: int) -> DeviceRow:
    found = trace.operations.take(trace.operations.gpu == gpu)
    numbers = concurrency(found)
    graphs = _count(found, GRAPH_LAUNCH)
    compute, copy, comm = (busy_time(found.of_kind(*kinds)) for kinds in ((COMPUTE,), COPIES, (COMM,)))
    hidden = {name: (time & compute).length for name, time in (("copy", copy), ("comm", comm))}
    return DeviceRow(
        gpu_uuid=trace.gpus[gpu].uuid,
        name=trace.gpus[gpu].name,
        pids=tuple(sorted({pid_of(int(key)) for key in np.unique(found.process)})),
        ops=len(found),
        kernels=_count(found, COMPUTE, COMM),
        copies=_count(found, *COPIES),
        memsets=_count(found, MEMORY_SET),
        untraced_graphs=graphs,
        sum=numbers.sum,
        busy=numbers.busy,
        span=numbers.span,
        idle=numbers.idle,
        overlap=None if graphs else numbers.overlap,
        same_stream_overlap=None if graphs else numbers.same_stream_overlap,
        max_in_flight=None if graphs else numbers.max_in_flight,
        compute_time=compute.length,
        copy_time=copy.length,
        copy_hidden=None if graphs or not copy.length else hidden["copy"] / copy.length,
        copy_exposed=None if graphs else copy.length - hidden["copy"],
        comm_time=comm.length,
        comm_hidden=None if graphs or not comm.length else hidden["comm"] / comm.length,
        comm_exposed=None if graphs else comm.length - hidden["comm"],
    )


def _count(operations: Operations, *kinds: int) -> int:
    return int(np.isin(operations.kind, kinds).sum())


def _processes(trace: Trace) -> tuple[ProcessRow, ...]:
    keys = np.unique(np.concatenate([trace.operations.process, trace.calls.process, trace.ranges.process]))
    return tuple(_process(trace, int(key)) for key in keys)


def _process(trace: Trace, key: int) -> ProcessRow:
    mine = trace.operations.process == key
    called, ranged = trace.calls.process == key, trace.ranges.process == key
    threads = np.union1d(trace.calls.thread[called], trace.ranges.thread[ranged])
    uuids = tuple(trace.gpus[gpu].uuid for gpu in np.unique(trace.operations.gpu[mine]))
    return ProcessRow(pid_of(key), key, len(threads), int(called.sum()), int(mine.sum()), int(ranged.sum()), uuids)


def top_ranges(trace: Trace) -> tuple[RangeRow, ...]:
    """A row for every range name and device with GPU work, the longest total span first."""
    numbers = range_table(trace)
    domain, text = trace.ranges.domain[numbers.range], trace.ranges.text[numbers.range]
    group, first = groups(domain, text, numbers.gpu)

    def total(values: Int64) -> Int64:
        found = np.zeros(len(first), np.int64)
        np.add.at(found, group, values)
        return found

    longest = np.zeros(len(first), np.int64)
    np.maximum.at(longest, group, numbers.span)
    counts = (
        total(np.ones(len(group), np.int64)),
        total(numbers.ops),
        total(numbers.span),
        longest,
        total(numbers.busy),
    )
    rows = [
        RangeRow(
            trace.text(int(domain[at])),
            trace.text(int(text[at])),
            trace.gpus[int(numbers.gpu[at])].uuid,
            *(int(column[number]) for column in counts),
        )
        for number, at in enumerate(first)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.span, row.domain, row.name, row.gpu_uuid)))
