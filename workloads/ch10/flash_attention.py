"""Attention over long sequences without a mask: PyTorch's FlashAttention-2, cuDNN, and the last rung of docs/attention.md."""

from __future__ import annotations

from ...declaration import Declaration
from ..pair import Declared, Pair, Sizes
from . import attentions
from .attentions import TOLERANCE, attention, pinned, rung


def declared(sizes: Sizes, variant: str) -> Declared:
    """Alike for all: scores stay on the chip."""
    return attentions.declared(sizes)


_FULL = {"batch": 4, "heads": 16, "seq": 8192, "dim": 128}

PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="flash_attention",
        topic={"en": "Long attention on Hopper's own instructions", "ko": "Hopper 전용 명령으로 계산하는 긴 어텐션"},
        title={
            "en": "FlashAttention-2 against cuDNN and a kernel of our own, 8192 tokens",
            "ko": "FlashAttention-2와 cuDNN, 자체 커널의 비교 (토큰 8192개)",
        },
        sentence={
            "en": "With wgmma, fed by the copy engine, the same attention finishes {speedup} than by FlashAttention-2.",
            "ko": "복사 엔진이 데이터를 공급하는 wgmma를 쓰면 같은 어텐션을 FlashAttention-2보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant computes the same attention without a mask: 4 sequences of 8192 tokens, 16 heads of 128, bf16 "
            "(2.2 TFLOP), in one kernel that keeps scores on the chip. The baseline is the FlashAttention-2 that PyTorch's "
            "scaled_dot_product_attention has, written for Ampere: mma.sync on fragments in registers. The first step is its cuDNN "
            "path, on Hopper's wgmma. The last replaces cuDNN by our own kernel: a ring of copies by TMA, a producer and two consumer "
            "groups, one's exponentials under the other's products. It must lose next to nothing.",
            "ko": "모든 변형은 마스크 없는 같은 어텐션을 계산합니다. 토큰 8192개 시퀀스 4개, 128 크기 헤드 16개, bf16(2.2 TFLOP)이며, 점수를 칩 안에 두는 커널 "
            "하나로 처리합니다. 기준 변형은 PyTorch scaled_dot_product_attention의 FlashAttention-2로, Ampere용으로 작성되어 레지스터 프래그먼트에 "
            "mma.sync를 씁니다. 첫 단계는 Hopper의 wgmma를 쓰는 cuDNN 경로입니다. 마지막 단계는 cuDNN을 자체 커널로 바꿉니다. TMA 복사 링, 생산자 하나와 "
            "소비자 그룹 둘을 쓰고, 한 그룹의 지수 계산을 다른 그룹의 곱 아래에 숨깁니다. 잃는 것이 거의 없어야 합니다.",
        },
        variants={
            "baseline": {"en": "PyTorch's FlashAttention-2 (mma.sync)", "ko": "PyTorch의 FlashAttention-2 (mma.sync)"},
            "cudnn": {"en": "PyTorch's cuDNN path (wgmma)", "ko": "PyTorch의 cuDNN 경로 (wgmma)"},
            "optimized": {"en": "Our own kernel (wgmma, TMA, ping-pong)", "ko": "자체 커널 (wgmma, TMA, 핑퐁)"},
        },
        claims=(
            # an H200 gave 2.07 and 1.005 of cuDNN, with cuDNN 1.92 of FlashAttention-2 (2026-11-30); public figures of H100s are
            # 350 to 400 TFLOP/s by FlashAttention-2, 570 to 740 by kernels of this design
            "speedup >= 1.5",
            "speedup(baseline, cudnn) >= 1.4",
            "speedup(cudnn, optimized) >= 0.95",
            "baseline.kernels_per_iteration == 1",
            "cudnn.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            # the whole product on the older instruction, and on the newer one
            "baseline.hmma_flops == 2.199023255552 TFLOP",
            "baseline.hgmma_flops == 0 TFLOP",
            # no less than the formula's, and at most what a last block of keys that is not full adds
            "optimized.hgmma_flops >= 2.199023255552 TFLOP",
            "optimized.hgmma_flops <= 1.02 * baseline.hmma_flops",
            "optimized.dram_bytes <= 0.8 GB",
            "optimized.tensor_active >= 0.65",
            "optimized.achieved_flops >= 0.7 * ceiling(bf16)",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"batch": 2, "heads": 2, "seq": 64, "dim": 64}},
        tolerance=TOLERANCE,
        bitwise=False,  # sums in another order
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0", "cc<10.0"),
    ),
    build=attention({"baseline": pinned("FLASH_ATTENTION"), "cudnn": pinned("CUDNN_ATTENTION"), "optimized": rung()}),
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
