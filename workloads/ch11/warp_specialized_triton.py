"""One matrix product in Triton with its loop plain, asked to specialize warps where Triton ignores that, and where it does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.warp_specialized_matmul import Compiled, matmul, reference
from ..annotate import Notes, open_notes
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes
from .buffers import fill_normal, on_device

if TYPE_CHECKING:
    from torch import Tensor

_BF16_BYTES = 2
_FORMS = {"baseline": "plain", "asked": "asked", "optimized": "specialized"}
"""Variant -> the kernel's form."""


class SpecializedProduct:
    """y = x·Wᵀ for x [m, k] and W [n, k] in bf16, on one stream.

    Set-up compiles every form and compares the machine code with the baseline's; the range around each launch tells what was
    found, so a trace shows what Triton made of the request and not only that it was made.
    """

    def __init__(self, device: Device, sizes: Sizes, notes: Notes | None = None) -> None:
        self._device, self._notes, self._stream = device, notes or open_notes(), device.stream()
        m, n, k = sizes["m"], sizes["n"], sizes["k"]
        self._x, self._w, self._y = (on_device(device, *shape) for shape in ((m, k), (n, k), (m, n)))
        self._found = found({variant: self._launch(variant) for variant in _FORMS})

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """bf16 [m, n] on the device."""
        return self._y

    def inputs(self, seed: int) -> None:
        """W is scaled by 1/sqrt(k), so that the products are N(0, 1) too."""
        fill_normal(self._device, (self._x,), seed)
        fill_normal(self._device, (self._w,), seed + 7, self._w.shape[1] ** -0.5)

    def poison(self) -> None:
        self._y.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._notes.range(f"stage:{self._found[variant]}", "stage"):
            self._launch(variant)

    def _launch(self, variant: str) -> Compiled | None:
        with self._device.on(self._stream):
            return matmul(self._x, self._w, self._y, _FORMS[variant])

    def reference(self) -> Tensor:
        return reference(self._x, self._w)

    def exact(self) -> None:
        return None


def found(compiled: Mapping[str, Compiled | None]) -> dict[str, str]:
    """For every variant what Triton made of it, against the baseline; "nothing compiled" on a CPU."""
    plain = compiled["baseline"]
    told = {}
    for variant, made in compiled.items():
        if made is None or plain is None:
            told[variant] = "nothing compiled"
        elif variant == "baseline":
            told[variant] = f"{made.warps} warps"
        else:
            told[variant] = f"{made.warps} warps {'same' if made.sha256 == plain.sha256 else 'other'} machine code"
    return told


def declared(sizes: Sizes, variant: str) -> Declared:
    """Alike for all: who loads does not change what must be computed and moved."""
    m, n, k = sizes["m"], sizes["n"], sizes["k"]
    return Declared(2 * m * n * k, _BF16_BYTES * (m * k + n * k + m * n))


_FULL = {"m": 8192, "n": 8192, "k": 8192}

PAIR = Pair(
    Declaration(
        chapter="ch11",
        name="warp_specialized_triton",
        topic={"en": "What Triton makes of warp specialization", "ko": "Triton이 워프 특화를 실제로 컴파일하는지"},
        title={
            "en": "Warp specialization in Triton: asked for, and compiled",
            "ko": "Triton의 워프 특화: 요청한 것과 컴파일된 것",
        },
        sentence={
            "en": "With warps that Triton really specializes the same matrix product finishes {speedup}.",
            "ko": "Triton이 실제로 특화한 워프로는 같은 행렬 곱을 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant computes the same bf16 product (1.1 TFLOP) with the same Triton kernel, tiles and stages. The "
            "baseline has eight warps and a plain loop. The step differs in the flag alone, tl.range(warp_specialize=True): "
            "for Hopper, Triton 3.6 then makes the very same machine code. The optimized variant asks with four warps: now "
            "Triton adds eight, lets one group load and two compute. Set-up compares the machine code, and the range around "
            "each launch says what was found. On Blackwell the step is specialized too, and its claims do not hold.",
            "ko": "모든 변형은 같은 Triton 커널, 타일, 스테이지로 같은 bf16 곱(1.1 TFLOP)을 계산합니다. 기준 변형은 워프 여덟 개와 일반 루프입니다. "
            "중간 단계는 tl.range(warp_specialize=True) 플래그만 다릅니다. 이때 Triton 3.6은 Hopper용으로 완전히 같은 기계어를 만듭니다. 최적화 "
            "변형은 워프 네 개로 요청합니다. 그러면 Triton이 여덟 개를 더해 한 그룹은 읽고 두 그룹은 계산합니다. 준비 단계에서 기계어를 비교하고, 실행 "
            "구간의 이름이 그 결과를 알려 줍니다. Blackwell에서는 중간 단계도 특화되므로 그 주장은 성립하지 않습니다.",
        },
        variants={
            "baseline": {"en": "Eight warps, plain loop", "ko": "워프 여덟 개, 일반 루프"},
            "asked": {
                "en": "Eight warps, specialization asked for: on Hopper the same machine code",
                "ko": "워프 여덟 개, 특화 요청: Hopper에서는 같은 기계어",
            },
            "optimized": {
                "en": "Four warps, specialization asked for: twelve warps, one group loads, two compute",
                "ko": "워프 네 개, 특화 요청: 워프 열두 개, 한 그룹은 읽고 두 그룹은 계산",
            },
        },
        claims=(
            # one machine code, so one speed: the flag alone changes nothing on Hopper
            "speedup(baseline, asked) >= 0.97",
            "speedup(baseline, asked) <= 1.03",
            # expected between 0.9 and 1.1: both are bound by the tensor cores (1.4 ms at 790 TFLOP/s). Loading costs the computing
            # warps nothing any more, but they wait for every step's product, where the plain loop keeps one in flight
            "speedup >= 0.90",
            "baseline.kernels_per_iteration == 1",
            "asked.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"m": 128, "n": 256, "k": 128}},
        tolerance=4e-3,  # rounding to bf16 leaves 1.7e-3
        bitwise=False,  # no exact run: cuBLAS may add in another order
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel; Triton's launcher in Python is not to count
        needs=("cuda", "triton", "cc>=9.0"),
    ),
    build=SpecializedProduct,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
