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
            "en": "Pairs of blocks that share what they read gain nothing here: CUTLASS's kernel finishes the same product {speedup} "
            "than by blocks that do not.",
            "ko": "읽은 것을 공유하는 블록 쌍은 여기서 이득이 없습니다. 공유하든 아니든 CUTLASS 커널은 같은 행렬 곱을 {speedup} 끝냅니다.",
        },
        compares={
            "en": "This is the Hopper analogue, with wgmma in place of tcgen05, of which this GPU has none: there one multiprocessor is "
            "held against two that multiply together, here one block against a cluster of two. Every variant computes the same bf16 "
            "product (1.1 TFLOP) in tiles of 128 x 256 by a producer group and two consumer groups in persistent blocks. The baseline is "
            "CUTLASS's cooperative kernel, in which every block reads for itself; the optimized variant is the same in clusters of two, "
            "which fetch B once and write it into both by multicast. Beyond stands our own kernel of such clusters, the last rung of "
            "kernels/gemm, which stores behind the next tile.",
            "ko": "이것은 Hopper 대응으로, 이 GPU에 없는 tcgen05 대신 wgmma를 씁니다. tcgen05에서는 멀티프로세서 하나와 함께 곱하는 둘을 견주고, 여기서는 블록 "
            "하나와 두 개짜리 클러스터를 견줍니다. 모든 변형은 생산자 그룹 하나와 소비자 그룹 둘을 둔 지속형 블록과 128 x 256 타일로 같은 bf16 곱(1.1 "
            "TFLOP)을 계산합니다. 기준 변형은 블록마다 따로 읽는 CUTLASS의 협력 커널이고, 최적화 변형은 B를 한 번 가져와 멀티캐스트로 두 블록에 "
            "쓰는 두 개짜리 클러스터로 실행하는 같은 커널입니다. 그 뒤에는 그런 클러스터를 쓰는 자체 커널, 곧 다음 타일을 계산하는 동안 저장하는 "
            "kernels/gemm의 마지막 단을 놓습니다.",
        },
        variants={
            "baseline": {"en": "CUTLASS, every block reads for itself", "ko": "CUTLASS, 블록마다 따로 읽기"},
            "optimized": {"en": "CUTLASS, clusters of two", "ko": "CUTLASS, 블록 두 개의 클러스터"},
            "own": {"en": "Our own kernel, clusters of two", "ko": "자체 커널, 블록 두 개의 클러스터"},
        },
        claims=(
            # an H200 gave 1.00 (2026-11-30): tensor cores are busy either way
            "speedup >= 0.97",
            "speedup <= 1.04",
            # the last rung of the ladder was 1.02 of cuBLAS, CUTLASS's cooperative kernel 1.01 to 1.03 (H200, 2026-11-30)
            "speedup(optimized, own) >= 0.92",
            "speedup(optimized, own) <= 1.1",
            "baseline.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            "own.kernels_per_iteration == 1",
            "baseline.hgmma_flops == 1.099511627776 TFLOP",
            "optimized.hgmma_flops == 1.099511627776 TFLOP",
            "own.hgmma_flops == 1.099511627776 TFLOP",
            # by formula 2·8192³·2·(1/128 + 1/256) B filled, of it B's share of two thirds by multicast
            "baseline.multicast_bytes == 0 GB",
            "own.multicast_bytes >= 8.5 GB",
            "optimized.multicast_bytes >= 8.5 GB",
            "optimized.multicast_bytes <= 8.7 GB",
            "baseline.tma_bytes <= 13.2 GB",
            "optimized.tma_bytes <= 13.2 GB",
            "baseline.tensor_active >= 0.8",
            "optimized.tensor_active >= 0.8",
        ),
        sizes={"default": FULL, "h200": FULL, "small": SMALL},
        tolerance=TOLERANCE,
        bitwise=False,  # orders of sums differ
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0"),
    ),
    build=product({"baseline": cutlass("single"), "optimized": cutlass("cooperative"), "own": rung("07_tma_store")}),
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
