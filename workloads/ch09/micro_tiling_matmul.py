"""One fp32 matrix product without tensor cores: tiles in shared memory, tiles in registers, cuBLAS, and a ring of copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.gemm import fp32_tiles
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor

_WAYS: Mapping[str, str] = {"baseline": "shared_tiles", "registers": "register_tiles", "optimized": "ring"}


class Fp32Product:
    """c = aᵀ·b for a [k, m] and b [k, n] in fp32, on one stream."""

    def __init__(self, device: Device, sizes: Sizes) -> None:
        self._device, self._stream = device, device.stream()
        m, n, k = sizes["m"], sizes["n"], sizes["k"]
        self._a, self._b, self._c = (
            device.empty(rows * columns).view(rows, columns) for rows, columns in ((k, m), (k, n), (m, n))
        )

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """fp32 [m, n] on the device."""
        return self._c

    def inputs(self, seed: int) -> None:
        """b is scaled by 1/sqrt(k), so that the sums are N(0, 1) too."""
        for number, tensor in enumerate((self._a, self._b)):
            tensor.copy_(self._device.normal(tensor.numel(), seed + 1_000_003 * number).view(tensor.shape))
        self._b.mul_(self._b.shape[0] ** -0.5)

    def poison(self) -> None:
        self._c.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            self._multiply(variant)(self._a, self._b, self._c)

    def _multiply(self, variant: str) -> Callable[[Tensor, Tensor, Tensor], None]:
        """By cuBLAS, as on a CPU in any case."""
        if variant == "cublas" or self._device.kind == "cpu":
            return fp32_tiles.cublas
        return partial(fp32_tiles.matmul, way=_WAYS[variant])

    def reference(self) -> Tensor:
        return fp32_tiles.reference(self._a, self._b)

    def exact(self) -> None:
        return None


def declared(sizes: Sizes, variant: str) -> Declared:
    """Alike for all: how operands come does not change what must be computed and moved."""
    shape = sizes["m"], sizes["n"], sizes["k"]
    return Declared(fp32_tiles.declared_flops(*shape), fp32_tiles.declared_bytes(*shape), "fp32")


_FULL = {"m": 4096, "n": 4096, "k": 4096}

PAIR = Pair(
    Declaration(
        chapter="ch09",
        name="micro_tiling_matmul",
        topic={"en": "Reuse in shared memory and in registers", "ko": "공유 메모리와 레지스터에서의 재사용"},
        title={
            "en": "An fp32 product by tiles in shared memory, in registers, and with copies beside it",
            "ko": "공유 메모리 타일, 레지스터 타일, 복사를 겹친 fp32 행렬 곱",
        },
        sentence={
            "en": "With 64 and more sums in a thread's registers and asynchronous copies the same fp32 product finishes {speedup} "
            "than with one sum a thread.",
            "ko": "스레드 레지스터에 합을 64개 이상 두고 비동기 복사를 쓰면 같은 fp32 행렬 곱을 스레드마다 합이 하나일 때보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant computes the same product of 4096 x 4096 matrices in fp32 (0.14 TFLOP) by the same 68.7 billion fused "
            "multiply-adds; no tensor core works, and cuBLAS may not use TF32. The baseline has tiles of 32 x 32 in shared memory and "
            "an output a thread, so two reads of shared memory for each FMA. In registers a thread holds 8 x 8 sums: four reads of 16 "
            "bytes serve 64 FMAs. The optimized variant holds 16 x 8 sums, copies the next blocks of both operands meanwhile "
            "(cp.async, a ring of four stages), and reads the operands of the next step while the present one is multiplied. cuBLAS is held beside it.",
            "ko": "모든 변형은 4096 x 4096 행렬의 같은 fp32 곱(0.14 TFLOP)을 같은 융합 곱셈-덧셈 687억 번으로 계산합니다. 텐서 코어는 쓰지 않으며 "
            "cuBLAS도 TF32를 쓸 수 없습니다. 기준 변형은 공유 메모리에 32 x 32 타일을 두고 스레드마다 출력이 하나이므로 FMA마다 공유 메모리를 두 번 "
            "읽습니다. 레지스터 변형에서는 스레드가 8 x 8개의 합을 가지므로 16바이트 읽기 네 번으로 FMA 64번을 합니다. 최적화 변형은 합을 16 x 8개 가지고, 그동안 두 "
            "피연산자의 다음 블록을 비동기로 복사하며(cp.async, 네 단계 링), 지금 단계를 곱하는 동안 다음 단계의 피연산자를 읽습니다. cuBLAS를 "
            "나란히 놓아 견줍니다.",
        },
        variants={
            "baseline": {
                "en": "Tiles in shared memory, an output a thread",
                "ko": "공유 메모리 타일, 스레드마다 출력 하나",
            },
            "registers": {"en": "8 x 8 sums in a thread's registers", "ko": "스레드 레지스터에 합 8 x 8개"},
            "cublas": {"en": "cuBLAS in fp32, without TF32", "ko": "TF32를 쓰지 않는 fp32 cuBLAS"},
            "optimized": {
                "en": "16 x 8 sums a thread, a ring of cp.async",
                "ko": "스레드마다 합 16 x 8개, cp.async 링",
            },
        },
        claims=(
            # an H200 gave 7.2, of it 6.2 and 1.15, and 0.964 of cuBLAS (2026-11-30)
            "speedup >= 5",
            "speedup(baseline, registers) >= 4",
            "speedup(registers, optimized) >= 1.1",
            "speedup(registers, cublas) >= 1.1",
            "speedup(cublas, optimized) >= 0.95",
            "baseline.flops_agreement >= 0.995",
            "baseline.flops_agreement <= 1.005",
            "optimized.flops_agreement >= 0.995",
            "optimized.flops_agreement <= 1.005",
            "optimized.tensor_active <= 0.001",
            # 512 blocks of 8 warps bring 512 times 8 x (256 + 128) numbers, 16 bytes a thread
            "registers.cp_async_operations == 0",
            "optimized.cp_async_operations == 6291456",
            "optimized.bank_conflicts <= 0.02",
            "optimized.kernels_per_iteration == 1",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"m": 256, "n": 512, "k": 80}},
        # 4096 roundings of sums that grow as their root leave 2e-7
        tolerance=1e-5,
        bitwise=False,  # the order of the sums is each variant's own
        perturbation_band=0.05,
        queued=True,  # the subject is the kernel, not its launch
        needs=("cuda", "cc>=8.0"),
    ),
    build=Fp32Product,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
