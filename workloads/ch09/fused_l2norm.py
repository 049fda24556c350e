"""Rows divided by their norms: by PyTorch's operators, two CUDA kernels, torch.compile, and one CUDA kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...kernels.norm import l2norm
from ..device import Device, Stream
from ..pair import Declared, Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor


class NormalisedRows:
    """`sets` arrays of `rows` x `columns` bf16, each normalised row by row into a place of its own, on one stream."""

    def __init__(self, device: Device, sizes: Sizes) -> None:
        import torch

        self._device, self._stream = device, device.stream()
        shape = (sizes["sets"], sizes["rows"], sizes["columns"])
        self._x, self._y = (torch.empty(shape, dtype=torch.bfloat16, device=device.kind) for _ in range(2))
        self._gain = torch.empty(sizes["columns"], dtype=torch.bfloat16, device=device.kind)
        self._factors = torch.empty((sizes["rows"], 2), dtype=torch.float32, device=device.kind)

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """bf16 [sets, rows, columns] on the device."""
        return self._y

    def inputs(self, seed: int) -> None:
        for number, x in enumerate(self._x):
            x.copy_(self._device.normal(x.numel(), seed + 1_000_003 * number).view(x.shape))
        self._gain.copy_(self._device.normal(self._gain.numel(), seed + 1_000_003 * len(self._x)))

    def poison(self) -> None:
        for buffer in (self._y, self._factors):
            buffer.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            for x, y in zip(self._x, self._y, strict=True):
                self._normalise(variant, x, y)

    def _normalise(self, variant: str, x: Tensor, y: Tensor) -> None:
        if variant == "two_kernels":
            l2norm.two_kernels(x, self._gain, self._factors, y)
        else:
            _NORMALISE[variant](x, self._gain, y)

    def reference(self) -> Tensor:
        return l2norm.reference(self._x, self._gain)

    def exact(self) -> None:
        return None


_NORMALISE = {"baseline": l2norm.eager, "compiled": l2norm.compiled, "optimized": l2norm.fused}

_EAGER_PASSES = 5
"""Over an array as large as x: the norm reads it, the division and the gain each read one and write one."""


def declared(sizes: Sizes, variant: str) -> Declared:
    sets, shape = sizes["sets"], (sizes["rows"], sizes["columns"])
    moved = l2norm.declared_bytes(*shape, fused=variant != "two_kernels")
    if variant == "baseline":
        moved = moved // 2 * _EAGER_PASSES
    return Declared(sets * l2norm.declared_flops(*shape), sets * moved, "fp32")


_FULL = {"sets": 4, "rows": 131072, "columns": 4096}

PAIR = Pair(
    Declaration(
        chapter="ch09",
        name="fused_l2norm",
        topic={"en": "Fusing a reduction with what follows it", "ko": "축약과 그 다음 연산의 융합"},
        title={"en": "L2 normalisation in one pass", "ko": "한 번만 통과하는 L2 정규화"},
        sentence={
            "en": "One kernel that keeps each row in registers normalises the same rows {speedup} than PyTorch's operators.",
            "ko": "행을 레지스터에 유지하는 커널 하나는 같은 행들을 PyTorch 연산들보다 {speedup} 정규화합니다.",
        },
        compares={
            "en": "Every variant divides the same bf16 rows by their norms and multiplies by the same gain. PyTorch's operators pass "
            "over the rows five times, two CUDA kernels three times: each row is read for its norm and again to scale it. What "
            "torch.compile makes of PyTorch's operators, and the kernel written by hand, read each row from DRAM once and write it once.",
            "ko": "모든 변형은 같은 bf16 행들을 노름으로 나누고 같은 이득을 곱합니다. PyTorch 연산들은 행들을 다섯 번 지나고, CUDA 커널 두 개는 "
            "노름을 구할 때와 나눌 때 행을 읽으므로 세 번 지납니다. torch.compile이 PyTorch 연산들로 만든 커널과 손으로 쓴 커널은 행을 "
            "DRAM에서 한 번 읽고 한 번 씁니다.",
        },
        variants={
            "baseline": {"en": "PyTorch's operators, four a set", "ko": "PyTorch 연산, 묶음마다 네 개"},
            "two_kernels": {
                "en": "Two CUDA kernels: norms, then scaling",
                "ko": "CUDA 커널 두 개: 노름을 구한 뒤 나누기",
            },
            "compiled": {
                "en": "PyTorch's operators by torch.compile: one Triton kernel",
                "ko": "PyTorch 연산을 torch.compile로: Triton 커널 하나",
            },
            "optimized": {
                "en": "One CUDA kernel: the row waits in registers",
                "ko": "CUDA 커널 하나: 행을 레지스터에 유지",
            },
        },
        claims=(
            # by traffic 1.5; an H200 gave 1.44 (2026-11-20), because reading alone, as the norms do, runs at 4.5 TB/s and
            # reading and writing together at 4.1 to 4.2
            "speedup(two_kernels, optimized) >= 1.3",
            # by traffic 2.5; an H200 gave 5.62, the norms of PyTorch being slower than their traffic (2026-11-30)
            "speedup >= 2",
            "speedup(baseline, two_kernels) >= 1.3",
            "speedup(baseline, compiled) >= 1.8",
            # what the compiler leaves to a kernel written by hand: nothing may be lost by it
            "speedup(compiled, optimized) >= 0.97",
            # four sets an iteration
            "baseline.kernels_per_iteration == 16",
            "two_kernels.kernels_per_iteration == 8",
            "compiled.kernels_per_iteration == 4",
            "optimized.kernels_per_iteration == 4",
            # of 21.5, 12.9, 8.6 and 8.6 GB; counted on an H200 (2026-11-21): 12.81 and 8.493 GB, 93.6 % of the roof
            "baseline.dram_bytes >= 20 GB",
            "two_kernels.dram_bytes >= 12.6 GB",
            "compiled.dram_bytes <= 9.5 GB",
            "optimized.dram_bytes <= 8.7 GB",
            "optimized.of_roofline >= 0.9",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"sets": 2, "rows": 64, "columns": 512}},
        # rounding to bf16 leaves 1.7e-3, three times as in PyTorch's operators 2.9e-3
        tolerance=5e-3,
        bitwise=False,  # PyTorch's operators round between; that the CUDA kernels agree bit for bit is tested with them
        perturbation_band=0.05,
        queued=True,  # the subject is traffic: an iteration takes 2 ms, and the host's launches are not to count
        needs=("cuda", "triton"),
    ),
    build=NormalisedRows,
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
