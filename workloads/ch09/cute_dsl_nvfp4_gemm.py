"""Weights in NVFP4 where tensor cores know no FP4: widened in device memory, or in registers on the way (docs/nvfp4.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.nvfp4 import format as nvfp4
from ...kernels.nvfp4 import weights
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor

_SHAPES = 3
_LARGEST = nvfp4.LARGEST_CODE * nvfp4.LARGEST_SCALE


@dataclass(slots=True)
class Layer:
    """A weight as both variants take it, and where its product goes."""

    packed: nvfp4.Packed
    arranged: weights.Arranged | None
    y: Tensor


class Products:
    """y = x·Wᵀ for `sets` weights of each of three shapes, x bf16 [m, k] of each shape, on one stream."""

    def __init__(self, device: Device, sizes: Sizes) -> None:
        import torch

        self._device, self._stream = device, device.stream()
        self._m, self._sets, self._shapes = sizes["m"], sizes["sets"], list(shapes(sizes))
        outputs = self._sets * self._m * sum(n for n, _ in self._shapes)
        self.output = torch.empty(outputs, dtype=torch.bfloat16, device=device.kind)
        self._x, self._wide = (
            [torch.empty(rows, k, dtype=torch.bfloat16, device=device.kind) for rows, k in extents]
            for extents in ([(self._m, k) for _, k in self._shapes], self._shapes)
        )
        self._layers: list[list[Layer]] = []

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    def inputs(self, seed: int) -> None:
        """Weights of N(0, 1) / sqrt(k), so that the sums are N(0, 1) too, each packed with the scale that NVFP4's recipe takes."""
        self._layers = [[] for _ in self._shapes]
        outputs = iter(self.output.split([self._m * n for n, _ in self._shapes for _ in range(self._sets)]))
        for at, (n, k) in enumerate(self._shapes):
            self._x[at].copy_(self._normal(self._m, k, seed + at))
            for number in range(self._sets):
                matrix = self._normal(n, k, seed + 1_000_003 * (1 + at * self._sets + number)).mul_(k**-0.5)
                packed = nvfp4.pack(matrix, float(matrix.abs().max()) / _LARGEST)
                arranged = weights.arranged(packed) if self._device.kind == "cuda" else None
                self._layers[at].append(Layer(packed, arranged, next(outputs).view(self._m, n)))

    def _normal(self, rows: int, columns: int, seed: int) -> Tensor:
        return self._device.normal(rows * columns, seed).view(rows, columns)

    def poison(self) -> None:
        for tensor in (self.output, *self._wide):
            tensor.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            for number in range(self._sets):
                for at, layers in enumerate(self._layers):
                    layer = layers[number]
                    if variant == "optimized" and layer.arranged is not None:
                        weights.matmul(self._x[at], layer.arranged, layer.y)
                    else:
                        self._widen_then_multiply(layer, self._x[at], self._wide[at])

    def _widen_then_multiply(self, layer: Layer, x: Tensor, wide: Tensor) -> None:
        import torch

        if layer.arranged is not None:
            weights.widen(layer.packed, wide)
        else:
            wide.copy_(nvfp4.unpack(layer.packed))
        torch.addmm(layer.y, x, wide.t(), beta=0, alpha=layer.packed.scale, out=layer.y)

    def reference(self) -> Tensor:
        """In fp64, of the weights as they were packed."""
        import torch

        return torch.cat(
            [
                weights.reference(x, layer.packed).flatten()
                for x, layers in zip(self._x, self._layers, strict=True)
                for layer in layers
            ]
        )

    def exact(self) -> None:
        return None


def shapes(sizes: Sizes) -> Iterator[tuple[int, int]]:
    """Rows and columns of the weights."""
    for number in range(_SHAPES):
        yield sizes[f"n{number}"], sizes[f"k{number}"]


def declared(sizes: Sizes, variant: str) -> Declared:
    """Alike for both: the weights as they are packed have to come, and nothing wider."""
    m, sets = sizes["m"], sizes["sets"]
    flops = sum(weights.declared_flops(m, n, k) for n, k in shapes(sizes))
    moved = sum(weights.declared_bytes(m, n, k) for n, k in shapes(sizes))
    again = (sets - 1) * sum(2 * m * k for _, k in shapes(sizes))  # x of a shape comes once
    return Declared(sets * flops, sets * moved - again, "bf16")


