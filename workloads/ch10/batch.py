"""Requests that share one weight matrix: a product each, groups of them together, and all of them in one product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...errors import UsageError
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes
from .products import TOLERANCE, cublas

if TYPE_CHECKING:
    from torch import Tensor

_TOGETHER = {"baseline": 1, "four": 4, "sixteen": 16}
"""Requests of a product; the optimized variant takes all."""
_BF16_BYTES = 2


class Requests:
    """y = x·Wᵀ for `requests` requests of `rows` rows each, x [requests · rows, k] and W [n, k] in bf16, on one stream.

    Raises:
        UsageError: the requests do not divide into groups of sixteen.
    """

    def __init__(self, device: Device, sizes: Sizes) -> None:
        import torch

        if sizes["requests"] % _TOGETHER["sixteen"]:
            raise UsageError(
                f"{sizes['requests']} requests do not divide into groups of sixteen", "choose another size"
            )
        self._device, self._stream, self._sizes = device, device.stream(), sizes
        m, n, k = sizes["requests"] * sizes["rows"], sizes["n"], sizes["k"]
        self._x, self._w, self._y = (
            torch.empty(shape, dtype=torch.bfloat16, device=device.kind) for shape in ((m, k), (n, k), (m, n))
        )

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """bf16 [requests · rows, n] on the device."""
        return self._y

    def inputs(self, seed: int) -> None:
        """W is scaled by 1/sqrt(k), so that the sums are N(0, 1) too."""
        for number, tensor in enumerate((self._x, self._w)):
            tensor.copy_(self._device.normal(tensor.numel(), seed + 1_000_003 * number).view(tensor.shape))
        self._w.mul_(self._w.shape[1] ** -0.5)

    def poison(self) -> None:
        self._y.fill_(float("nan"))

    def run(self, variant: str) -> None:
        rows = _rows(self._sizes, variant)
        with self._device.on(self._stream):
            for x, y in zip(self._x.split(rows), self._y.split(rows), strict=True):
                cublas(x, self._w, y)

    def reference(self) -> Tensor:
        return self._x.double() @ self._w.double().t()

    def exact(self) -> None:
        return None


def _rows(sizes: Sizes, variant: str) -> int:
    """Of one product."""
    return sizes["rows"] * _TOGETHER.get(variant, sizes["requests"])


def declared(sizes: Sizes, variant: str) -> Declared:
    """The same operations; W is read once a product."""
    m, n, k = sizes["requests"] * sizes["rows"], sizes["n"], sizes["k"]
    products = m // _rows(sizes, variant)
    return Declared(2 * m * n * k, _BF16_BYTES * (m * k + products * n * k + m * n), "bf16")


_FULL = {"requests": 64, "rows": 16, "n": 8192, "k": 8192}

PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="batch",
        topic={"en": "Batching requests across the ridge", "ko": "요청을 묶어 능선 넘기"},
        title={
            "en": "64 requests one by one, in groups, and in one product",
            "ko": "요청 64개를 하나씩, 묶음으로, 한 번의 곱으로",
        },
        sentence={
            "en": "In one product the same 64 requests finish {speedup} than one by one.",
            "ko": "요청 64개를 곱 하나로 묶으면 하나씩 처리할 때보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "Every variant multiplies the same 64 requests of 16 rows with the same 8192 x 8192 weights in bf16 by cuBLAS "
            "(0.14 TFLOP). They differ in how many requests share a product, and so in how often the weights, 134 MB and more than "
            "the L2 cache holds, are read: 64 times, 16 times, 4 times and once. Arithmetic intensity crosses the ridge of the "
            "roofline on the way. All is queued before it may begin, so the host's launches are no part of the times.",
            "ko": "모든 변형은 16행짜리 요청 64개에 같은 8192 x 8192 bf16 가중치를 cuBLAS로 곱합니다(0.14 TFLOP). 다른 점은 곱 하나에 함께 넣는 "
            "요청의 수이며, 따라서 L2 캐시보다 큰 134 MB 가중치를 64번, 16번, 4번, 한 번 읽습니다. 그 사이에 산술 강도가 루프라인의 능선을 넘습니다. "
            "모두 시작하기 전에 대기열에 들어가므로 호스트의 실행 호출은 측정 시간에 들어가지 않습니다.",
        },
        variants={
            "baseline": {"en": "A product for every request", "ko": "요청마다 곱 하나"},
            "four": {"en": "Four requests a product", "ko": "요청 네 개마다 곱 하나"},
            "sixteen": {"en": "Sixteen requests a product", "ko": "요청 열여섯 개마다 곱 하나"},
            "optimized": {"en": "All requests in one product", "ko": "모든 요청을 곱 하나로"},
        },
        claims=(
            # by traffic: 8.6 GB of weights at 4.3 TB/s are 2.0 ms, against 0.17 ms of products
            "speedup >= 5",
            "speedup(baseline, four) >= 2.5",
            "speedup(four, sixteen) >= 1.5",
            "baseline.kernels_per_iteration >= 64",
            "optimized.kernels_per_iteration == 1",
            "baseline.dram_bytes >= 8 GB",
            "optimized.dram_bytes <= 0.6 GB",
            "baseline.arithmetic_intensity <= 17 FLOP/B",
            "optimized.arithmetic_intensity >= 300 FLOP/B",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"requests": 32, "rows": 2, "n": 48, "k": 64}},
        tolerance=TOLERANCE,
        bitwise=False,  # cuBLAS chooses another kernel for other rows
        perturbation_band=0.05,
        queued=True,  # the subject is traffic; the host's launches are counted, not timed
        needs=("cuda",),
    ),
    build=Requests,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
