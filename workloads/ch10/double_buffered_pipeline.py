"""Tiles through shared memory by one block a multiprocessor: copied and computed in turn, in two stages, in three, by the copy engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...errors import UsageError
from ...kernels.elementwise import affine_chain, tile_pipeline
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor

WAYS = {
    "baseline": "in_turn",
    "two_stages": "two_stages",
    "three_stages": "three_stages",
    "optimized": "bulk",
}


class Tiles:
    """`steps` fused multiply-adds an element of `tiles` tiles of fp32 in device memory, on one stream.

    Raises:
        UsageError: there is no tile.
    """

    def __init__(self, device: Device, sizes: Sizes) -> None:
        if sizes["tiles"] < 1:
            raise UsageError(f"{sizes['tiles']} tiles are nothing to compute", "choose another size")
        self._device, self._steps, self._stream = device, sizes["steps"], device.stream()
        n = sizes["tiles"] * tile_pipeline.TILE
        self._in, self._out = device.empty(n), device.empty(n)

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """The fp32 elements on the device."""
        return self._out

    def inputs(self, seed: int) -> None:
        self._in.copy_(self._device.normal(self._in.numel(), seed))

    def poison(self) -> None:
        self._out.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            tile_pipeline.chain(self._in, self._out, self._steps, WAYS[variant])

    def reference(self) -> Tensor:
        return tile_pipeline.reference(self._in, self._steps)

    def exact(self) -> Tensor:
        """The same multiply-adds, step by step, by PyTorch."""
        out = self._in.new_empty(self._in.shape)
        affine_chain.eager(self._in, out, tile_pipeline.FACTOR, tile_pipeline.ADDEND, self._steps)
        return out


def declared(sizes: Sizes, variant: str) -> Declared:
    n = sizes["tiles"] * tile_pipeline.TILE
    return Declared(affine_chain.declared_flops(n, sizes["steps"]), affine_chain.declared_bytes(n, 1), "fp32")


_FULL = {"tiles": 262144, "steps": 32}

PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="double_buffered_pipeline",
        topic={"en": "Copies behind computation in one block", "ko": "한 블록 안에서 계산 뒤에 숨는 복사"},
        title={
            "en": "Load, wait, compute, store in turn, and as a pipeline of two, three and eight stages",
            "ko": "읽기, 기다리기, 계산, 쓰기를 차례로 하는 것과 두 단계, 세 단계, 여덟 단계 파이프라인",
        },
        sentence={
            "en": "With the next tiles on their way meanwhile the same tiles finish {speedup} than in turn.",
            "ko": "다음 타일을 미리 가져오면 같은 타일들을 차례로 처리할 때보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant takes the same 2 GiB of fp32 through shared memory in tiles of 8 KiB, one block of 512 threads on each "
            "multiprocessor, with 32 FMAs an element, and moves the same bytes; all agree bit for bit. In turn a block loads a tile, "
            "waits, computes and stores, and the memory stands idle while it computes. With cp.async one tile, or two, are on their way "
            "meanwhile. In the optimized variant the copy engine (TMA) loads and stores whole tiles at one thread's word, seven of eight "
            "stages ahead. What counts is how much is on its way. More blocks on a multiprocessor would hide the same waiting without any "
            "pipeline; here there is one, as in a kernel whose other data fill the shared memory.",
            "ko": "모든 변형은 같은 2 GiB의 fp32를 8 KiB 타일로 나누어 공유 메모리를 거치게 하며, 멀티프로세서마다 512스레드 블록 하나가 원소마다 FMA "
            "32번을 합니다. 옮기는 바이트는 같고 결과는 비트까지 같습니다. 차례로 하는 변형에서는 블록이 타일을 읽고, 기다리고, 계산하고, 쓰므로 계산하는 "
            "동안 메모리가 쉽니다. cp.async를 쓰면 그동안 타일 하나 또는 둘이 오는 중입니다. 최적화 변형에서는 복사 엔진(TMA)이 스레드 하나의 요청으로 "
            "타일 전체를 읽고 쓰며, 여덟 단계 중 일곱을 미리 가져옵니다. 중요한 것은 얼마나 많은 바이트가 오는 중인가입니다. 멀티프로세서에 블록이 더 "
            "있으면 파이프라인 없이도 같은 기다림을 숨길 수 있습니다. 여기서는 다른 데이터가 공유 메모리를 채우는 커널처럼 블록이 하나입니다.",
        },
        variants={
            "baseline": {"en": "Load, barrier, compute, store", "ko": "읽기, 배리어, 계산, 쓰기"},
            "two_stages": {"en": "Two stages of cp.async", "ko": "cp.async 두 단계"},
            "three_stages": {"en": "Three stages of cp.async", "ko": "cp.async 세 단계"},
            "optimized": {"en": "A ring of eight stages by TMA, bulk stores", "ko": "TMA 여덟 단계 링, 벌크 쓰기"},
        },
        claims=(
            # an H200 gave 2.33, of it 1.68, 1.17 and 1.18 (2026-11-30)
            "speedup >= 2",
            "speedup(baseline, two_stages) >= 1.4",
            "speedup(two_stages, three_stages) >= 1.1",
            "speedup(three_stages, optimized) >= 1.1",
            "optimized.dram_rate >= 0.9 * ceiling(copy)",
            "baseline.dram_bytes <= 4.38 GB",
            "two_stages.dram_bytes <= 4.38 GB",
            "three_stages.dram_bytes <= 4.38 GB",
            "optimized.dram_bytes <= 4.38 GB",
            # 262,144 tiles of 512 pieces of 16 bytes, 32 of them an instruction of a warp
            "baseline.cp_async_operations == 0",
            "two_stages.cp_async_operations == 4194304",
            "three_stages.cp_async_operations == 4194304",
            "optimized.cp_async_operations == 0",
            "baseline.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"tiles": 3, "steps": 32}},
        # 32 roundings, of which each is carried on nearly whole
        tolerance=1e-6,
        bitwise=True,
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0"),
    ),
    build=Tiles,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
