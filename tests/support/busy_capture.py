"""A small trace with something of everything, for readers to be tried on."""

from __future__ import annotations

from pathlib import Path

from trace_builder import TraceBuilder


def capture(path: Path) -> Path:
    """Two processes, two devices, a graph, copies, communication, ranges of every kind."""
    trace = TraceBuilder()
    for rank in (1, 2):
        p = trace.process(rank, host=0x8000)
        p.sees(trace.gpu(f"uuid-{rank}"))
        p.category(3, "phase", domain="train")
        for step in range(12):
            at = 1000 * step + 10
            p.range("step", at, at + 900, domain="train", payload=step, category=3)
            p.range("cross", at + 1, at + 800, start_end=True, end_tid=2)
            p.range("forward", at + 5, at + 400, domain="train", registered=True)
            for k in range(10):
                p.kernel(f"gemm_{k % 3}", (at + 10 + k, at + 11 + k), (at + 100 + 50 * k, at + 140 + 50 * k), stream=7)
            p.kernel("ncclDevKernel_AllReduce", (at + 30, at + 31), (at + 200, at + 500), stream=9, tid=2)
            p.copy("h2d", 4096, (at + 40, at + 41), (at + 120, at + 300), stream=11, pageable=step % 2 == 0)
            p.memset(64, (at + 45, at + 46), (at + 310, at + 320))
            graph = p.graph((at + 50, at + 52))
            for node in range(3):
                p.kernel(
                    "node", None, (at + 600 + 20 * node, at + 615 + 20 * node), correlation=graph, node=(1 << 32) + node
                )
            p.call("cudaDeviceSynchronize_v3020", (at + 60, at + 899))
            p.mark("done", at + 899)
    return trace.write(path)
