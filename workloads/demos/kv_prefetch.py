"""Decode attention by one kernel without scratch memory: a cluster splits the keys, the next pages are fetched meanwhile (DSMEM, TMA)."""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import TYPE_CHECKING

from ...kernels.attention import cluster_decode, paged_attention
from ..device import Device
from .demo import Demo, positive
from .turns import Ways, check, in_turn, table

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = 8
_BF16_BYTES = 2


class Step:
    """One decode step: `sequences` of `tokens` tokens each, whose pages lie in the pool in random order."""

    def __init__(self, device: Device, sequences: int, kv_heads: int, tokens: int) -> None:
        import torch

        page, d, heads = cluster_decode.PAGE, cluster_decode.D, cluster_decode.GROUP * kv_heads
        width = -(-tokens // page)
        pages = sequences * width
        self.k, self.v = (_bf16(device, (pages, kv_heads, page, d), seed) for seed in (1, 2))
        self.q = _bf16(device, (sequences, heads, d), 3)
        self.out = torch.empty_like(self.q)
        order = torch.randperm(pages, generator=torch.Generator().manual_seed(4))
        self.table = order.to(torch.int32).view(sequences, width).to(device.kind)
        self.lengths = torch.full((sequences,), tokens - 1, dtype=torch.int64, device=device.kind)
        self.scratch = paged_attention.parts(sequences, kv_heads, cluster_decode.GROUP, d, SPLITS, device.kind)

    @property
    def moved(self) -> int:
        """Bytes of the keys and values that are attended to, once each."""
        sequences, tokens = self.q.shape[0], int(self.lengths[0]) + 1
        return int(2 * sequences * self.k.shape[1] * tokens * cluster_decode.D * _BF16_BYTES)

    def ways(self) -> Ways:
        """By one kernel in clusters, on a CPU by PyTorch; by the project's split kernel and the one that joins its parts."""
        cache = (self.q, self.k, self.v, self.table, self.lengths)
        split = partial(paged_attention.attend, *cache, self.scratch, self.out)
        cluster = partial(cluster_decode.attend, *cache, self.out) if self.q.is_cuda else split
        return {"cluster": cluster, "split": split}

    def reference(self) -> Tensor:
        """In fp64, a sequence after the other."""
        import torch

        wide = torch.empty_like(self.q, dtype=torch.float64)
        for at, tokens in enumerate((self.lengths + 1).tolist()):
            k, v = (paged_attention.gathered(pool, self.table[at], tokens).double() for pool in (self.k, self.v))
            wide[at] = paged_attention.dense(self.q[at].double()[:, None], k, v)[:, 0]
        return wide


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of both in turn, after both were checked against fp64."""
    step, stream = Step(device, asked.sequences, asked.kv_heads, asked.tokens), device.stream()
    ways, wide, errors = step.ways(), step.reference(), {}
    for name, run in ways.items():
        step.out.fill_(float("nan"))
        run()
        errors[name] = float((step.out.double() - wide).norm() / wide.norm())
        check(name, errors[name], 4e-3)
    device.synchronize()
    scratch = sum(part.numel() * part.element_size() for part in step.scratch)
    lines = table(in_turn(device, stream, ways, asked.rounds), dict.fromkeys(ways, step.moved))
    work = (
        f"{asked.sequences} sequences of {asked.tokens} tokens, {asked.kv_heads} heads of keys and values with "
        f"{cluster_decode.GROUP} queries each, pages of {cluster_decode.PAGE} tokens in random order: {step.moved / 1e6:.0f} MB"
    )
    return [
        work,
        *lines,
        f"cluster: one kernel, no scratch memory, clusters of {cluster_decode.CLUSTER}; error against fp64 {errors['cluster']:.1e}",
        f"split:   {SPLITS} parts of each sequence through {scratch / 1e6:.1f} MB of scratch memory; error {errors['split']:.1e}",
    ]


def _bf16(device: Device, shape: tuple[int, ...], seed: int) -> Tensor:
    return device.normal(math.prod(shape), seed).view(shape).bfloat16()


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sequences", type=positive, default=16, metavar="N", help="sequences (16)")
    parser.add_argument("--kv-heads", type=positive, default=8, metavar="N", help="heads of keys and values (8)")
    parser.add_argument("--tokens", type=positive, default=16384, metavar="N", help="tokens of a sequence (16384)")
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help="rounds of A B B A (10)")


DEMO = Demo(
    "ch11-kv-prefetch",
    "Decode attention in one kernel: a cluster splits the keys, the copy engine fetches the next page.",
    ("cuda", "cc>=9.0", "triton"),
    _options,
    measure,
)
