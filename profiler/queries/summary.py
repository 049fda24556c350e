"""`trace summary`: what a trace holds, whether it may prove anything, and where the time went."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..analysis.affected import whole_classes
from ..analysis.completeness import attest
from ..analysis.ledger import closes, ledger, match_launches
from ..analysis.names import series
from ..analysis.overlap import device_times
from ..arrays.blocks import both, gathered, in_order
from ..arrays.codes import Codes, joined, narrowest
from ..arrays.groups import any_of, distinct_values
from ..arrays.types import Int64
from ..evidence import Completeness, Finding, LedgerLine
from ..ranges.attribution import Attribution
from ..ranges.table import RangeTables
from ..trace.devices import labels
from ..trace.model import (
    COMM,
    COMPUTE,
    COPIES,
    GRAPH_LAUNCH,
    MEMORY_SET,
    MIGRATION,
    Operations,
    Trace,
    pid_of,
    process_of,
)
from .kept import kept
from .kernels import KernelRow, kernels
from .notes import recorded_by
from .other_threads import other_threads
from .ranges import PART
from .spread import firsts_of


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One physical device; times in ns over all its operations, as docs/metrics.md defines them.

    overlap, max_in_flight, the hidden and exposed numbers are None where graphs were traced as a whole: what ran inside
    them is unknown. `*_hidden` is a share in [0, 1] of the time of the copies or the communication, None without any.
    """

    gpu_uuid: str
    name: str
    device: int  # its CUDA ordinal in the process that was found first
    label: str  # uuid, else ordinal and process: unique among the rows
    pids: tuple[int, ...]
    ops: int
    kernels: int
    copies: int
    memsets: int
    migrations: int
    migration_time: int
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
    label: str
    instances: int
    ops: int
    span: int
    longest: int
    busy: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The answer; `start` and `end` are the first and last instant of the trace in ns, `ledger_closes` checks its sums.

    whole_classes  the classes of operations that nothing speaks against, also where the trace as a whole is incomplete
    notes          what the ranges hold and do not count, and what recorded it where that was not Nsight Systems
    """

    schema_version: str
    start_utc_ns: int | None
    start: int
    end: int
    completeness: Completeness
    whole_classes: tuple[str, ...]
    ledger: tuple[LedgerLine, ...]
    ledger_closes: bool
    devices: tuple[DeviceRow, ...]
    processes: tuple[ProcessRow, ...]
    kernels: tuple[KernelRow, ...]
    ranges: tuple[RangeRow, ...]
    notes: tuple[str, ...] = ()


def summary(trace: Trace, top: int = 10, attribution: str = "thread") -> Summary:
    """All of the answer; `top` limits the kernels and ranges.

    Raises:
        UsageError: no such attribution.
    """
    Attribution.named(attribution)

    def of_ranges() -> tuple[tuple[RangeRow, ...], tuple[str, ...]]:
        named = top_ranges(trace, top, attribution)
        return named, _notes(trace, named, attribution)

    (named, notes), whole = both(of_ranges, partial(_whole, trace, top))
    return replace(whole, ranges=named, notes=(*notes, *recorded_by(trace)))


def _whole(trace: Trace, top: int) -> Summary:
    """All that is no matter of ranges."""
    completeness, lines, start = kept(trace, "books", (Completeness, Finding, LedgerLine), partial(_books, trace))
    return Summary(
        schema_version=trace.schema.version,
        start_utc_ns=trace.start_utc_ns,
        start=start,
        end=trace.end,
        completeness=completeness,
        whole_classes=whole_classes(completeness.findings),
        ledger=lines,
        ledger_closes=closes(lines),
        devices=kept(trace, "devices", (DeviceRow,), partial(_devices, trace)),
        processes=kept(trace, "processes", (ProcessRow,), partial(_processes, trace)),
        kernels=kernels(trace, top=top),
        ranges=(),
    )


def _books(trace: Trace) -> tuple[Completeness, tuple[LedgerLine, ...], int]:
    """Whether the trace is whole, its ledger, and its first instant."""
    matching = match_launches(trace)
    parts = [part for part in (trace.operations, trace.calls, trace.ranges) if len(part)]
    first = min((int(part.start.min()) for part in parts), default=0)
    return attest(trace, matching), ledger(trace, matching), first


def _notes(trace: Trace, rows: Sequence[RangeRow], attribution: str) -> tuple[str, ...]:
    """What is said of the first range of which there is something to say, and of which others the like is true."""
    names = dict.fromkeys((row.name, row.domain) for row in rows)
    told = {name: note for name, domain in names for note in other_threads(trace, name, attribution, domain)}
    if not told:
        return ()
    _, *others = told
    likewise = f"likewise of those called {', '.join(map(repr, others))}"
    return (next(iter(told.values())), *([likewise] if others else []))


def _devices(trace: Trace) -> tuple[DeviceRow, ...]:
    return tuple(in_order(partial(_device, trace), range(len(trace.gpus))))


def _device(trace: Trace, gpu: int) -> DeviceRow:
    mine = trace.operations.take(trace.operations.gpu == gpu)
    numbers, times = device_times(mine)
    graphs = _count(mine, GRAPH_LAUNCH)
    return DeviceRow(
        gpu_uuid=trace.gpus[gpu].uuid,
        name=trace.gpus[gpu].name,
        device=trace.gpus[gpu].device,
        label=labels(trace.gpus)[gpu],
        pids=tuple(sorted({pid_of(int(key)) for key in distinct_values(mine.process)})),
        ops=len(mine),
        kernels=_count(mine, COMPUTE, COMM),
        copies=_count(mine, *COPIES),
        memsets=_count(mine, MEMORY_SET),
        migrations=_count(mine, MIGRATION),
        migration_time=times.migration,
        untraced_graphs=graphs,
        sum=numbers.sum,
        busy=numbers.busy,
        span=numbers.span,
        idle=numbers.idle,
        overlap=None if graphs else numbers.overlap,
        same_stream_overlap=None if graphs else numbers.same_stream_overlap,
        max_in_flight=None if graphs else numbers.max_in_flight,
        compute_time=times.compute,
        copy_time=times.copy,
        copy_hidden=None if graphs or not times.copy else times.copy_hidden / times.copy,
        copy_exposed=None if graphs else times.copy - times.copy_hidden,
        comm_time=times.comm,
        comm_hidden=None if graphs or not times.comm else times.comm_hidden / times.comm,
        comm_exposed=None if graphs else times.comm - times.comm_hidden,
    )


def _count(operations: Operations, *kinds: int) -> int:
    return int(operations.copies[any_of(operations.kind, kinds)].sum())


def _processes(trace: Trace) -> tuple[ProcessRow, ...]:
    """A row for every process that called, ran or annotated anything. A thread's number holds its process's."""
    operations = trace.operations
    called, ranged = (_by_value(rows.codes("thread")) for rows in (trace.calls, trace.ranges))
    owner = {thread: int(process_of(np.array([thread]))[0]) for thread in {*called, *ranged}}
    ran = _by_value(operations.codes("process"))
    used = _together(operations.codes("process"), operations.codes("gpu"))
    rows = []
    for key in sorted({*ran, *owner.values()}):
        threads = [thread for thread, process in owner.items() if process == key]
        calls, instances = (sum(counts.get(thread, 0) for thread in threads) for counts in (called, ranged))
        uuids = tuple(trace.gpus[gpu].uuid for process, gpu in used if process == key)
        rows.append(ProcessRow(pid_of(key), key, len(threads), calls, ran.get(key, 0), instances, uuids))
    return tuple(rows)


def _by_value(column: Codes) -> dict[int, int]:
    """How often each value occurs, for those that do."""
    counts = zip(column.values.tolist(), column.counts().tolist(), strict=True)
    return {value: count for value, count in counts if count}


def _together(a: Codes, b: Codes) -> list[tuple[int, int]]:
    """The pairs of values that occur together in a row, ascending."""
    group, count = joined([a, b])
    first = firsts_of(group, count)
    return [(int(a.values[a.code[at]]), int(b.values[b.code[at]])) for at in first]


def _series(trace: Trace, values: Int64, counts: Int64) -> tuple[Int64, Sequence[str]]:
    """Of every distinct text of ranges, and how many have it, the number of what stands for their name; and what these are."""
    names = [trace.text(int(text)) for text in values]
    of_series = series(name for name, count in zip(names, counts.tolist(), strict=True) if count)
    if not of_series and len(set(names)) == len(names):
        return np.arange(len(names)), names
    called = list(dict.fromkeys(of_series.get(name, name) for name in names))
    number = {name: i for i, name in enumerate(called)}
    return np.array([number[of_series.get(name, name)] for name in names], np.int64), called


def top_ranges(trace: Trace, top: int, attribution: str = "thread") -> tuple[RangeRow, ...]:
    """A row for each of the `top` range names and devices with GPU work, the longest total span first. Names of a series
    (`train_step_17`) are one row, which their glob names."""
    sums = trace.table(f"range names, by {attribution}", partial(_range_sums, trace, attribution))
    _, called = _series(trace, sums["texts"], sums["counts"])
    named, gpus = labels(trace.gpus), max(len(trace.gpus), 1)

    def told(number: int) -> tuple[str, str, str, str]:
        name, gpu = number // gpus, number % gpus
        domain = trace.text(int(sums["domain"][name]))
        return domain, called[int(sums["called"][name])], trace.gpus[gpu].uuid, named[gpu]

    rows = []
    for number in _largest(sums["span"], np.flatnonzero(sums["instances"]), top, told):
        numbers = (int(sums[name][number]) for name in ("instances", "ops", "span", "longest", "busy"))
        rows.append(RangeRow(*told(number), *numbers))
    return tuple(rows)


def _range_sums(trace: Trace, attribution: str) -> dict[str, Int64]:
    """Of every domain and name (`domain`, an index into the trace's strings, `called`, what `_series` numbers) and device of theirs,
    device by device, the sums of all instances; and the distinct `texts` of ranges with their `counts`."""
    domains, texts = trace.ranges.codes("domain"), trace.ranges.codes("text")
    counts = texts.counts()
    number, called = _series(trace, texts.values, counts)
    of_text = Codes(gathered(number.astype(narrowest(len(called))), texts.code), np.arange(len(called)))
    name, names = joined([domains, of_text])
    tables, gpus = RangeTables(trace, attribution, ("span", "busy")), max(len(trace.gpus), 1)
    instances, ops, span, busy, longest = np.zeros((5, names * gpus), np.int64)
    for low in range(0, len(trace.ranges), PART):
        part = tables.table(np.arange(low, min(low + PART, len(trace.ranges))))
        group = gathered(name, part.range).astype(np.int64) * gpus + part.gpu
        for total, values in ((instances, 1), (ops, part.ops), (span, part.span), (busy, part.busy)):
            np.add.at(total, group, values)
        np.maximum.at(longest, group, part.span)
    first = firsts_of(name, names)
    return {
        "instances": instances,
        "ops": ops,
        "span": span,
        "busy": busy,
        "longest": longest,
        "domain": domains.values[domains.code[first]],
        "called": of_text.code[first].astype(np.int64),
        "texts": texts.values,
        "counts": counts,
    }


def _largest(span: Int64, among: Int64, top: int, told: Callable[[int], tuple[str, ...]]) -> list[int]:
    """The `top` of these groups by span, the longest first, and of equal ones by what is told of them. Only of those that
    may be among them is anything told: there may be a million names."""
    if not top:
        return []
    if top >= len(among):
        return sorted(among.tolist(), key=lambda number: (-span[number], told(number)))
    least = np.partition(span[among], -top)[-top]
    longer, equal = among[span[among] > least].tolist(), among[span[among] == least].tolist()
    longer.sort(key=lambda number: (-span[number], told(number)))
    return [*longer, *heapq.nsmallest(top - len(longer), equal, key=told)]
