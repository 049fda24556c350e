"""A built trace of somebody's own program: steps of an old and a new kind under names that no harness gave."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from statistics import median

from pair_trace import US, Iteration, overlapped, serial
from trace_builder import Process, TraceBuilder

IN_TURN = "ABBA" * 3
IN_BLOCKS = "A" * 8 + "B" * 8


def own_trace(
    path: Path,
    order: str = IN_TURN,
    old: Iteration = serial,
    new: Iteration = overlapped,
    gpu: str = "a0ae1ff2-b9e3",
    names: tuple[str, str] = ("old step", "new step"),
) -> Path:
    """Steps in the order of the letters, each a range of its program's default domain around a wait for its work."""
    trace = TraceBuilder()
    run_steps(trace, order, old, new, gpu, names)
    return trace.write(path)


def run_steps(
    trace: TraceBuilder,
    order: str,
    old: Iteration = serial,
    new: Iteration = overlapped,
    gpu: str = "a0ae1ff2-b9e3",
    names: tuple[str, str] = ("old step", "new step"),
    pid: int = 551,
    begin: int = 1_000 * US,
) -> Process:
    """As `own_trace`, in a process of a trace that may have others; its first step begins at `begin`."""
    p = trace.process(pid)
    p.sees(trace.gpu(gpu), 0)
    at = begin
    for step, letter in enumerate(order):
        end = (old if letter == "A" else new)(p, at + 10, 100 * (step % 5)) + 5 * US
        p.call("cudaDeviceSynchronize_v3020", (at + 100, end - 1))
        p.range(f"{names[letter == 'B']} {step}", at, end + 2)
        at = end + 50 * US
    return p


def median_by_hand(path: Path, glob: str) -> float:
    """The median time in ns of the ranges of a glob, by SQL alone: what each launched, from the first start to the last end."""
    query = """
        with ops as (select start, end, correlationId from CUPTI_ACTIVITY_KIND_KERNEL
                     union all select start, end, correlationId from CUPTI_ACTIVITY_KIND_MEMCPY)
        select max(ops.end) - min(ops.start) from NVTX_EVENTS n
        left join StringIds s on s.id = n.textId
        join CUPTI_ACTIVITY_KIND_RUNTIME r on r.start >= n.start and r.end <= n.end and r.globalTid = n.globalTid
        join ops on ops.correlationId = r.correlationId
        where coalesce(n.text, s.value) glob ? group by n.rowid"""
    with sqlite3.connect(path) as database:
        return median(ns for (ns,) in database.execute(query, (glob,)))
