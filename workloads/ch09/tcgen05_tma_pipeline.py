"""One stage of copy, wait, multiply against a ring of four, in the second and third rung of the GEMM ladder (docs/gemm.md)."""

from __future__ import annotations

from ...declaration import Declaration
from ..ch10.products import FULL, SMALL, TOLERANCE, declared, product, rung
from ..pair import Pair

PAIR = Pair(
    Declaration(
        chapter="ch09",
        name="tcgen05_tma_pipeline",
        topic={
            "en": "Copies that run ahead of the tensor cores",
            "ko": "텐서 코어보다 앞서 실행되는 복사",
        },
        title={
            "en": "A ring of four stages against one (Hopper's analogue of a tcgen05 pipeline)",
            "ko": "네 단계 링과 한 단계의 비교 (tcgen05 파이프라인의 Hopper 대응)",
        },
        sentence={
            "en": "With a ring of four stages the same product finishes {speedup} than with one.",
            "ko": "네 단계 링을 쓰면 같은 행렬 곱을 한 단계일 때보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "This is the Hopper analogue, with wgmma in place of tcgen05, of which this GPU has none. Both variants compute "
            "the same bf16 product (1.1 TFLOP) in tiles of 128 x 128, fed by the copy engine, in blocks of 128 threads. The baseline "
            "has one stage: copy, wait, multiply, wait; several blocks on a multiprocessor fill each other's gaps. The optimized "
            "variant has four stages, whose barriers let copies run ahead of the multiplication.",
            "ko": "이것은 Hopper 대응으로, 이 GPU에 없는 tcgen05 대신 wgmma를 씁니다. 두 변형은 복사 엔진이 공급하는 128 x 128 타일과 스레드 128개 "
            "블록으로 같은 bf16 곱(1.1 TFLOP)을 계산합니다. 기준 변형은 한 단계로 복사, 대기, 곱셈, 대기를 차례로 하며, 멀티프로세서의 여러 블록이 "
            "서로의 빈 시간을 메웁니다. 최적화 변형은 네 단계이며, 배리어 덕분에 복사가 곱셈보다 앞서 실행됩니다.",
        },
        variants={
            "baseline": {"en": "One stage: copy, wait, multiply", "ko": "한 단계: 복사, 대기, 곱셈"},
            "optimized": {"en": "A ring of four stages", "ko": "네 단계 링"},
        },
        claims=(
            # counted on a cool H200 (2026-11-30) 2.202 and 1.816 ms, tensor cores active for 51 and 71 %
            "speedup >= 1.1",
            "baseline.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            "baseline.hgmma_flops == 1.099511627776 TFLOP",
            "optimized.hgmma_flops == 1.099511627776 TFLOP",
            "baseline.tma_bytes >= 17 GB",
            "optimized.tma_bytes == baseline.tma_bytes",
            "baseline.tensor_active <= 0.6",
            "optimized.tensor_active >= 0.62",
        ),
        sizes={"default": FULL, "h200": FULL, "small": SMALL},
        tolerance=TOLERANCE,
        bitwise=False,  # no exact run: cuBLAS may add in another order
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0"),
    ),
    build=product({"baseline": rung("02_wgmma"), "optimized": rung("03_ring")}),
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
