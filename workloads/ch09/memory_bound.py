"""Sixteen multiply-adds an element of a large array: as sixteen passes over memory, and as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.elementwise import affine_chain
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor

_MI = 1 << 20

# Exact in fp32. The factor is near 1, so that each output remains a function of its own input: the check against a
# reference then refuses permuted and stale outputs.
FACTOR, SHIFT = 0.984375, 0.125


class AffinePasses:
    """t <- t·a + b, `steps` times, over `mi` Mi fp32 elements in device memory, on one stream."""

    def __init__(self, device: Device, sizes: Sizes) -> None:
        self._device, self._steps = device, sizes["steps"]
        n = sizes["mi"] * _MI
        self._stream = device.stream()
        self._in, self._out = device.empty(n), device.empty(n)

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """The n fp32 elements on the device."""
        return self._out

    def inputs(self, seed: int) -> None:
        self._in.copy_(self._device.normal(self._in.numel(), seed))

    def poison(self) -> None:
        self._out.fill_(float("nan"))

    def run(self, variant: str) -> None:
        chain = affine_chain.eager if variant == "baseline" else affine_chain.fused
        with self._device.on(self._stream):
            chain(self._in, self._out, FACTOR, SHIFT, self._steps)

    def reference(self) -> Tensor:
        return affine_chain.reference(self._in, FACTOR, SHIFT, self._steps)

    def exact(self) -> Tensor:
        """The same multiply-adds, step by step, by PyTorch."""
        out = self._in.new_empty(self._in.shape)
        affine_chain.eager(self._in, out, FACTOR, SHIFT, self._steps)
        return out


def declared(sizes: Sizes, variant: str) -> Declared:
    n, steps = sizes["mi"] * _MI, sizes["steps"]
    passes = steps if variant == "baseline" else 1
    return Declared(affine_chain.declared_flops(n, steps), affine_chain.declared_bytes(n, passes), "fp32")


_FULL = {"mi": 512, "steps": 16}

PAIR = Pair(
    Declaration(
        chapter="ch09",
        name="memory_bound",
        topic={"en": "Raising arithmetic intensity by fusion", "ko": "융합으로 산술 강도 높이기"},
        title={"en": "One pass over memory against sixteen", "ko": "메모리를 한 번 지나기와 열여섯 번 지나기의 비교"},
        sentence={
            "en": "One kernel that keeps each element in a register finishes the same arithmetic {speedup} than sixteen.",
            "ko": "원소를 레지스터에 유지하는 커널 하나는 같은 연산을 커널 열여섯 개보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Both variants apply the same sixteen fused multiply-adds to the same 2 GiB of fp32 and agree bit for bit. "
            "The baseline reads and writes the whole array for each of them (68.7 GB), the optimized variant once (4.3 GB).",
            "ko": "두 변형은 같은 2 GiB의 fp32 배열에 같은 융합 곱셈-덧셈(FMA)을 열여섯 번 적용하며 결과는 비트까지 같습니다. "
            "기준 변형은 연산마다 배열 전체를 읽고 쓰고(68.7 GB), 최적화 변형은 한 번만 읽고 씁니다(4.3 GB).",
        },
        variants={
            "baseline": {
                "en": "Sixteen PyTorch operators, a pass each",
                "ko": "PyTorch 연산 열여섯 개, 연산마다 한 번씩 통과",
            },
            "optimized": {"en": "One CUDA kernel, one pass", "ko": "CUDA 커널 하나, 한 번만 통과"},
        },
        claims=(
            "speedup >= 15",
            "baseline.kernels_per_iteration == 16",
            "optimized.kernels_per_iteration == 1",
            # counted on an H200 (2026-11-21): 68.30 and 4.271 GB, 0.252 and 4.15 FLOP/B, 95.1 % [94.0, 96.4] of the roof
            "baseline.dram_bytes >= 67.3 GB",
            "optimized.dram_bytes <= 4.38 GB",
            "baseline.arithmetic_intensity <= 0.26 FLOP/B",
            "optimized.arithmetic_intensity >= 4 FLOP/B",
            "optimized.of_roofline >= 0.92",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"mi": 1, "steps": 16}},
        # sixteen roundings, each of which the later ones carry on nearly whole, leave 1e-7
        tolerance=1e-6,
        bitwise=True,
        perturbation_band=0.05,
        queued=True,  # the subject is traffic: the host's sixteen launches are not to count, though they take little of 16 ms
        needs=("cuda",),
    ),
    build=AffinePasses,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
