"""Sixteen multiply-adds an element of a large array: as sixteen passes over memory, and as one, by the compiler and by hand."""

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
        with self._device.on(self._stream):
            _CHAINS[variant](self._in, self._out, FACTOR, SHIFT, self._steps)

    def reference(self) -> Tensor:
        return affine_chain.reference(self._in, FACTOR, SHIFT, self._steps)

    def exact(self) -> Tensor:
        """The same multiply-adds, step by step, by PyTorch."""
        out = self._in.new_empty(self._in.shape)
        affine_chain.eager(self._in, out, FACTOR, SHIFT, self._steps)
        return out


_CHAINS = {"baseline": affine_chain.eager, "compiled": affine_chain.compiled, "optimized": affine_chain.fused}


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
        title={
            "en": "One pass over memory against sixteen, by the compiler as by hand",
            "ko": "메모리를 한 번 지나기와 열여섯 번 지나기의 비교: 컴파일러로도, 손으로도",
        },
        sentence={
            "en": "One kernel that keeps each element in a register finishes the same arithmetic {speedup} than sixteen; "
            "torch.compile writes as fast a one.",
            "ko": "원소를 레지스터에 유지하는 커널 하나는 같은 연산을 커널 열여섯 개보다 {speedup} 끝내며, torch.compile도 그만큼 빠른 커널을 "
            "만듭니다.",
        },
        compares={
            "en": "Every variant applies the same sixteen fused multiply-adds to the same 2 GiB of fp32, and all agree bit for bit. "
            "The baseline reads and writes the whole array for each of them (68.7 GB), the others once (4.3 GB). torch.compile "
            "makes one Triton kernel of the sixteen operators; the CUDA kernel written by hand is there to be held against it. "
            "The gain is the fusion's: who wrote the kernel changes little.",
            "ko": "모든 변형은 같은 2 GiB의 fp32 배열에 같은 융합 곱셈-덧셈(FMA)을 열여섯 번 적용하며 결과는 비트까지 같습니다. "
            "기준 변형은 연산마다 배열 전체를 읽고 쓰고(68.7 GB), 나머지는 한 번만 읽고 씁니다(4.3 GB). torch.compile은 연산 열여섯 개를 "
            "Triton 커널 하나로 만들며, 손으로 쓴 CUDA 커널은 이것과 견주기 위해 있습니다. 이득은 융합에서 오고, 커널을 누가 썼는지는 "
            "거의 영향을 주지 않습니다.",
        },
        variants={
            "baseline": {
                "en": "Sixteen PyTorch operators, a pass each",
                "ko": "PyTorch 연산 열여섯 개, 연산마다 한 번씩 통과",
            },
            "compiled": {
                "en": "The same operators by torch.compile: one Triton kernel, one pass",
                "ko": "같은 연산을 torch.compile로: Triton 커널 하나, 한 번만 통과",
            },
            "optimized": {
                "en": "One CUDA kernel written by hand, one pass",
                "ko": "손으로 쓴 CUDA 커널 하나, 한 번만 통과",
            },
        },
        claims=(
            # by traffic 16, on any GPU whose L2 cache is small beside 2 GiB; an H200 gave 15.9 (2026-11-21)
            "speedup >= 15",
            # nine tenths of it, as nobody tunes what the compiler writes
            "speedup(baseline, compiled) >= 14.4",
            # the same bytes: only how near each comes to the memory's rate can differ
            "speedup(compiled, optimized) >= 0.9",
            "speedup(compiled, optimized) <= 1.1",
            "baseline.kernels_per_iteration == 16",
            "compiled.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            # 16 · 4.29 GB, of which an L2 cache of 126 MB, the largest there is, can spare its size twice a pass
            "baseline.dram_bytes >= 64 GB",
            # 4.29 GB and 2 %; counted on an H200 4.271 (2026-11-21)
            "compiled.dram_bytes <= 4.38 GB",
            "optimized.dram_bytes <= 4.38 GB",
            # by formula 0.25 and 4, with the same room
            "baseline.arithmetic_intensity <= 0.27 FLOP/B",
            "optimized.arithmetic_intensity >= 3.9 FLOP/B",
            # The roof is the rate of reading, and as much is written here: a copy reaches 95 % of it on an H200, of which nine tenths.
            # Two H200s gave 95.1 and 92.9 % (2026-11-21)
            "optimized.of_roofline >= 0.86",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"mi": 1, "steps": 16}},
        # sixteen roundings, each of which the later ones carry on nearly whole, leave 1e-7
        tolerance=1e-6,
        bitwise=True,
        perturbation_band=0.05,
        queued=True,  # the subject is traffic: the host's sixteen launches are not to count, though they take little of 16 ms
        needs=("cuda", "triton"),
    ),
    build=AffinePasses,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
