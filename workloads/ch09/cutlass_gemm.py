"""One bf16 product by kernels of CUTLASS: Ampere's way, wgmma fed by threads, and by the copy engine; cuBLAS beside them."""

from __future__ import annotations

from ...declaration import Declaration
from ..ch10.products import FULL, SMALL, TOLERANCE, cublas, cutlass, declared, product
from ..pair import Pair

PAIR = Pair(
    Declaration(
        chapter="ch09",
        name="cutlass_gemm",
        topic={"en": "CUTLASS's kernels, by how operands come", "ko": "피연산자를 가져오는 방식에 따른 CUTLASS 커널"},
        title={
            "en": "CUTLASS from Ampere's multistage kernel to Hopper's copy engine",
            "ko": "Ampere의 다단계 커널에서 Hopper의 복사 엔진까지의 CUTLASS",
        },
        sentence={
            "en": "With wgmma, fed by the copy engine, CUTLASS's kernel finishes the same product {speedup} than its kernel for Ampere.",
            "ko": "wgmma를 쓰고 복사 엔진이 데이터를 공급하는 CUTLASS 커널은 같은 행렬 곱을 Ampere용 커널보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant computes the same bf16 product (1.1 TFLOP), sums in fp32, by a kernel that CUTLASS 4.2 makes of a few "
            "lines. The baseline is its kernel for Ampere, whole: mma.sync, four stages of cp.async, tiles of 256 x 128. The next has "
            "wgmma, and two warp groups that multiply what a third brings, but still by cp.async. In the last two the copy engine "
            "fills the ring, for clusters of two blocks that share what they read: in the ping-pong kernel each group has a tile of its "
            "own, of 128 x 128, so that one multiplies while the other stores; in the cooperative kernel both share a tile of 128 x 256, "
            "for which three quarters of the bytes are copied. Beyond them stands cuBLAS, as what to reach.",
            "ko": "모든 변형은 CUTLASS 4.2가 코드 몇 줄로 만드는 커널로 같은 bf16 곱(1.1 TFLOP, 합은 fp32)을 계산합니다. 기준 변형은 온전한 Ampere용 "
            "커널로 mma.sync, cp.async 4단계, 256 x 128 타일입니다. 다음 변형은 wgmma를 쓰고 워프 그룹 둘이 셋째 그룹이 가져온 것을 곱하지만, 가져오는 "
            "방식은 여전히 cp.async입니다. 마지막 둘에서는 복사 엔진이 링을 채우고 블록 두 개의 클러스터가 읽은 것을 공유합니다. 핑퐁 커널에서는 그룹마다 128 x 128 "
            "타일을 따로 가져 한쪽이 저장하는 동안 다른 쪽이 곱하고, 협력(cooperative) 커널에서는 두 그룹이 128 x 256 타일 하나를 나누어 복사하는 "
            "바이트가 4분의 3으로 줄어듭니다. 그 뒤에는 도달할 목표로 cuBLAS를 놓습니다.",
        },
        variants={
            "baseline": {"en": "For Ampere: mma.sync, cp.async in stages", "ko": "Ampere용: mma.sync, 다단계 cp.async"},
            "cp_async": {
                "en": "wgmma and roles, a group copies by cp.async",
                "ko": "wgmma와 역할 분담, 한 그룹이 cp.async로 복사",
            },
            "pingpong": {"en": "The copy engine, ping-pong groups", "ko": "복사 엔진, 핑퐁 그룹"},
            "optimized": {"en": "The copy engine, cooperative groups", "ko": "복사 엔진, 협력 그룹"},
            "cublas": {"en": "cuBLAS", "ko": "cuBLAS의 곱"},
        },
        claims=(
            # an H200 gave 0.63 of cuBLAS, 0.76, 0.97 and 1.01 (2026-11-30); a hot one 1.03 and 1.02 of the last two
            "speedup >= 1.4",
            "speedup(baseline, cp_async) >= 1.1",
            "speedup(cp_async, pingpong) >= 1.15",
            "speedup(pingpong, optimized) >= 0.95",
            "speedup(cublas, optimized) >= 0.97",
            "baseline.hmma_flops == 1.099511627776 TFLOP",
            "cp_async.hgmma_flops == 1.099511627776 TFLOP",
            "cp_async.tma_bytes == 0 GB",
            "optimized.hgmma_flops == 1.099511627776 TFLOP",
            # by formula tiles of 128 x 128 fill 17.18 GB, those of 128 x 256 fill 12.88, and of both 8.59 come by multicast
            "pingpong.tma_bytes >= 17 GB",
            "pingpong.multicast_bytes >= 8.5 GB",
            "optimized.tma_bytes >= 12.8 GB",
            "optimized.tma_bytes <= 13 GB",
            "optimized.multicast_bytes >= 8.5 GB",
            "optimized.multicast_bytes <= 8.7 GB",
            "optimized.tensor_active >= 0.85",
            "baseline.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
        ),
        sizes={"default": FULL, "h200": FULL, "small": SMALL},
        tolerance=TOLERANCE,
        bitwise=False,  # orders of sums differ
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0"),
    ),
    build=product(
        {
            "baseline": cutlass("multistage"),
            "cp_async": cutlass("cp_async"),
            "pingpong": cutlass("pingpong"),
            "optimized": cutlass("cooperative"),
            "cublas": cublas,
        }
    ),
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
