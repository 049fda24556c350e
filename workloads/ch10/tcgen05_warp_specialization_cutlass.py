"""CUTLASS's warp-specialized kernel by single blocks and by clusters of two, and our own beside it (docs/gemm.md)."""

from __future__ import annotations

from ...declaration import Declaration
from ..pair import Pair
from .products import FULL, SMALL, TOLERANCE, cutlass, declared, product, rung

PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="tcgen05_warp_specialization_cutlass",
        topic={
            "en": "Roles and clusters as CUTLASS has them",
            "ko": "CUTLASS의 역할 분담과 클러스터",
        },
        title={
            "en": "CUTLASS's cooperative kernel, alone and in pairs of blocks (Hopper's analogue)",
            "ko": "CUTLASS의 협력 커널: 블록 하나씩과 두 개씩 (Hopper 대응)",
        },
        sentence={
            "en": "In pairs of blocks that share what they read, CUTLASS's kernel finishes the same product {speedup}.",
            "ko": "읽은 것을 공유하는 블록 쌍으로 실행하면 CUTLASS 커널은 같은 행렬 곱을 {speedup} 끝냅니다.",
        },
        compares={
            "en": "This is the Hopper analogue, with wgmma in place of tcgen05, of which this GPU has none: there one multiprocessor is "
            "held against two that multiply together, here one block against a cluster of two. Every variant computes the same bf16 "
            "product (1.1 TFLOP) in tiles of 128 x 256 by a producer group and two consumer groups in persistent blocks. The baseline is "
            "CUTLASS's cooperative kernel, in which every block reads for itself. Beside it stands our own kernel of that build, in "
            "clusters of two, which fetch B once and write it into both by multicast; the optimized variant is CUTLASS's in such clusters.",
            "ko": "이것은 Hopper 대응으로, 이 GPU에 없는 tcgen05 대신 wgmma를 씁니다. tcgen05에서는 멀티프로세서 하나와 함께 곱하는 둘을 견주고, 여기서는 블록 "
            "하나와 두 개짜리 클러스터를 견줍니다. 모든 변형은 생산자 그룹 하나와 소비자 그룹 둘을 둔 지속형 블록과 128 x 256 타일로 같은 bf16 곱(1.1 "
            "TFLOP)을 계산합니다. 기준 변형은 블록마다 따로 읽는 CUTLASS의 협력 커널입니다. 같은 구성의 자체 커널을 나란히 놓았는데, 두 개짜리 "
            "클러스터가 B를 한 번 가져와 멀티캐스트로 두 블록에 씁니다. 최적화 변형은 그런 클러스터로 실행하는 CUTLASS 커널입니다.",
        },
        variants={
            "baseline": {"en": "CUTLASS, every block reads for itself", "ko": "CUTLASS, 블록마다 따로 읽기"},
            "own": {"en": "Our own kernel, clusters of two", "ko": "자체 커널, 블록 두 개의 클러스터"},
            "optimized": {"en": "CUTLASS, clusters of two", "ko": "CUTLASS, 블록 두 개의 클러스터"},
        },
        claims=(
            "speedup >= 0.95",
            "speedup <= 1.1",
            # rungs of the ladder were 0.97 to 1.02 of cuBLAS, CUTLASS's cooperative kernel 1.02 (H200, 2026-11-30)
            "speedup(own, optimized) >= 0.92",
            "speedup(own, optimized) <= 1.12",
            "baseline.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            "baseline.hgmma_flops == 1.099511627776 TFLOP",
            "optimized.hgmma_flops == 1.099511627776 TFLOP",
            # by formula 2·8192³·2·(1/128 + 1/256) B filled, of it B's share of two thirds by multicast
            "baseline.multicast_bytes == 0 GB",
            "own.multicast_bytes >= 8.5 GB",
            "optimized.multicast_bytes >= 8.5 GB",
            "optimized.multicast_bytes <= 8.7 GB",
            "baseline.tma_bytes <= 13.2 GB",
            "optimized.tma_bytes <= 13.2 GB",
            "optimized.tensor_active >= 0.8",
        ),
        sizes={"default": FULL, "h200": FULL, "small": SMALL},
        tolerance=TOLERANCE,
        bitwise=False,  # orders of sums differ
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0"),
    ),
    build=product({"baseline": cutlass("single"), "own": rung("06_multicast"), "optimized": cutlass("cooperative")}),
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