_FULL = {"m": 128, "sets": 16, "n0": 7168, "k0": 16384, "n1": 4096, "k1": 7168, "n2": 7168, "k2": 2048}

PAIR = Pair(
    Declaration(
        chapter="ch09",
        name="cute_dsl_nvfp4_gemm",
        topic={"en": "Weights in four bits (NVFP4)", "ko": "4비트 가중치 (NVFP4)"},
        title={
            "en": "NVFP4 weights widened in registers against widening them in memory first (Hopper's analogue)",
            "ko": "레지스터에서 넓히는 NVFP4 가중치와 메모리에서 먼저 넓히기의 비교 (Hopper 대응)",
        },
        sentence={
            "en": "With the weights widened on their way to the tensor cores the same products finish {speedup}.",
            "ko": "가중치를 텐서 코어로 가는 길에 넓히면 같은 행렬 곱들을 {speedup} 끝냅니다.",
        },
        compares={
            "en": "This is the Hopper analogue: tensor cores that multiply NVFP4 are Blackwell's. Both variants multiply 128 rows in "
            "bf16 by 16 weights of each of three shapes (7168 x 16384, 4096 x 7168, 7168 x 2048), packed as e2m1 codes with an e4m3 "
            "scale for 16 of them; together 1.45 GB, so each comes from device memory. The baseline widens a weight to bf16 by a "
            "kernel of its own, exactly, and has cuBLAS multiply. The optimized variant is one kernel a product: the copy engine "
            "fetches the codes, warp groups widen them in registers, as exactly, and wgmma takes them from there. Its codes and "
            "scales were put into the order of the threads once before; they are the same bytes.",
            "ko": "이것은 Hopper 대응으로, NVFP4를 직접 곱하는 텐서 코어는 Blackwell에 있습니다. 두 변형 모두 bf16 128행을 세 가지 모양(7168 x 16384, "
            "4096 x 7168, 7168 x 2048)의 가중치 16개씩과 곱합니다. 가중치는 e2m1 코드와 16개마다 하나의 e4m3 스케일로 묶여 모두 1.45 GB이므로 "
            "매번 장치 메모리에서 옵니다. 기준 변형은 별도 커널로 가중치를 정확하게 bf16으로 넓힌 다음 cuBLAS로 곱합니다. 최적화 변형은 곱마다 커널 하나로, "
            "복사 엔진이 코드를 가져오고 워프 그룹이 레지스터에서 똑같이 정확하게 넓히며 wgmma가 거기서 바로 읽습니다. 코드와 스케일은 미리 한 번 스레드의 "
            "순서로 놓아 두었으며 바이트 수는 같습니다.",
        },
        variants={
            "baseline": {"en": "Widened to bf16 in memory, then cuBLAS", "ko": "메모리에서 bf16으로 넓힌 다음 cuBLAS"},
            "optimized": {
                "en": "Widened in registers, wgmma (one kernel)",
                "ko": "레지스터에서 넓혀 wgmma로 (커널 하나)",
            },
        },
        claims=(
            "speedup >= 2.5",
            "optimized.kernels_per_iteration == 48",
            "baseline.kernels_per_iteration >= 96",
            "baseline.hgmma_flops == 0.661424963584 TFLOP",
            "optimized.hgmma_flops == 0.661424963584 TFLOP",
            "baseline.dram_bytes >= 8 GB",
            "optimized.dram_bytes <= 1.7 GB",
        ),
        sizes={
            "default": _FULL,
            "h200": _FULL,
            "small": {"m": 8, "sets": 2, "n0": 512, "k0": 192, "n1": 256, "k1": 64, "n2": 256, "k2": 128},
        },
        tolerance=4e-3,  # rounding to bf16 leaves 1.7e-3
        bitwise=False,  # cuBLAS adds in another order
        perturbation_band=0.05,
        queued=True,  # the subject is the kernels, not their launches
        needs=("cuda", "cc>=9.0", "cc<10.0"),
    ),
    build=Products,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
