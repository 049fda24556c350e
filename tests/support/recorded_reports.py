"""Write the rows of `nsys_reports` as `nsys stats --format csv` does, to compare them line by line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from pathlib import Path
from statistics import mean, median, stdev

import nsys_reports
from aisp_prof.profiler.trace.model import Trace
from nsys_reports import Projection, SumRow

Line = tuple[str, ...]


def recorded(file: Path) -> list[Line]:
    """The lines of a report that a real nsys wrote, without its header."""
    with file.open(newline="") as lines:
        return [tuple(row) for row in csv.reader(lines) if row][1:]


def times(rows: Iterable[SumRow]) -> list[Line]:
    """Time (%), Total, Count, Avg, Med, Min, Max, StdDev, Name."""
    return [(tenths(row.share * 100), *_numbers(row), row.name) for row in rows]


def _numbers(row: SumRow) -> Line:
    s = row.spread
    mean_, median_, deviation = map(tenths, (s.mean, s.median, s.stddev or 0.0))
    return str(s.sum), str(s.n), mean_, median_, str(s.min), str(s.max), deviation


def tenths(value: float) -> str:
    """One decimal as SQLite rounds it: a half goes up, where Python's formatting goes to the even digit."""
    return str(Decimal(value).quantize(Decimal("0.1"), ROUND_HALF_UP))


def sizes(rows: Iterable[SumRow]) -> list[Line]:
    """Total, Count, Avg, Med, Min, Max, StdDev in MB, Operation."""
    found = []
    for row in rows:
        s = row.spread
        total, *rest = (f"{value / 1e6:.3f}" for value in (s.sum, s.mean, s.median, s.min, s.max, s.stddev or 0))
        found.append((total, str(s.n), *rest, row.name))
    return found


def projection_lines(rows: Iterable[Projection]) -> list[Line]:
    """Name, Projected Start and Duration, Orig Start and Duration, Style, PID, TID, NumGPUOps, RangeId."""
    return [
        (
            row.name,
            *map(str, (row.proj_start, row.proj_end - row.proj_start, row.start, row.end - row.start)),
            row.style,
            *map(str, (row.pid, row.tid, row.operations, row.row)),
        )
        for row in rows
    ]


def projection_sums(rows: Sequence[Projection]) -> list[Line]:
    """Range, Style, totals, instances, Avg to StdDev of the projected times, Total and Avg GPU Ops."""
    key: Callable[[Projection], Line] = lambda row: (row.name, row.style)
    return [_summed(name, list(part)) for name, part in groupby(sorted(rows, key=key), key)]


def _summed(name: Line, rows: list[Projection]) -> Line:
    projected = [row.proj_end - row.proj_start for row in rows]
    operations = [row.operations for row in rows]
    spread = stdev(projected) if len(rows) > 1 else 0.0
    return (
        *name,
        *map(str, (sum(projected), sum(row.end - row.start for row in rows), len(rows))),
        *map(tenths, (mean(projected), median(projected))),
        *map(str, (min(projected), max(projected))),
        tenths(spread),
        str(sum(operations)),
        tenths(mean(operations)),
    )


def compared(trace: Trace, report: str, file: Path) -> tuple[list[Line], list[Line]]:
    """What we compute and what nsys wrote, sorted, the columns that both define.

    Of the projections nsys' nesting columns are left out: its levels mix the domains of a thread. So is its first line,
    which sums up what no range holds.
    """
    lines = recorded(file)
    if report == "nvtx_gpu_proj_trace":
        theirs = [(*line[:9], line[11]) for line in lines if line[0]]
        return sorted(projection_lines(nsys_reports.projections(trace))), sorted(theirs)
    if report == "nvtx_gpu_proj_sum":
        return projection_sums(nsys_reports.projections(trace)), sorted(line[:12] for line in lines)
    ours = {
        "cuda_gpu_kern_sum": lambda: times(nsys_reports.kernel_sum(trace)),
        "cuda_gpu_mem_time_sum": lambda: times(nsys_reports.memory_time_sum(trace)),
        "cuda_gpu_mem_size_sum": lambda: sizes(nsys_reports.memory_size_sum(trace)),
        "cuda_api_sum": lambda: times(nsys_reports.api_sum(trace)),
    }[report]()
    return sorted(ours), sorted(lines)
