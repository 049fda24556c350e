"""Blocks that read by themselves against clusters of two that share what they read: the fifth and sixth rung of docs/gemm.md."""

from __future__ import annotations

from ...declaration import Declaration
from ..pair import Pair
from .products import FULL, SMALL, TOLERANCE, declared, product, rung

PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="cluster_multicast",
        topic={"en": "TMA multicast within clusters", "ko": "클러스터 안의 TMA 멀티캐스트"},
        title={
            "en": "Clusters that share what they read: less traffic, not less time",
            "ko": "읽은 것을 공유하는 클러스터: 시간이 아니라 전송량이 줄어듦",
        },
        sentence={
            "en": "Multicast spares the L2 cache a tenth of its traffic; with wide tiles the product finishes {speedup}.",
            "ko": "멀티캐스트는 L2 캐시 전송량의 10분의 1을 덜어 주며, 넓은 타일에서는 같은 곱을 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Both variants compute the same bf16 product (1.1 TFLOP) with the same persistent kernel: a producer and two "
            "consumer groups, tiles of 128 x 256, four stages. They differ in one thing: in the optimized variant two blocks one "
            "above the other are a cluster, each fetches one half of the block of B that both need, and the copy engine writes it "
            "into both. Shared memory gets as many bytes; two thirds of them come by multicast and cross from the L2 cache once for "
            "two blocks. With tiles as wide as these the L2 cache does not bind, so the times are alike.",
            "ko": "두 변형은 생산자 그룹과 소비자 그룹 둘, 128 x 256 타일, 네 단계를 쓰는 같은 지속형 커널로 같은 bf16 곱(1.1 TFLOP)을 계산합니다. "
            "다른 점은 하나입니다. 최적화 변형에서는 위아래의 두 블록이 클러스터가 되어, 둘 다 필요한 B 블록의 절반씩을 가져오고 복사 엔진이 두 블록에 "
            "함께 씁니다. 공유 메모리에 들어오는 바이트는 같지만, 그중 3분의 2는 멀티캐스트로 오며 두 블록을 위해 L2 캐시를 한 번만 지납니다. "
            "이렇게 넓은 타일에서는 L2 캐시가 병목이 아니므로 시간은 비슷합니다.",
        },
        variants={
            "baseline": {"en": "Every block reads for itself", "ko": "블록마다 따로 읽기"},
            "optimized": {"en": "Clusters of two, B by multicast", "ko": "블록 두 개의 클러스터, B는 멀티캐스트"},
        },
        claims=(
            # 1.002 on a cool H200 under ncu (2026-11-30)
            "speedup >= 0.95",
            "speedup <= 1.1",
            "baseline.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            "baseline.hgmma_flops == 1.099511627776 TFLOP",
            "optimized.hgmma_flops == 1.099511627776 TFLOP",
            # by formula 2·8192³·2·(1/128 + 1/256) B filled, of it B's share of two thirds by multicast
            "baseline.multicast_bytes == 0 GB",
            "optimized.multicast_bytes >= 8.5 GB",
            "optimized.multicast_bytes <= 8.7 GB",
            "optimized.tma_bytes >= 12.8 GB",
            "optimized.tma_bytes <= 13 GB",
            "baseline.l2_bytes >= 11.8 GB",
            "optimized.l2_bytes <= 11.5 GB",
        ),
        sizes={"default": FULL, "h200": FULL, "small": SMALL},
        tolerance=TOLERANCE,
        bitwise=False,  # no exact run: cuBLAS may add in another order
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0"),
    ),
    build=product({"baseline": rung("05_persistent"), "optimized": rung("06_multicast")}),
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
