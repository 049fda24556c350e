"""An elementwise formula over a large array: strided, in fresh temporaries, operation by operation, and what each of these costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration, Phase
from ...kernels.driver.temporaries import Arena, FreshMemory
from ...kernels.elementwise import cubic_passes
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor

_MI = 1 << 20


class CubicOverArray:
    """u = x·(1 + a·x²) over `mi` Mi fp32 elements in device memory, on one stream.

    Until the last step the formula is four passes, each into a temporary as large as x but the last. These are allocated
    from the driver and freed to it as PyTorch does with its caching allocator off, or come from an arena of two.
    """

    def __init__(self, device: Device, sizes: Sizes) -> None:
        n = sizes["mi"] * _MI
        self._device, self._stream = device, device.stream()
        self._in, self._out = device.empty(n), device.empty(n)
        self._fresh, self._arena = FreshMemory(n, device.kind), Arena(n, device.kind, 2)

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
        for buffer in (self._out, *self._arena.arrays):
            buffer.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            if variant == "baseline":
                cubic_passes.in_passes(self._in, self._out, self._fresh, "strided")
            elif variant == "coalesced":
                cubic_passes.in_passes(self._in, self._out, self._fresh, "coalesced")
            elif variant == "arena":
                cubic_passes.in_passes(self._in, self._out, self._arena, "coalesced")
            else:
                cubic_passes.fused(self._in, self._out)

    def reference(self) -> Tensor:
        return cubic_passes.reference(self._in)

    def exact(self) -> Tensor:
        """The same four operations by PyTorch."""
        out = self._in.new_empty(self._in.shape)
        cubic_passes.in_torch(self._in, out)
        return out


def declared(sizes: Sizes, variant: str) -> Declared:
    n = sizes["mi"] * _MI
    return Declared(cubic_passes.declared_flops(n), cubic_passes.declared_bytes(n, variant == "optimized"))


def phases(sizes: Sizes, variant: str) -> tuple[Phase, ...]:
    """Memory alone, as declared; what strided access moves beyond it is not needed."""
    return (Phase(dram=declared(sizes, variant).bytes),)


_FULL = {"mi": 512}

PAIR = Pair(
    Declaration(
        chapter="ch20",
        name="memory_standard",
        topic={
            "en": "Access, allocation and passes over memory",
            "ko": "메모리 접근 방식, 할당, 통과 횟수",
        },
        title={
            "en": "One coalesced pass without allocation",
            "ko": "할당 없이 병합 접근으로 한 번만 통과하기",
        },
        sentence={
            "en": "With coalesced access, a kept arena and one pass, the same formula over 2 GiB ends {speedup}.",
            "ko": "병합 접근, 재사용하는 아레나, 한 번의 통과로 2 GiB에 대한 같은 수식이 {speedup} 끝납니다.",
        },
        compares={
            "en": "Every variant computes x(1 + ax²) of the same 2 GiB of fp32, with the same bits. The steps change one thing "
            "each: which elements a thread handles, where the three temporaries come from, and whether there are any.",
            "ko": "모든 변형은 같은 2 GiB의 fp32에 대해 x(1 + ax²)를 계산하며 결과는 비트까지 같습니다. 단계마다 한 가지만 바꿉니다. "
            "스레드가 맡는 원소, 임시 배열 세 개의 출처, 그리고 임시 배열의 유무입니다.",
        },
        variants={
            "baseline": {
                "en": "Four passes, eight neighbours a thread, temporaries from cuMemAlloc",
                "ko": "네 번 통과, 스레드마다 이웃한 원소 여덟 개, cuMemAlloc 임시 배열",
            },
            "coalesced": {
                "en": "Neighbouring lanes on neighbouring elements",
                "ko": "이웃한 레인이 이웃한 원소를 접근",
            },
            "arena": {"en": "Temporaries from an arena", "ko": "아레나의 임시 배열"},
            "optimized": {"en": "One pass, 16 bytes a load", "ko": "한 번 통과, 16바이트 단위로 읽기"},
        },
        claims=(
            # By traffic 4.5 ms for the four passes (19.3 GB) and 1.0 ms for one (4.3 GB). An H200 gave 18.6, 9.6, 5.1 and 1.2 ms,
            # untraced (2026-11-21): allocating 2 GiB and freeing it takes 1.5 ms, three times, and varies: 9.6 and
            # 6.9 ms for the second variant in two captures.
            "speedup >= 10",
            "speedup(baseline, coalesced) >= 1.5",
            "speedup(coalesced, arena) >= 1.2",
            "speedup(arena, optimized) >= 3.8",
            "baseline.calls(cuMemAlloc*) == 3",
            "coalesced.calls(cuMemAlloc*) == 3",
            "coalesced.calls(cuMemFree*) == 3",
            "arena.calls(cuMemAlloc*) == 0",
            "arena.calls(cuMemFree*) == 0",
            "optimized.calls(cuMemAlloc*) == 0",
            "arena.idle <= 100us",
            "baseline.kernels_per_iteration == 4",
            "arena.kernels_per_iteration == 4",
            "optimized.kernels_per_iteration == 1",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"mi": 1}},
        tolerance=1e-6,  # four roundings leave 1e-7
        bitwise=True,
        perturbation_band=0.05,
        queued=False,  # allocation is a subject, and cuMemFree waits for the device
        needs=("cuda",),
    ),
    build=CubicOverArray,
    declared=declared,
    phases=phases,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
