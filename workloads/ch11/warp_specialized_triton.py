"""One matrix product in Triton with a plain loop, and with one that asks for warp specialization: what was really compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.gemm.warp_specialized_matmul import Compiled, matmul, reference
from ..annotate import Notes, open_notes
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes
from .buffers import fill_normal, on_device

if TYPE_CHECKING:
    from torch import Tensor

_BF16_BYTES = 2
_FORMS = {"baseline": "plain", "optimized": "asked"}
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
            "en": "Warp specialization in Triton: asked for, and not compiled",
            "ko": "Triton의 워프 특화: 요청했지만 컴파일되지 않음",
        },
        sentence={
            "en": "Asked to specialize its warps, Triton's matrix product finishes {speedup}: on Hopper it compiles the same machine code.",
            "ko": "워프 특화를 요청해도 Triton은 Hopper용으로 같은 기계어를 만들어, 같은 행렬 곱을 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Both variants compute the same bf16 product (1.1 TFLOP) with the same Triton kernel, tiles, stages and eight "
            "warps. They differ in one flag, tl.range(warp_specialize=True): for Hopper, Triton 3.6 then makes the very same machine "
            "code. Set-up compares it, and the range around each launch says what was found. On Blackwell the loop is specialized, "
            "and the claims may not hold.",
            "ko": "두 변형은 같은 Triton 커널, 타일, 스테이지, 워프 여덟 개로 같은 bf16 곱(1.1 TFLOP)을 계산합니다. 다른 점은 "
            "tl.range(warp_specialize=True) 플래그 하나뿐이며, Triton 3.6은 Hopper용으로 완전히 같은 기계어를 만듭니다. 준비 단계에서 기계어를 "
            "비교하고, 실행 구간의 이름이 그 결과를 알려 줍니다. Blackwell에서는 루프가 특화되므로 주장이 성립하지 않을 수 있습니다.",
        },
        variants={
            "baseline": {"en": "Eight warps, plain loop", "ko": "워프 여덟 개, 일반 루프"},
            "optimized": {
                "en": "Eight warps, specialization asked for",
                "ko": "워프 여덟 개, 특화 요청",
            },
        },
        claims=(
            # one machine code, so one speed: the flag alone changes nothing on Hopper
            "speedup >= 0.97",
            "speedup <= 1.03",
            "baseline.kernels_per_iteration == 1",
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
