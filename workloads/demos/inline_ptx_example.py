"""One source with inline PTX behind an architecture guard, compiled for two targets: which instructions result."""

from __future__ import annotations

import argparse
import re
from collections import Counter

from ...kernels.building.contract import disassemble
from ...kernels.building.nvcc import cubin
from ...kernels.gemm import tcgen05
from ..device import Device
from .demo import Demo

TARGETS = {"90a": "Hopper", "100a": "Blackwell"}
_TELLING = re.compile(r"\b(UTCHMMA|UTMALDG|LDTM|UTCBAR|UTCATOMSWS|BPT\.TRAP)[.\w]*")


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """One line per target and instruction."""
    lines = [f"{tcgen05.SOURCE.name}: #if AISP_TCGEN05 (__CUDA_ARCH_FEAT_SM100_ALL) inline PTX, #else a trap"]
    for target, name in TARGETS.items():
        sass = disassemble(cubin(tcgen05.SOURCE, target))[tcgen05.CONTRACT.kernel].sass
        counts = Counter(match[0] for match in _TELLING.finditer(sass))
        lines += [
            f"sm_{target:<5} {name:<10} {count:>3} x {instruction}" for instruction, count in sorted(counts.items())
        ]
    return [*lines, "the host asks for the compute capability before it launches: the trap is never reached"]


def _options(parser: argparse.ArgumentParser) -> None:
    return


DEMO = Demo(
    "ch09-inline-ptx-example",
    "Inline PTX behind an architecture guard: what one source becomes for Hopper and for Blackwell. Needs nvcc, but no GPU.",
    (),
    _options,
    measure,
)
