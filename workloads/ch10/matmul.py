"""A matrix product in fp32, in TF32, in bf16 by cuBLAS, and in bf16 by the last rung of the ladder of docs/gemm.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.gemm import ladder
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes
from .products import FULL, SMALL, TOLERANCE, cublas, rung

if TYPE_CHECKING:
    from torch import Tensor

_CEILINGS = {"baseline": "fp32", "tf32": "tf32", "bf16": "bf16", "optimized": "bf16"}
_ELEMENT = {"fp32": 4, "tf32": 4, "bf16": 2}
"""Bytes of an operand's element; TF32 products read fp32."""
_LADDER = rung(ladder.NAMES[-1])


class Formats:
    """y = a·bᵀ for a [m, k] and b [n, k] in fp32, on one stream; beside them lie the operands rounded to bf16."""

    def __init__(self, device: Device, sizes: Sizes) -> None:
        import torch

        self._device, self._stream = device, device.stream()
        m, n, k = sizes["m"], sizes["n"], sizes["k"]
        self._wide, self._narrow = (
            [torch.empty(shape, dtype=kind, device=device.kind) for shape in ((m, k), (n, k), (m, n))]
            for kind in (torch.float32, torch.bfloat16)
        )
        self._last = self._wide

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """[m, n] on the device, in the format of the variant that ran last."""
        return self._last[2]

    def inputs(self, seed: int) -> None:
        """b is scaled by 1/sqrt(k), so that the sums are N(0, 1) too. fp32 keeps all its digits: numbers that bf16 can hold made
        TF32 products 5 % faster on an H200 (2026-11-30), as zeros would."""
        for number, (wide, narrow) in enumerate(zip(self._wide[:2], self._narrow[:2], strict=True)):
            wide.copy_(self._device.normal(wide.numel(), seed + 1_000_003 * number).view(wide.shape))
            narrow.copy_(wide.mul_(1.0 if number == 0 else wide.shape[1] ** -0.5))

    def poison(self) -> None:
        for tensors in (self._wide, self._narrow):
            tensors[2].fill_(float("nan"))

    def run(self, variant: str) -> None:
        self._last = self._narrow if variant in ("bf16", "optimized") else self._wide
        multiply = _LADDER if variant == "optimized" else cublas
        with self._device.on(self._stream), _tf32(variant == "tf32"):
            multiply(*self._last)

    def reference(self) -> Tensor:
        return ladder.reference(self._wide[0], self._wide[1])

    def exact(self) -> None:
        return None


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Inside it, fp32 products may use TF32 or not."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def declared(sizes: Sizes, variant: str) -> Declared:
    """The same operations in every format; operands and result once each."""
    m, n, k = sizes["m"], sizes["n"], sizes["k"]
    ceiling = _CEILINGS[variant]
    return Declared(2 * m * n * k, _ELEMENT[ceiling] * (m * k + n * k + m * n), ceiling)


PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="matmul",
        topic={"en": "From fp32 to tensor cores in bf16", "ko": "fp32에서 bf16 텐서 코어까지"},
        title={
            "en": "A matrix product in fp32, TF32 and bf16, and by a kernel of our own",
            "ko": "fp32, TF32, bf16 행렬 곱과 직접 작성한 커널",
        },
        sentence={
            "en": "On tensor cores in bf16 the same matrix product finishes {speedup} than in fp32.",
            "ko": "bf16 텐서 코어를 쓰면 같은 행렬 곱을 fp32보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant computes the same product of two 8192 x 8192 matrices (1.1 TFLOP). The first two steps change the "
            "format: cuBLAS in fp32 with TF32 switched off, then in TF32 on tensor cores, then with operands and result rounded "
            "to bf16 and sums in fp32. What they gain is the format's and is bought with digits. The last step keeps the format "
            "and replaces cuBLAS by our own kernel for Hopper, wgmma fed by the copy engine: it must lose nothing.",
            "ko": "모든 변형은 8192 x 8192 행렬 두 개의 같은 곱(1.1 TFLOP)을 계산합니다. 처음 두 단계는 형식을 바꿉니다. TF32를 끈 fp32 cuBLAS, "
            "텐서 코어의 TF32, 그리고 피연산자와 결과를 bf16으로 반올림하고 합은 fp32인 곱입니다. 이 이득은 형식에서 오며 유효 숫자를 대가로 치릅니다. "
            "마지막 단계는 형식을 그대로 두고 cuBLAS를 복사 엔진이 데이터를 공급하는 wgmma 기반의 Hopper용 자체 커널로 바꾸며, 잃는 것이 없어야 합니다.",
        },
        variants={
            "baseline": {"en": "cuBLAS in fp32, no tensor cores", "ko": "fp32 cuBLAS, 텐서 코어 없음"},
            "tf32": {"en": "cuBLAS in TF32 on tensor cores", "ko": "텐서 코어의 TF32 cuBLAS"},
            "bf16": {"en": "cuBLAS in bf16, sums in fp32", "ko": "bf16 cuBLAS, 합은 fp32"},
            "optimized": {"en": "Our own kernel in bf16 (wgmma, TMA)", "ko": "bf16 자체 커널 (wgmma, TMA)"},
        },
        claims=(
            # an H200 gave 21.7 ms, 2.49, 1.36 and 1.35 (2026-11-30)
            "speedup >= 8",
            "speedup(baseline, tf32) >= 4",
            "speedup(tf32, bf16) >= 1.4",
            # within cuBLAS' own spread, on both cards
            "speedup(bf16, optimized) >= 0.9",
            "baseline.kernels_per_iteration == 1",
            "tf32.kernels_per_iteration == 1",
            "bf16.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            "baseline.tensor_active <= 0.01",
            "optimized.hgmma_flops == 1.099511627776 TFLOP",
            "optimized.tensor_active >= 0.8",
        ),
        sizes={"default": FULL, "h200": FULL, "small": SMALL},
        tolerance=TOLERANCE,  # rounding both operands and the result to bf16 leaves 2.9e-3
        bitwise=False,  # formats and orders of sums differ
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=9.0"),
    ),
    build=Formats,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
