"""The program that nsys and torch.profiler both recorded: a step of copies, products, a memset and a graph on three streams.

nsys profile -t cuda,nvtx --cuda-graph-trace=node -o recorded python recorded.py
python recorded.py recorded.json.gz
"""

import sys
from contextlib import nullcontext

import torch

STEPS = 8
SIZE = 1024


def main(out: str | None) -> None:
    torch.manual_seed(0)
    up, down, work = (torch.cuda.Stream() for _ in range(3))
    host = torch.randn(SIZE, SIZE).pin_memory()
    back = torch.empty(SIZE, SIZE).pin_memory()
    a, b = (torch.randn(SIZE, SIZE, device="cuda") for _ in range(2))
    c, d = torch.empty_like(a), torch.empty_like(a)
    graph = torch.cuda.CUDAGraph()
    for _ in range(3):
        torch.mm(a, b, out=c).relu_()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        torch.mm(a, b, out=c)
        c.relu_()

    def step() -> None:
        with torch.cuda.stream(up):
            a.copy_(host, non_blocking=True)
        with torch.cuda.stream(work):
            torch.mm(b, b, out=d)
            d.add_(1)
        with torch.cuda.stream(down):
            back.copy_(b, non_blocking=True)
        torch.cuda.synchronize()
        graph.replay()
        c.zero_()
        torch.cuda.synchronize()

    for _ in range(3):
        step()
    from torch.profiler import ProfilerActivity, profile, record_function

    recording = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) if out else nullcontext()
    with recording as profiler:
        for _ in range(STEPS):
            torch.cuda.nvtx.range_push("step")
            with record_function("step"):
                step()
            torch.cuda.nvtx.range_pop()
    if out:
        profiler.export_chrome_trace(out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
