"""Many small products and the norm of all results: by batched cuBLAS, by a launch a product, and by one kernel that stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.gemm import products
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes
from .products import TOLERANCE

if TYPE_CHECKING:
    from torch import Tensor

_BF16_BYTES = 2


class ProductsAndNorm:
    """Cᵢ = Aᵢ·Bᵢᵀ for `products` bf16 matrices [edge, edge], and the Frobenius norm of all Cᵢ together in fp32, on one stream."""

    def __init__(self, device: Device, sizes: Sizes) -> None:
        import torch

        self._device, self._stream = device, device.stream()
        shape = sizes["products"], sizes["edge"], sizes["edge"]
        self._a, self._b, self._c = (torch.empty(shape, dtype=torch.bfloat16, device=device.kind) for _ in range(3))
        self._norm = device.empty(1)
        self._own = products.Products(self._a, self._b, self._c) if device.kind == "cuda" else None
        self._launches = device.graph(self._stream, self._one_by_one)

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """All of C, one after the other, and the norm, in fp32: in an error the norm counts as much as all of C."""
        import torch

        return torch.cat([self._c.flatten().float(), self._norm])

    def inputs(self, seed: int) -> None:
        """B is scaled by 1/sqrt(edge), so that the sums are N(0, 1) too."""
        for number, tensor in enumerate((self._a, self._b)):
            tensor.copy_(self._device.normal(tensor.numel(), seed + 1_000_003 * number).view(tensor.shape))
        self._b.mul_(self._b.shape[-1] ** -0.5)

    def poison(self) -> None:
        for tensor in (self._c, self._norm):
            tensor.fill_(float("nan"))

    def run(self, variant: str) -> None:
        if variant == "launches":
            return self._launches()
        with self._device.on(self._stream):
            if variant == "optimized":
                self._cooperative()
            else:
                self._persistent() if variant == "persistent" else self._batched()
                self._norm_of_all()

    def _batched(self) -> None:
        import torch

        torch.bmm(self._a, self._b.transpose(1, 2), out=self._c)

    def _one_by_one(self) -> None:
        """A launch for every product."""
        import torch

        for product in range(self._a.shape[0]):
            if self._own is not None:
                self._own.one(product)
            else:
                torch.mm(self._a[product], self._b[product].t(), out=self._c[product])
        self._norm_of_all()

    def _persistent(self) -> None:
        if self._own is not None:
            self._own.all()
        else:
            self._batched()

    def _cooperative(self) -> None:
        if self._own is not None:
            self._own.all_and_norm(self._norm)
        else:
            self._batched()
            self._norm_of_all()

    def _norm_of_all(self) -> None:
        import torch

        torch.linalg.vector_norm(self._c, dtype=torch.float32, out=self._norm.view(()))

    def reference(self) -> Tensor:
        import torch

        wide = products.reference(self._a, self._b)
        return torch.cat([wide.flatten(), wide.norm().view(1)])

    def exact(self) -> None:
        return None


def declared(sizes: Sizes, variant: str) -> Declared:
    """The products and two operations an element for the norm; results are read again where another kernel takes the norm."""
    count, edge = sizes["products"], sizes["edge"]
    elements = count * edge**2
    moves = 3 if variant == "optimized" else 4
    return Declared(2 * elements * edge + 2 * elements, moves * _BF16_BYTES * elements, "bf16")


_FULL = {"products": 2048, "edge": 512}

PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="cooperative_persistent",
        topic={
            "en": "One cooperative kernel for many small products",
            "ko": "작은 행렬 곱 여럿을 위한 협력 커널 하나",
        },
        title={
            "en": "A persistent cooperative kernel against batched cuBLAS",
            "ko": "지속형 협력 커널과 배치 cuBLAS의 비교",
        },
        sentence={
            "en": "One persistent kernel finishes the products and their norm {speedup} than batched cuBLAS and a norm.",
            "ko": "지속형 커널 하나는 행렬 곱들과 노름을 배치 cuBLAS와 노름 커널보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant computes the same 2048 independent bf16 products of 512 x 512 matrices (0.55 TFLOP) and the "
            "Frobenius norm of all results. The baseline is one batched call of cuBLAS and PyTorch's norm. The first step is our own "
            "kernel launched once a product, in one CUDA graph; each launch has work for 8 of the multiprocessors, so it is no "
            "gain. The second launches the same kernel once: as many blocks as there are multiprocessors stay, and their rings of "
            "copies run on from product to product. The optimized variant is launched cooperatively, takes the norm from the sums "
            "while they are in registers, and waits for all blocks at its end, so that the results are not read again.",
            "ko": "모든 변형은 512 x 512 bf16 행렬의 독립된 곱 2048개(0.55 TFLOP)와 모든 결과의 프로베니우스 노름을 똑같이 계산합니다. 기준 변형은 "
            "cuBLAS 배치 호출 하나와 PyTorch의 노름입니다. 첫 단계는 자체 커널을 곱마다 한 번씩 CUDA 그래프 하나로 실행하며, 실행마다 멀티프로세서 "
            "8개의 일밖에 없으므로 이득이 아닙니다. 둘째 단계는 같은 커널을 한 번만 실행합니다. 멀티프로세서 수만큼의 블록이 계속 남고 복사 링이 곱에서 "
            "곱으로 이어집니다. 최적화 변형은 협력 실행으로, 합이 레지스터에 있을 때 노름을 구하고 끝에서 모든 블록을 기다리므로 결과를 다시 읽지 않습니다.",
        },
        variants={
            "baseline": {"en": "Batched cuBLAS, then the norm", "ko": "배치 cuBLAS, 그다음 노름"},
            "launches": {"en": "Own kernel, 2048 launches, then the norm", "ko": "자체 커널 2048번 실행, 그다음 노름"},
            "persistent": {"en": "Own kernel, one launch, then the norm", "ko": "자체 커널 한 번 실행, 그다음 노름"},
            "optimized": {"en": "One cooperative launch, norm included", "ko": "노름까지 포함한 협력 실행 한 번"},
        },
        claims=(
            "speedup >= 1.1",
            "speedup(launches, persistent) >= 2",
            "speedup(persistent, optimized) >= 1.05",
            "launches.kernels_per_iteration >= 2049",
            "optimized.kernels_per_iteration == 1",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"products": 1, "edge": 256}},
        tolerance=TOLERANCE,
        bitwise=False,  # sums in another order
        perturbation_band=0.05,
        queued=True,  # the subject is the kernels; launches are counted, not timed
        needs=("cuda", "cc>=9.0"),
    ),
    build=ProductsAndNorm,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
