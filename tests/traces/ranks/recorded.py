"""The program behind tests/traces/ranks/: two processes, a GPU each, NCCL over several communicators, one rank slowed or none.

RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29511 nsys profile --trace=cuda,nvtx --sample=none \
    --cpuctxsw=none --cuda-graph-trace=node -o rank0 python recorded.py --slow 1

and the same for RANK=1 beside it; exported with `nsys export --type sqlite --include-blobs=true`. With `--profiler FILE`
torch.profiler writes the steps as Kineto's JSON instead. NVLink multicast stays off (NCCL_NVLS_ENABLE=0).
"""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext

import torch
import torch.distributed as dist

STEPS = 10
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
ELEMENTS = 1 << 18  # 1 MiB of float32
CYCLES = 4_000_000  # of the spin kernel that slows a rank: about 2 ms at 1.98 GHz


class Groups:
    """The communicators: all ranks twice, all ranks split off the first, and rank 0 alone."""

    def __init__(self, world: int) -> None:
        everyone = list(range(world))
        self.second = dist.new_group(everyone)
        self.child = dist.split_group(split_ranks=[everyone]) if CUDA else dist.new_group(everyone)
        self.alone = dist.new_group([0])


def exchange(x: torch.Tensor, rank: int, world: int) -> None:
    """A send to the next rank and a receive from the one before, in one group."""
    received = torch.empty_like(x)
    to, of = (rank + 1) % world, (rank - 1) % world
    for work in dist.batch_isend_irecv([dist.P2POp(dist.isend, x, to), dist.P2POp(dist.irecv, received, of)]):
        work.wait()


def step(index: int, rank: int, world: int, groups: Groups, slow: int, w: torch.Tensor, x: torch.Tensor) -> None:
    """Products, then each kind of collective; a slow rank spins before the first from the third step on."""
    y = w
    for _ in range(4):
        y = y @ w
    if rank == slow and index >= 2:
        torch.cuda._sleep(CYCLES) if CUDA else None
    dist.all_reduce(x)
    gathered = torch.empty(world * ELEMENTS, device=DEVICE)
    handle = dist.all_gather_into_tensor(gathered, x, async_op=True)  # beside a product
    y = y @ w
    handle.wait()
    dist.reduce_scatter_tensor(torch.empty(ELEMENTS, device=DEVICE), gathered, group=groups.second)
    dist.broadcast(x, src=0)
    dist.all_to_all_single(torch.empty_like(x), x)
    exchange(x, rank, world)
    dist.all_reduce(x, group=groups.second)
    dist.all_reduce(x, op=dist.ReduceOp.MAX, group=groups.child)
    if rank == 0:
        dist.all_gather_into_tensor(torch.empty(ELEMENTS, device=DEVICE), x, group=groups.alone)
    if index % 5 == 4 and CUDA:
        with dist._coalescing_manager(async_ops=False):  # two all-reduces in one group of NCCL
            dist.all_reduce(x)
            dist.all_reduce(gathered)
    x.mul_(1 / world)


def recording(out: str) -> object:
    """torch.profiler over CPU and GPU where a file is asked for."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]
    return profile(activities=kinds) if out else nullcontext()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slow", type=int, default=-1)
    parser.add_argument("--profiler", default="")
    asked = parser.parse_args()
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if CUDA:
        torch.cuda.set_device(rank)
        dist.init_process_group("nccl", device_id=torch.device("cuda", rank))
    else:
        dist.init_process_group("gloo")
    torch.manual_seed(rank)
    groups = Groups(world)
    w, x = torch.randn(2048, 2048, device=DEVICE) / 45, torch.randn(ELEMENTS, device=DEVICE)
    for _ in range(2):
        step(0, rank, world, groups, -1, w, x)
    synchronize = torch.cuda.synchronize if CUDA else (lambda: None)
    synchronize()
    dist.barrier()
    synchronize()
    with recording(asked.profiler) as profiler:  # type: ignore[attr-defined]
        for index in range(STEPS):
            torch.cuda.nvtx.range_push("step") if CUDA else None
            with torch.profiler.record_function("step") if asked.profiler else nullcontext():
                step(index, rank, world, groups, asked.slow, w, x)
                synchronize()
            torch.cuda.nvtx.range_pop() if CUDA else None
    if asked.profiler:
        profiler.export_chrome_trace(asked.profiler)
    print(rank, float(x.abs().mean()), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
