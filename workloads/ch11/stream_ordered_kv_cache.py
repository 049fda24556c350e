"""Decode steps on a paged KV cache: append and attend for every sequence, ordered by the host, by streams, by a graph, or by one
stream whose kernels take all sequences at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...declaration import Declaration, Phase
from ...kernels.attention.paged_kv import Decode, Step, on_host, reference
from ..device import Device, Stream
from ..pair import Pair, Sizes
from .branches import Branches

if TYPE_CHECKING:
    from torch import Tensor

STREAMS = 8
_BF16_BYTES = 2
_SEEDS = 1 << 20
"""Seeds of one `inputs`, so that those of the next seed are others."""


class PagedDecode:
    """`steps` decode steps of `sequences` sequences that have `tokens` tokens each; every step appends a token's keys and values
    to each sequence by one kernel, and attends to all of its tokens by another.

    The pages of a sequence lie anywhere in the cache: a random table, the same in every run. A sequence's work is enqueued on
    one stream, so that append comes before attend, and a step before the next, without an event. The optimized variant launches
    the same two kernels once a step, with the blocks of all sequences.
    """

    def __init__(self, device: Device, sizes: Sizes) -> None:
        self._device, self._sizes = device, sizes
        self._streams = [device.stream() for _ in range(STREAMS)]
        self.decode = _tensors(device, sizes)
        self._scratch, self._work = _work(device, self.decode, sizes["splits"])
        self._lanes = [self._work(self.decode, stream) for stream in self._streams]
        self._together = self._work(self.decode, self._streams[0], sizes["sequences"])
        branches = Branches(device, self._streams)
        self._replay = device.graph(self._streams[0], branches.around(lambda: self._decode("streams", self._lanes)))

    @property
    def streams(self) -> Sequence[Stream]:
        return self._streams

    @property
    def output(self) -> Tensor:
        """bf16 [steps, sequences, kv_heads, group, dim] on the device."""
        return self.decode.out

    def inputs(self, seed: int) -> None:
        d, normal, seed = self.decode, self._device.normal, seed * _SEEDS
        for at, tensor in enumerate((d.q, d.k_new, d.v_new)):
            tensor.copy_(normal(tensor.numel(), seed + at).view(tensor.shape))
        for sequence, pages in enumerate(d.table.long()):  # in pieces: fp32 of the whole cache would be twice its size
            for at, cache in enumerate((d.k_cache, d.v_cache)):
                shape = (len(pages), *cache.shape[1:])
                values = normal(shape[0] * shape[1] * shape[2] * shape[3], seed + 3 + 2 * sequence + at)
                cache[pages] = values.view(shape).to(cache.dtype)

    def poison(self) -> None:
        """The output, the scratch, and every place of the cache behind a sequence's first `tokens` tokens."""
        import torch

        d, page = self.decode, self._sizes["page"]
        positions = torch.arange(d.tokens, d.table.shape[1] * page, device=d.table.device)
        for cache in (d.k_cache, d.v_cache):
            cache[d.table[:, positions // page].long(), :, positions % page] = float("nan")
        d.out.fill_(float("nan"))
        if self._scratch is not None:
            self._scratch.poison()

    def run(self, variant: str) -> None:
        if variant == "graph":
            self._replay()
        elif variant == "optimized":
            self._batched()
        else:
            self._decode(variant, self._lanes if variant == "streams" else self._lanes[:1])

    def _decode(self, variant: str, lanes: Sequence[tuple[Step, Step]]) -> None:
        for step in range(self._sizes["steps"]):
            for sequence in range(self._sizes["sequences"]):
                append, attend = lanes[sequence % len(lanes)]
                append(step, sequence)
                attend(step, sequence)
                if variant == "baseline":
                    self._device.synchronize()

    def _batched(self) -> None:
        append, attend = self._together
        for step in range(self._sizes["steps"]):
            append(step, 0)
            attend(step, 0)

    def reference(self) -> Tensor:
        return reference(self.decode)

    def exact(self) -> Tensor:
        """The same kernels on one stream, with the host waiting after each of them."""
        import torch

        decode = replace(self.decode, out=torch.empty_like(self.decode.out))
        append, attend = self._work(decode, self._streams[0])
        for step in range(self._sizes["steps"]):
            for sequence in range(self._sizes["sequences"]):
                for kernel in (append, attend):
                    self._device.synchronize()
                    kernel(step, sequence)
        self._device.synchronize()
        return decode.out


def _tensors(device: Device, sizes: Sizes) -> Decode:
    """Everything allocated, nothing filled but the table."""
    import torch

    steps, sequences, page = sizes["steps"], sizes["sequences"], sizes["page"]
    heads, dim = sizes["kv_heads"], sizes["dim"]
    each = -(-(sizes["tokens"] + steps) // page)

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.bfloat16, device=device.kind)

    order = torch.randperm(sequences * each, generator=torch.Generator().manual_seed(11))
    return Decode(
        k_cache=empty(sequences * each, heads, page, dim),
        v_cache=empty(sequences * each, heads, page, dim),
        table=order.view(sequences, each).to(device.kind, torch.int32),
        k_new=empty(steps, sequences, heads, dim),
        v_new=empty(steps, sequences, heads, dim),
        q=empty(steps, sequences, heads, sizes["group"], dim),
        out=empty(steps, sequences, heads, sizes["group"], dim),
        tokens=sizes["tokens"],
    )


def _work(device: Device, decode: Decode, splits: int) -> tuple[Any, Callable[..., tuple[Step, Step]]]:
    """The scratch of the kernels, and what gives append and attend on a stream, for one sequence or several at once."""
    if device.kind != "cuda":
        return None, lambda decode, stream, together=1: on_host(decode, together)
    from ...kernels.attention.paged_kv_triton import Scratch, on_stream

    scratch = Scratch(decode, splits)
    return scratch, lambda decode, stream, together=1: on_stream(decode, scratch, stream.cuda_stream, together)


def phases(sizes: Sizes, variant: str) -> tuple[Phase, ...]:
    """Every step reads all keys and values that are there, many times what the L2 cache holds; what is appended does not count.
    The baseline waits for each sequence's step."""
    s = sizes
    cache = s["steps"] * s["sequences"] * s["tokens"] * s["kv_heads"] * s["dim"] * 2 * _BF16_BYTES
    return (Phase(dram=cache, launches=s["steps"] * s["sequences"] if variant == "baseline" else 0),)


# 32,766 tokens: the third of the four steps opens a sequence's next page. Two splits of eight heads are 16 blocks a kernel, so
# that eight kernels at a time have a multiprocessor a block and leave 4 of 132. Long sequences, as a kernel has to last longer than
# its launch does, under nsys too.
_FULL = {
    "sequences": 16,
    "tokens": 32766,
    "steps": 4,
    "kv_heads": 8,
    "group": 4,
    "dim": 128,
    "page": 64,
    "splits": 2,
}
_SMALL = {**_FULL, "sequences": 10, "tokens": 30, "kv_heads": 2, "group": 2, "dim": 16, "page": 16}

PAIR = Pair(
    Declaration(
        chapter="ch11",
        name="stream_ordered_kv_cache",
        topic={"en": "Ordering a KV cache by streams", "ko": "스트림으로 KV 캐시의 순서 지키기"},
        title={
            "en": "A paged KV cache: the host waits, one stream, eight streams, one graph, one batched kernel",
            "ko": "페이지형 KV 캐시: 호스트가 기다림, 스트림 하나, 스트림 여덟 개, 그래프 하나, 배치 커널 하나",
        },
        sentence={
            "en": "Eight streams let the sequences' small kernels overlap; batched kernels on one stream overlap nothing and finish "
            "the same decode steps {speedup} than with the host waiting for each sequence.",
            "ko": "스트림 여덟 개는 시퀀스별 작은 커널을 겹쳐 실행합니다. 스트림 하나의 배치 커널은 아무것도 겹치지 않고도 같은 디코드 단계를 호스트가 "
            "시퀀스마다 기다릴 때보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant appends the same tokens to the same paged cache and attends to it by the same two kernels, four steps. "
            "The baseline uses one stream and waits on the host after each sequence; the first step leaves the waiting out, the "
            "second spreads the sequences over eight streams, each sequence on one of them, and the third launches these eight "
            "streams' work as one CUDA graph. The optimized variant has no need of streams: it launches either kernel once a step, "
            "with the blocks of all sequences, on one stream. Where such a kernel can be had, it is what streams have to be "
            "compared with.",
            "ko": "모든 변형은 같은 페이지형 캐시에 같은 토큰을 추가하고 같은 두 커널로 어텐션을 네 단계 계산합니다. 기준 변형은 스트림 하나를 쓰고 "
            "시퀀스마다 호스트에서 기다립니다. 첫 단계는 기다림만 없애고, 둘째 단계는 시퀀스를 스트림 여덟 개에 나누며 한 시퀀스는 늘 같은 스트림에서 "
            "실행하고, 셋째 단계는 그 스트림 여덟 개의 작업을 CUDA 그래프 하나로 실행합니다. 최적화 변형에는 여러 스트림이 필요 없습니다. 두 커널을 "
            "단계마다 한 번씩, 모든 시퀀스의 블록을 함께 스트림 하나에서 실행합니다. 이런 커널을 쓸 수 있다면 스트림은 이것과 비교해야 합니다.",
        },
        variants={
            "baseline": {
                "en": "One stream, and the host waits after every sequence",
                "ko": "스트림 하나, 시퀀스마다 호스트가 기다림",
            },
            "one_stream": {"en": "One stream, no waiting", "ko": "스트림 하나, 기다림 없음"},
            "streams": {
                "en": "Eight streams, each sequence in the order of its own",
                "ko": "스트림 여덟 개, 시퀀스마다 자기 스트림의 순서를 따름",
            },
            "graph": {
                "en": "The same eight streams as one CUDA graph",
                "ko": "같은 스트림 여덟 개를 CUDA 그래프 하나로",
            },
            "optimized": {
                "en": "One stream, one batched kernel for all sequences",
                "ko": "스트림 하나, 모든 시퀀스를 배치 커널 하나로",
            },
        },
        claims=(
            # floor: 2.15 GB a step take 2.1 ms for four at 4.1 TB/s. With 64 sequences of a quarter of the tokens an H200 needed 1.95 ms
            # batched, 2.25 in a graph, 4.06 with eight streams, which their launches bounded, and 16.8 with one (2026-11-30, untraced)
            "speedup >= 3.5",
            "speedup(one_stream, streams) >= 2.5",
            # the graph and the batched kernel read the same bytes by as many blocks as fit: neither has anything that the other lacks
            "speedup(graph, optimized) >= 0.9",
            # of nodes of one graph the order of launches is not known: it is shown of the streams that the graph was captured from
            "streams.order_violations(kv_append, kv_attend) == 0",
            "graph.concurrency >= 4",
            "graph.gap_median <= 3us",
            "graph.launch_calls_per_iteration == 1",
            "baseline.max_in_flight <= 1",
            "one_stream.max_in_flight <= 1",
            "optimized.max_in_flight <= 1",
            # append and attend, four steps
            "optimized.kernels_per_iteration == 8",
            "optimized.launch_calls_per_iteration == 8",
            # of these one is the harness's own: the baseline's waits are no overlap
            "baseline.syncs_per_iteration >= 2",
            "one_stream.syncs_per_iteration == 1",
            "streams.syncs_per_iteration == 1",
            "graph.syncs_per_iteration == 1",
            "optimized.syncs_per_iteration == 1",
            "streams.kernels_per_iteration == baseline.kernels_per_iteration",
            "graph.kernels_per_iteration == baseline.kernels_per_iteration",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": _SMALL},
        # weights and results in bf16 leave 2.3e-3; one sequence of 64 with another's output is off by 0.18
        tolerance=4e-3,
        bitwise=True,
        perturbation_band=0.10,
        queued=False,  # the baseline waits
        needs=("cuda", "triton", "cc>=8.0"),
    ),
    build=PagedDecode,
    phases=phases,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
