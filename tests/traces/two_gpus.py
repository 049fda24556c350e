"""The program behind two-gpus-*.sqlite.xz: two processes, two GPUs, NCCL beside GEMMs, a CUDA graph, autograd's own thread.

    nsys profile --trace=cuda,nvtx --sample=none --cpuctxsw=none --cuda-graph-trace=node -o two-gpus-node \
        torchrun --nproc-per-node 2 tests/traces/two_gpus.py

and once more with --cuda-graph-trace=graph; exported to SQLite, scrubbed by aisp_prof.profiler.scrub.scrub_trace.
"""

from __future__ import annotations

import os

import nvtx
import torch
import torch.distributed as dist


def step(model: torch.nn.Module, x: torch.Tensor, side: torch.cuda.Stream, bucket: torch.Tensor) -> None:
    """Forward, backward (launched by autograd's thread), and an all-reduce on a stream of its own."""
    with nvtx.annotate("forward", domain="train"):
        loss = model(x).float().square().mean()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), nvtx.annotate("exchange", domain="train"):
        dist.all_reduce(bucket)
    with nvtx.annotate("backward", domain="train"):
        loss.backward()
    torch.cuda.current_stream().wait_stream(side)


def main() -> None:
    rank = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", device_id=torch.device("cuda", rank))
    torch.manual_seed(rank)
    layers = [torch.nn.Linear(2048, 2048, bias=False) for _ in range(3)]
    model = torch.nn.Sequential(*layers).cuda().bfloat16()
    x = torch.randn(4096, 2048, device="cuda", dtype=torch.bfloat16)
    bucket, side = torch.randn(16 << 20, device="cuda"), torch.cuda.Stream()
    host = torch.randn(1 << 20)  # pageable
    for _ in range(2):
        step(model, x, side, bucket)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = (x @ layers[0].weight).relu() @ layers[1].weight
    torch.cuda.synchronize()
    dist.barrier()
    window = nvtx.start_range("window", domain="train")
    for index in range(3):
        with nvtx.annotate("step", domain="train", payload=index):
            step(model, x, side, bucket)
    with nvtx.annotate("replay", domain="train"):
        graph.replay()
        graph.replay()
    with nvtx.annotate("staging", domain="train"):
        copied = host.to("cuda", non_blocking=True)
        bucket.zero_()
    torch.cuda.synchronize()
    nvtx.end_range(window)
    nvtx.mark("done", domain="train")
    print(rank, float(y.float().mean()), float(copied.mean()))
    dist.destroy_process_group()


main()
