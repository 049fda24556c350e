"""The summaries of `nsys stats` by its own definitions: all devices together, graphs counted once.

A trace that is read must give what nsys prints of it (docs/trace-commands.md, "Agreement with nsys stats"); the queries keep
devices apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from aisp_prof.profiler.arrays.types import Int64
from aisp_prof.profiler.queries.spread import Spread, groups, spreads
from aisp_prof.profiler.ranges.attribution import operations_inside
from aisp_prof.profiler.trace.model import COMM, COMPUTE, KINDS, MEMORY_SET, MIGRATION, TABLES, Trace
from aisp_prof.profiler.trace.schema import MEMCPY, MEMSET
from numpy.typing import NDArray

_API_VERSION = re.compile(r"_v(.{4})$", re.DOTALL)  # nsys leaves out `_v` and four characters: `_v10000` stays
_COPIES = {"h2d": "Host-to-Device", "d2h": "Device-to-Host", "d2d": "Device-to-Device", "p2p": "Peer-to-Peer"}


@dataclass(frozen=True, slots=True)
class SumRow:
    """Everything of one name: `share` of the whole report's total in [0, 1], and the spread of times (ns) or sizes (bytes)."""

    name: str
    share: float
    spread: Spread


@dataclass(frozen=True, slots=True)
class Projection:
    """One range instance on the GPU's time line, all devices together; ns. `row` is its rowid in NVTX_EVENTS."""

    name: str  # domain:text
    style: str  # PushPop or StartEnd
    row: int
    pid: int
    tid: int
    start: int
    end: int
    proj_start: int
    proj_end: int
    operations: int  # distinct launches: a graph counts once


def kernel_sum(trace: Trace) -> tuple[SumRow, ...]:
    """`cuda_gpu_kern_sum`: execution time by full kernel name."""
    mine = np.isin(trace.operations.kind, (COMPUTE, COMM))
    return _sums(trace.operations.full_name[mine], trace.strings, _length(trace)[mine])


def memory_time_sum(trace: Trace) -> tuple[SumRow, ...]:
    """`cuda_gpu_mem_time_sum`: time by kind of copy, and of memsets."""
    mine = _memory(trace)
    return _sums(_memory_kinds(trace)[mine], _memory_labels(trace), _length(trace)[mine])


def memory_size_sum(trace: Trace) -> tuple[SumRow, ...]:
    """`cuda_gpu_mem_size_sum`: bytes by kind of copy, and of memsets."""
    mine = _memory(trace)
    return _sums(_memory_kinds(trace)[mine], _memory_labels(trace), trace.operations.bytes[mine])


def api_sum(trace: Trace) -> tuple[SumRow, ...]:
    """`cuda_api_sum`: host time by API function."""
    calls = trace.calls
    labels = [_API_VERSION.sub("", text) for text in trace.strings]
    return _sums(calls.name, labels, calls.end - calls.start)


def projections(trace: Trace) -> tuple[Projection, ...]:
    """`nvtx_gpu_proj_trace`: ranges that end on the thread they began on and launched work, by projected start."""
    ranges = trace.ranges
    chosen = np.flatnonzero(ranges.end_thread == ranges.thread)
    place, operation = operations_inside(trace, chosen)
    rows = [_projection(trace, int(chosen[r]), operation[place == r]) for r in np.unique(place)]
    return tuple(sorted(rows, key=lambda row: (row.proj_start, row.proj_start - row.proj_end, row.row)))


def _projection(trace: Trace, index: int, operations: Int64) -> Projection:
    ranges = trace.ranges
    domain, text = trace.text(int(ranges.domain[index])), trace.text(int(ranges.text[index]))
    return Projection(
        name=f"{domain}:{text}" if domain else text,
        style="StartEnd" if ranges.start_end[index] else "PushPop",
        row=int(ranges.row[index]),
        pid=int(ranges.thread[index] >> 24) & 0xFFFFFF,
        tid=int(ranges.thread[index]) & 0xFFFFFF,
        start=int(ranges.start[index]),
        end=int(ranges.end[index]),
        proj_start=int(trace.operations.start[operations].min()),
        proj_end=int(trace.operations.end[operations].max()),
        operations=len(np.unique(trace.operations.launch[operations])),
    )


def _sums(key: NDArray[np.signedinteger], labels: Sequence[str], values: Int64) -> tuple[SumRow, ...]:
    group, first = groups(key)
    found = spreads(group, values)
    whole = sum(one.sum for one in found)
    rows = [
        SumRow(labels[int(key[at])] if key[at] >= 0 else "", one.sum / whole if whole else 0.0, one)
        for at, one in zip(first, found, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.spread.sum, row.spread.n, row.name)))


def _length(trace: Trace) -> Int64:
    return trace.operations.end - trace.operations.start


def _memory(trace: Trace) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.isin(trace.operations.table, [TABLES.index(table) for table in (MEMCPY, MEMSET)])
    return found


def _memory_kinds(trace: Trace) -> Int64:
    """Places in `_memory_labels`: migrations are told apart by their names."""
    operations = trace.operations
    return np.where(operations.kind == MIGRATION, len(KINDS) + operations.name, operations.kind)


def _memory_labels(trace: Trace) -> list[str]:
    """nsys' name of each class (one class may be several of its kinds of arrays), then of what migrates, by its name."""
    named = [f"[CUDA memcpy {_COPIES.get(kind, 'Host-to-Host')}]" for kind in KINDS]
    named[MEMORY_SET] = "[CUDA memset]"
    return named + [f"[CUDA memcpy {text}]" for text in trace.strings]
