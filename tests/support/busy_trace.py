"""A built trace in which everything happens at once: the one that a real `nsys stats` was run on (recorded/built)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

from trace_builder import Process, TraceBuilder

MEMCPY_KINDS = {1: "Host-to-Device", 2: "Device-to-Host", 8: "Device-to-Device", 9: "Host-to-Host", 10: "Peer-to-Peer"}


def busy_trace() -> TraceBuilder:
    """Two processes with equal correlation ids, two GPUs, graphs, copies of every kind, and ranges of every form."""
    trace, random = TraceBuilder(), Random(20)
    first, second = trace.gpu("aaaa-1111"), trace.gpu("bbbb-2222")
    for pid, gpu in ((300, first), (301, second)):
        process = trace.process(pid)
        process.sees(gpu)
        trace.correlation = 500
        for step in range(6):
            _step(process, 1_000_000 * (step + 1), step, random)
        _edges(process, 8_000_000)
    return trace


def _step(p: Process, at: int, step: int, random: Random) -> None:
    p.range("step", at, at + 900_000, domain="train", payload=step)
    p.range("forward, all", at + 10, at + 400_000, domain="train", registered=True)
    p.range("data", at + 20, at + 100_000)
    p.range("async", at + 30, at + 500_000, domain="train", start_end=True)
    clock = {7: at + 5_000, 13: at + 5_000, 14: at + 9_000}
    for number in range(12):
        call = at + 1_000 + number * 60_000
        stream = (7, 13, 14)[number % 3]
        begin = max(clock[stream], call) + random.randrange(500, 4_000)
        end = begin + random.randrange(3_000, 90_000)
        clock[stream] = end
        times, run = (call, call + random.randrange(900, 9_000)), (begin, end)
        kind = number % 6
        if kind < 2:
            p.kernel("gemm" if number % 4 else "ncclDevKernel_AllReduce", times, run, stream)
        elif kind == 5:
            p.memset(4_096, times, run, stream)
        else:
            copy = ("h2d", "d2h", "d2d")[kind - 2]
            p.copy(copy, random.randrange(1, 9_000_000), times, run, stream, pageable=number > 6)
    graph = p.graph((at + 800_000, at + 805_000))
    for node in range(4):
        p.kernel(
            "node", None, (at + 810_000 + node * 9_000, at + 817_000 + node * 9_000), correlation=graph, node=node + 1
        )


def _edges(p: Process, at: int) -> None:
    """What is easily got wrong: a launch across a range's end, another thread's launch, a range closed elsewhere."""
    p.range("edge", at, at + 10_000)
    p.range("=cmd|' /C calc'!A0", at + 1, at + 9_999, domain="@evil")
    p.kernel("inside", (at + 100, at + 200), (at + 30_000, at + 31_001))
    p.kernel("across", (at + 9_000, at + 11_000), (at + 32_000, at + 33_000))
    p.kernel("elsewhere", (at + 300, at + 400), (at + 34_000, at + 35_000), tid=2)
    p.call("cudaStreamBeginCapture_v10000", (at + 11_500, at + 11_600))
    p.kernel("captured", (at + 12_000, at + 12_100), None)
    p.call("cudaStreamEndCapture_v10000", (at + 12_500, at + 12_600))
    p.copy("p2p", 77, (at + 13_000, at + 13_100), (at + 36_000, at + 36_007))
    p.copy("h2h", 78, (at + 14_000, at + 14_100), (at + 37_000, at + 37_009))
    p.call("cudaDeviceSynchronize_v3020", (at + 15_000, at + 40_000))
    p.call("cuStreamSynchronize", (at + 41_000, at + 42_000), tid=2)


def write_for_nsys(path: Path) -> None:
    """The same trace with the table of copy kinds that `nsys stats` joins: what the recorded reports were made from."""
    busy_trace().write(path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE ENUM_CUDA_MEMCPY_OPER (id INTEGER PRIMARY KEY, name TEXT, label TEXT)")
    connection.executemany("INSERT INTO ENUM_CUDA_MEMCPY_OPER VALUES (?, '', ?)", MEMCPY_KINDS.items())
    connection.commit()
    connection.close()
