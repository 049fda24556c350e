"""Chains of small matrix products, each with a copy in and a copy out: on one stream and on several, by kernels of few blocks and of
many, and in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration, Phase
from ...errors import UsageError
from ...kernels.gemm import products
from ..chunks import in_turn, overlapped
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes
from .buffers import fill_normal, on_device, on_host

if TYPE_CHECKING:
    from torch import Tensor

_BF16_BYTES = 2
Product = Callable[[int, int], None]
"""Enqueues product `layer` of chain `chain` on the current stream."""


class Chains:
    """x <- x·Wᵀ for `depth` matrices W [width, width] of its own, for each of `chains` bf16 matrices x [rows, width], from pinned memory
    to pinned memory. No chain needs another.

    Every x has device memory of its own, so that no stream waits for another's. Batches take `group` chains at a time, and have a
    stream for each of copies in, products and copies out.

    Raises:
        UsageError: the chains do not divide among the streams, or into groups.
    """

    def __init__(self, device: Device, sizes: Sizes) -> None:
        chains, depth, rows, width = (sizes[name] for name in ("chains", "depth", "rows", "width"))
        for what in ("streams", "group"):
            if sizes[what] < 1 or chains % sizes[what]:
                raise UsageError(f"{chains} chains do not divide by {sizes[what]} ({what})", "choose another size")
        self._device, self._group = device, sizes["group"]
        self._streams = [device.stream() for _ in range(max(3, sizes["streams"]))]
        self._lanes = self._streams[: sizes["streams"]]
        self._arrived, self._computed = ([device.event() for _ in range(chains // self._group)] for _ in range(2))
        self._host_in, self._host_out = (on_host(device, chains, rows, width) for _ in range(2))
        self._x = on_device(device, depth + 1, chains, rows, width)
        self._w = on_device(device, depth, chains, width, width)
        self._by_library = _by_library(self._x, self._w)
        self._by_few_blocks = _by_few_blocks(self._x, self._w) if device.kind == "cuda" else self._by_library

    @property
    def streams(self) -> Sequence[Stream]:
        return self._streams

    @property
    def output(self) -> Tensor:
        """bf16 [chains, rows, width] in host memory."""
        return self._host_out

    def inputs(self, seed: int) -> None:
        """Matrices are scaled by 1/sqrt(width), so that every product is about N(0, 1) too."""
        fill_normal(self._device, self._host_in, seed)
        for layer, matrices in enumerate(self._w):
            fill_normal(self._device, matrices, seed + 7 * (layer + 1), matrices.shape[-1] ** -0.5)

    def poison(self) -> None:
        for buffer in (self._host_out, self._x):
            buffer.fill_(float("nan"))

    def run(self, variant: str) -> None:
        if variant == "batched":
            return self._batched()
        product = self._by_few_blocks if variant in ("few_blocks", "optimized") else self._by_library
        self._spread(self._lanes if variant in ("optimized", "library") else self._lanes[:1], product)

    def _spread(self, lanes: Sequence[Stream], product: Product) -> None:
        """Stream s takes the chains s, s + streams, …: copy in, products and copy out."""
        for chain, (host_in, host_out) in enumerate(zip(self._host_in, self._host_out, strict=True)):
            with self._device.on(lanes[chain % len(lanes)]):
                self._x[0, chain].copy_(host_in, non_blocking=True)
                for layer in range(len(self._w)):
                    product(layer, chain)
                host_out.copy_(self._x[-1, chain], non_blocking=True)

    def _batched(self) -> None:
        """A group's copy in, a batched product a layer and its copy out, each kind on a stream; events keep a group's steps in order."""
        import torch

        copies_in, kernels, copies_out = self._streams[:3]
        for at, (arrived, computed) in enumerate(zip(self._arrived, self._computed, strict=True)):
            group = slice(at * self._group, (at + 1) * self._group)
            with self._device.on(copies_in):
                self._x[0, group].copy_(self._host_in[group], non_blocking=True)
            arrived.record(copies_in)
            kernels.wait_event(arrived)
            with self._device.on(kernels):
                for x, w, y in zip(self._x[:-1, group], self._w[:, group], self._x[1:, group], strict=True):
                    torch.bmm(x, w.transpose(1, 2), out=y)
            computed.record(kernels)
            copies_out.wait_event(computed)
            with self._device.on(copies_out):
                self._host_out[group].copy_(self._x[-1, group], non_blocking=True)

    def reference(self) -> Tensor:
        import torch

        out = []
        for chain, host_in in enumerate(self._host_in):
            x = host_in.to(self._device.kind).double()
            for matrices in self._w:
                x = x @ matrices[chain].double().t()
            out.append(x)
        return torch.stack(out)

    def exact(self) -> None:
        return None


def _by_library(x: Tensor, w: Tensor) -> Product:
    """As cuBLAS chooses: alone a product is finished soonest in as many small tiles as the GPU has room for."""
    import torch

    operands = [[(a, b.t(), c) for a, b, c in zip(*layer, strict=True)] for layer in zip(x[:-1], w, x[1:], strict=True)]

    def product(layer: int, chain: int) -> None:
        a, b, c = operands[layer][chain]
        torch.mm(a, b, out=c)

    return product


def _by_few_blocks(x: Tensor, w: Tensor) -> Product:
    """A block for each tile of 128 x 256."""
    layers = [products.Products(*layer) for layer in zip(x[:-1], w, x[1:], strict=True)]
    return lambda layer, chain: layers[layer].one(chain)


def declared(sizes: Sizes, variant: str) -> Declared:
    """Alike for all: arrangement does not change what must be computed, and every matrix is read once."""
    chain = _chain(sizes)
    return Declared(sizes["chains"] * chain.flops["bf16"], sizes["chains"] * chain.dram)


def phases(sizes: Sizes, variant: str) -> tuple[Phase, ...]:
    """Chains over the link and through their products; what lies between two products may stay in the L2 cache."""
    chain, chains = _chain(sizes), sizes["chains"]
    if variant in ("baseline", "few_blocks"):
        return in_turn(chain, chains)
    group = sizes["group"] if variant == "batched" else 1
    return overlapped(_chain(sizes, group), chains // group)


def _chain(sizes: Sizes, count: int = 1) -> Phase:
    """The work of `count` chains."""
    rows, width, depth = sizes["rows"], sizes["width"], sizes["depth"]
    link, matrices = count * rows * width * _BF16_BYTES, count * depth * width**2 * _BF16_BYTES
    return Phase(h2d=link, d2h=link, dram=matrices, flops={"bf16": count * depth * 2 * rows * width**2})


# 256 x 2048 are 16 tiles of 128 x 256: eight kernels at once have 128 of an H200's 132 multiprocessors, and last 22 µs alone, much
# longer than a launch. On a GPU that is full a chain's products take 0.04 ms at the least, its copies 0.02 each way.
_FULL = {"chains": 32, "depth": 16, "rows": 256, "width": 2048, "streams": 8, "group": 8}

PAIR = Pair(
    Declaration(
        chapter="ch11",
        name="tensor_cores_streams",
        topic={"en": "Keeping tensor cores busy with small products", "ko": "작은 행렬 곱으로 텐서 코어 채우기"},
        title={
            "en": "Small matrix products with their copies: one stream against eight, kernels of few blocks, and batches",
            "ko": "작은 행렬 곱과 그 복사: 스트림 하나와 여덟 개, 블록이 적은 커널, 그리고 배치",
        },
        sentence={
            "en": "Eight streams of kernels of 16 blocks finish small matrix products, copies in and out included, {speedup} than one stream of "
            "cuBLAS: the copies hide, and the kernels run side by side.",
            "ko": "블록 16개짜리 커널을 스트림 여덟 개에서 실행하면 복사가 가려지고 커널이 나란히 실행되어, 들여오기와 내보내기를 포함한 작은 행렬 곱을 스트림 하나의 "
            "cuBLAS보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant takes the same 32 matrices of 256 x 2048 from pinned memory through 16 bf16 products each, with matrices of "
            "its own that lie on the GPU (1.1 TFLOP in all), and copies the results back. Within such a chain every product needs the one "
            "before; no chain needs another. The baseline runs chain after chain on one stream, by cuBLAS, which spreads each product over "
            "as many small tiles as the GPU has room for. The first step takes large tiles instead, 16 blocks a kernel, which alone is slower. The "
            "optimized variant puts these chains on eight streams, whose kernels have a multiprocessor a block: this is the headline. Two steps go "
            "beyond it. The first runs cuBLAS's kernels on the same eight streams: they take each other's multiprocessors, so that each lasts "
            "longer. The second is batches: one call of cuBLAS for a layer of eight chains, and a stream each for copies in, products and "
            "copies out. Where shapes are equal and matrices lie side by side, batches are what streams have to be compared with. All is "
            "queued before it may begin.",
            "ko": "모든 변형은 같은 256 x 2048 행렬 32개를 고정(pinned) 메모리에서 들여와, GPU에 놓인 각자의 행렬과 bf16 곱을 16번씩 하고(모두 1.1 TFLOP) 결과를 "
            "내보냅니다. 한 체인 안에서는 곱마다 바로 앞의 곱이 필요하지만 체인끼리는 서로 필요하지 않습니다. 기준 변형은 스트림 하나에서 체인을 차례로 실행하며, cuBLAS는 곱 "
            "하나를 GPU에 들어갈 만큼 많은 작은 타일로 나눕니다. 첫 단계는 큰 타일, 곧 커널마다 블록 16개를 쓰며 그것만으로는 더 느립니다. 최적화 변형은 이 체인을 "
            "스트림 여덟 개에 나누어 블록마다 멀티프로세서를 하나씩 쓰며, 제목의 결과가 이것입니다. 그다음 두 단계는 그 너머입니다. 하나는 같은 스트림 여덟 개에서 cuBLAS 커널을 "
            "실행하는데, 커널들이 멀티프로세서를 서로 차지하려 해 저마다 더 오래 걸립니다. 다른 하나는 배치로, 체인 여덟 개의 한 층을 cuBLAS 호출 하나로 계산하고 들여오기, 곱, 내보내기에 "
            "스트림을 하나씩 씁니다. 모양이 같고 행렬이 나란히 놓여 있다면 스트림은 배치와 비교해야 합니다. 모든 작업은 시작하기 전에 대기열에 들어갑니다.",
        },
        variants={
            "baseline": {
                "en": "One stream, cuBLAS: kernels of many small tiles",
                "ko": "스트림 하나, cuBLAS: 작은 타일이 많은 커널",
            },
            "few_blocks": {
                "en": "One stream, kernels of 16 blocks: slower alone",
                "ko": "스트림 하나, 블록 16개짜리 커널: 그것만으로는 더 느림",
            },
            "optimized": {
                "en": "Eight streams, the same kernels of 16 blocks",
                "ko": "스트림 여덟 개, 블록 16개짜리 같은 커널",
            },
            "library": {
                "en": "Beyond: eight streams, the baseline's kernels",
                "ko": "그 너머: 스트림 여덟 개, 기준 변형의 커널",
            },
            "batched": {
                "en": "Beyond: three streams, one batched cuBLAS kernel for a layer of eight chains",
                "ko": "그 너머: 스트림 세 개, 체인 여덟 개의 한 층을 배치 cuBLAS 커널 하나로",
            },
        },
        claims=(
            # by formula, ms: copies 0.66 each way at 51 GB/s, one after the other 1.3; cuBLAS's 512 kernels of 6.6 us 3.4: hiding every copy
            # would give 1.4, and what is above it are kernels side by side. Floor of the optimized variant: 1.39 of products at 790
            # TFLOP/s. An H200 took 5.88, 13.76, 2.52, 4.63 and 2.13 untraced (2026-11-30)
            "speedup >= 1.6",
            "speedup(baseline, few_blocks) <= 0.8",
            # eight at a time have 128 multiprocessors, and last hardly longer than alone: the caches and memory that they share
            "speedup(few_blocks, optimized) >= 3",
            "speedup(library, optimized) >= 1.2",
            "optimized.sum(compute) <= 1.25 * few_blocks.sum(compute)",
            "library.sum(compute) >= 2 * baseline.sum(compute)",
            # better still, by 64 launches for 512: on one of eight streams 8 us pass from a kernel to the next, on one alone 1.4
            "speedup(optimized, batched) >= 1.05",
            "optimized.concurrency >= 4",
            "optimized.max_in_flight >= 6",
            "optimized.overlap_ratio >= 0.90",
            # all but the first copy in and the last one out, of 64
            "median optimized.hidden(copy, compute) >= 0.85",
            "baseline.overlap_ratio <= 0.01",
            "few_blocks.overlap_ratio <= 0.01",
            "few_blocks.kernels_per_iteration == baseline.kernels_per_iteration",
            "optimized.kernels_per_iteration == baseline.kernels_per_iteration",
            "library.kernels_per_iteration == baseline.kernels_per_iteration",
            "optimized.copies_per_iteration == baseline.copies_per_iteration",
            "batched.kernels_per_iteration == 64",
        ),
        sizes={
            "default": _FULL,
            "h200": _FULL,
            "small": {"chains": 8, "depth": 3, "rows": 128, "width": 256, "streams": 4, "group": 2},
        },
        tolerance=1e-2,  # sixteen roundings to bf16 leave 16^0.5 x 1.7e-3
        bitwise=False,  # kernels of other tiles add in another order
        perturbation_band=0.05,
        queued=True,  # the subject is what the GPU does at once; the host's launches are no part of the times
        needs=("cuda", "cc>=9.0", "cc<10.0"),
    ),
    build=Chains,
    declared=declared,
    phases=phases,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
