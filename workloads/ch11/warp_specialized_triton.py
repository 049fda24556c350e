"""One matrix product in Triton with a plain loop, and with one that asks for warp specialization: what was really compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.gemm.warp_specialized_matmul import Compiled, instructions, matmul, reference
from ..annotate import Notes, open_notes
from ..device import Device, Stream
from ..pair import Declared, MachineCode, Pair, Sizes
from .buffers import fill_normal, on_device

if TYPE_CHECKING:
    from torch import Tensor

_BF16_BYTES = 2
_FORMS = {"baseline": "plain", "optimized": "asked"}
"""Variant -> the kernel's form."""


class SpecializedProduct:
    """y = x·Wᵀ for x [m, k] and W [n, k] in bf16, on one stream.

    Set-up compiles every form and compares the machine code with the baseline's; the range around each launch tells what was
    found, so a trace shows what Triton made of the request and not only that it was made. The capture's manifest holds the
    code's instructions (`code`).
    """

    def __init__(self, device: Device, sizes: Sizes, notes: Notes | None = None) -> None:
        self._device, self._notes, self._stream = device, notes or open_notes(), device.stream()
        m, n, k = sizes["m"], sizes["n"], sizes["k"]
        self._x, self._w, self._y = (on_device(device, *shape) for shape in ((m, k), (n, k), (m, n)))
        self.compiled = {variant: self._launch(variant) for variant in _FORMS}
        self._found = found(self.compiled)

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
            told[variant] = f"{made.warps} warps {'same' if made.cubin == plain.cubin else 'other'} machine code"
    return told


def code(work: SpecializedProduct) -> dict[str, MachineCode]:
    """The machine code of every variant; none on a CPU.

    Raises:
        EnvironmentLacks, AispError: as `disassemble`.
    """
    from importlib.metadata import version

    return {
        variant: MachineCode(
            f"Triton {version('triton')}", made.warps, sha256(made.cubin).hexdigest(), instructions(made)
        )
        for variant, made in work.compiled.items()
        if made is not None
    }


def declared(sizes: Sizes, variant: str) -> Declared:
    """Alike for all: who loads does not change what must be computed and moved."""
    m, n, k = sizes["m"], sizes["n"], sizes["k"]
    return Declared(2 * m * n * k, _BF16_BYTES * (m * k + n * k + m * n), "bf16")


_FULL = {"m": 8192, "n": 8192, "k": 8192}

PAIR = Pair(
    Declaration(
        chapter="ch11",
        name="warp_specialized_triton",
        topic={"en": "What Triton makes of warp specialization", "ko": "Triton이 워프 특화를 실제로 컴파일하는지"},
        title={
            "en": "Warp specialization in Triton with eight warps: asked for, and not compiled",
            "ko": "워프 여덟 개일 때 Triton의 워프 특화: 요청했지만 컴파일되지 않음",
        },
        sentence={
            "en": "Asked to specialize eight warps, Triton compiles the same machine code for Hopper, and the product finishes {speedup}.",
            "ko": "워프 여덟 개의 특화를 요청해도 Triton은 Hopper용으로 같은 기계어를 만들어, 같은 행렬 곱을 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Both variants compute the same bf16 product (1.1 TFLOP) with the same Triton kernel, tiles, stages and eight "
            "warps. They differ in one flag, tl.range(warp_specialize=True): of it Triton 3.6.0 makes nothing for Hopper with eight "
            "warps. With four it adds eight more and gives them roles, but that kernel does not end on an H200, and 3.9.0 fails to "
            "compile it. The capture holds how often each instruction stands in either variant's machine code, and the hash of "
            "that code: that no instruction changed is a claim.",
            "ko": "두 변형은 같은 Triton 커널, 타일, 스테이지, 워프 여덟 개로 같은 bf16 곱(1.1 TFLOP)을 계산합니다. 다른 점은 "
            "tl.range(warp_specialize=True) 플래그 하나뿐이며, 워프가 여덟 개이면 Triton 3.6.0은 Hopper용 코드를 조금도 바꾸지 않습니다. 네 개이면 "
            "여덟 개를 더해 역할을 나누지만, 그 커널은 H200에서 끝나지 않고 3.9.0은 컴파일하지 못합니다. 캡처에는 두 변형의 기계어에 각 명령어가 "
            "몇 번 나오는지와 그 기계어의 해시가 들어 있으며, 달라진 명령어가 없다는 것도 주장의 하나입니다.",
        },
        variants={
            "baseline": {"en": "Eight warps, plain loop", "ko": "워프 여덟 개, 일반 루프"},
            "optimized": {
                "en": "Eight warps, specialization asked for",
                "ko": "워프 여덟 개, 특화 요청",
            },
        },
        claims=(
            "optimized.changed_instructions == 0",
            # one machine code, so one speed: the room is what clocks move by within a session (conduct.CLOCK_BAND)
            "speedup >= 0.95",
            "speedup <= 1.05",
            "baseline.kernels_per_iteration == 1",
            "optimized.kernels_per_iteration == 1",
            # and so it ran: as many operations of the tensor cores, as many bytes by the copy engine
            "optimized.hgmma_flops == baseline.hgmma_flops",
            "optimized.tma_bytes == baseline.tma_bytes",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"m": 128, "n": 256, "k": 128}},
        tolerance=4e-3,  # rounding to bf16 leaves 1.7e-3
        bitwise=False,  # no exact run: cuBLAS may add in another order
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel; Triton's launcher in Python is not to count
        needs=("cuda", "triton", "cc>=9.0", "cc<10.0"),  # for Blackwell eight warps are specialized too
    ),
    build=SpecializedProduct,
    declared=declared,
    code=code,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
