"""A stencil and its GELU over four arrays: two kernels each, one each, warps with roles in clusters, and those on four streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.stencil import gelu
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor

_FP32_BYTES = 4


class Arrays:
    """y = scale · gelu(stencil(x)) for `arrays` arrays of `quads` times four tiles of fp32; a stream for each, and one for all."""

    def __init__(self, device: Device, sizes: Sizes) -> None:
        self._device, count = device, sizes["arrays"]
        n = sizes["quads"] * gelu.CLUSTER * gelu.TILE
        self._streams = [device.stream() for _ in range(count)]
        self._in, self._out = device.empty(n * count), device.empty(n * count)
        self._between = device.empty(n)
        self._pieces = list(zip(self._in.chunk(count), self._out.chunk(count), strict=True))

    @property
    def streams(self) -> Sequence[Stream]:
        return self._streams

    @property
    def output(self) -> Tensor:
        """The fp32 elements of all arrays on the device, one after the other."""
        return self._out

    def inputs(self, seed: int) -> None:
        self._in.copy_(self._device.normal(self._in.numel(), seed))

    def poison(self) -> None:
        for tensor in (self._out, self._between):
            tensor.fill_(float("nan"))

    def run(self, variant: str) -> None:
        if variant == "optimized":
            return self._side_by_side()
        with self._device.on(self._streams[0]):
            for x, y in self._pieces:
                if variant == "baseline":
                    gelu.two_kernels(x, self._between, y)
                else:
                    (gelu.fused if variant == "fused" else gelu.by_roles)(x, y)

    def _side_by_side(self) -> None:
        """Every array on a stream and a share of the multiprocessors of its own."""
        for stream, (x, y) in zip(self._streams, self._pieces, strict=True):
            with self._device.on(stream):
                gelu.by_roles(x, y, len(self._pieces))

    def reference(self) -> Tensor:
        import torch

        return torch.cat([gelu.reference(x) for x, _ in self._pieces])

    def exact(self) -> None:
        return None


def declared(sizes: Sizes, variant: str) -> Declared:
    """Five operations an element for the stencil, eleven for the GELU and the factor, without its exponential; two passes or one."""
    n = sizes["arrays"] * sizes["quads"] * gelu.CLUSTER * gelu.TILE
    passes = 2 if variant == "baseline" else 1
    return Declared(16 * n, 2 * _FP32_BYTES * n * passes, "fp32")


_FULL = {"arrays": 4, "quads": 4096}

PAIR = Pair(
    Declaration(
        chapter="ch11",
        name="warp_specialization_multistream",
        topic={"en": "Warps with roles, clusters and streams", "ko": "역할을 나눈 워프, 클러스터, 스트림"},
        title={
            "en": "Two kernels on one stream against producer, compute and store warps on four",
            "ko": "스트림 하나의 커널 두 개와 스트림 네 개의 생산자·계산·저장 워프의 비교",
        },
        sentence={
            "en": "In one pass by warps with roles, on four streams, the same arrays finish {speedup} than in two passes on one; the gain is "
            "that of the pass saved.",
            "ko": "역할을 나눈 워프가 스트림 네 개에서 한 번만 지나면 같은 배열들을 스트림 하나에서 두 번 지날 때보다 {speedup} 끝내며, 이득은 줄어든 한 번의 "
            "통과에서 옵니다.",
        },
        compares={
            "en": "Every variant applies the same stencil of three elements, GELU and factor to the same four arrays of 512 MiB fp32. The "
            "baseline runs a kernel for the stencil and one for the GELU on each, with an array between them in device memory. The first "
            "step is one plain kernel for both: half the traffic. In the second a producer warp fetches tiles by the copy engine, two "
            "groups of warps compute, a warp has the results stored, and registers go from the former to the latter (setmaxnreg); four "
            "blocks are a cluster and send each other the elements at the edges of their tiles through distributed shared memory. The "
            "optimized variant runs four of these kernels side by side, each on a quarter of the multiprocessors and a stream of its own. "
            "All that pass once are bound by memory. The plain kernel is the fastest of them: roles, clusters and streams cost an eighth "
            "of its rate here, and are shown for what they are.",
            "ko": "모든 변형은 512 MiB fp32 배열 네 개에 같은 세 원소 스텐실, GELU, 곱을 적용합니다. 기준 변형은 배열마다 스텐실 커널과 GELU 커널을 차례로 "
            "실행하며 그 사이의 배열은 장치 메모리에 둡니다. 첫 단계는 둘을 합친 평범한 커널 하나로 전송량이 절반입니다. 둘째 단계에서는 생산자 워프가 복사 "
            "엔진으로 타일을 가져오고, 두 워프 그룹이 계산하며, 워프 하나가 결과를 저장하게 하고, 레지스터를 앞의 것에서 뒤의 것으로 넘깁니다(setmaxnreg). "
            "블록 네 개가 클러스터를 이루어 타일 가장자리의 원소를 분산 공유 메모리로 서로 보냅니다. 최적화 변형은 이 커널 네 개를 나란히 실행하며, 각각 "
            "멀티프로세서의 4분의 1과 자기 스트림을 씁니다. 한 번만 지나는 변형은 모두 메모리가 병목입니다. 그중 평범한 커널이 가장 빠릅니다. 역할, 클러스터, "
            "스트림은 여기서 그 속도의 8분의 1을 잃으며, 그 자체를 보이려고 있습니다.",
        },
        variants={
            "baseline": {
                "en": "A stencil kernel and a GELU kernel, one stream",
                "ko": "스텐실 커널과 GELU 커널, 스트림 하나",
            },
            "fused": {"en": "One plain kernel for both", "ko": "둘을 합친 평범한 커널 하나"},
            "cluster_pipeline": {
                "en": "Producer, compute and store warps in clusters of four, DSMEM",
                "ko": "블록 네 개 클러스터의 생산자·계산·저장 워프, DSMEM",
            },
            "optimized": {
                "en": "The same on four streams, a quarter of the chip each",
                "ko": "같은 커널을 스트림 네 개에서, 각각 칩의 4분의 1",
            },
        },
        claims=(
            # by traffic 2
            "speedup >= 1.75",
            "speedup(baseline, fused) >= 1.75",
            # by the same traffic 1; an H200 gave 0.87 and 0.89 (2026-11-30), three groups of workers, other tiles and no clusters no more
            "speedup(fused, cluster_pipeline) >= 0.8",
            "speedup(fused, optimized) >= 0.8",
            "speedup(cluster_pipeline, optimized) >= 0.95",
            "baseline.dram_bytes >= 8.3 GB",
            "fused.dram_bytes <= 4.38 GB",
            "optimized.dram_bytes <= 4.38 GB",
            "optimized.dram_rate >= 0.82 * ceiling(copy)",
            # 4 · 4096 rounds of a cluster, whose four blocks have three neighbours on either side
            "fused.dsmem_operations == 0",
            "cluster_pipeline.dsmem_operations == 98304",
            "optimized.dsmem_operations == 98304",
            "baseline.kernels_per_iteration == 8",
            "fused.kernels_per_iteration == 4",
            "cluster_pipeline.max_in_flight == 1",
            "optimized.kernels_per_iteration == 4",
            "optimized.max_in_flight >= 3",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"arrays": 4, "quads": 1}},
        # a product, two sums, an exponential and a quotient leave 1e-7
        tolerance=1e-6,
        bitwise=False,  # how a compiler contracts the same source in two kernels is its own
        perturbation_band=0.05,
        queued=True,  # the subject is what the GPU does, not the host's launches
        needs=("cuda", "cc>=9.0", "cc<10.0"),
    ),
    build=Arrays,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
