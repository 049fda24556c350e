"""Sweeps as a program records them, of times that follow a parabola."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SIZES = (512, 1024, 2048, 4096, 8192)
OFF = (0.01, -0.02, 0.015, -0.01, 0.005)
"""By how much the times of each size are longer than a parabola's."""


def sweep(
    terms: Mapping[str, tuple[float, float]], sizes: Sequence[int] = SIZES, off: Sequence[float] = OFF, runs: int = 6
) -> dict[str, Any]:
    """A record a size with as many of `batch` as make 16384 of `seq`; `terms` are a and b of a variant, in ns."""
    records = []
    for size, more in zip(sizes, off, strict=True):
        batch = max(1, 16384 // size)
        times = {name: batch * (a * size + b * size**2) * (1 + more) for name, (a, b) in terms.items()}
        iterations = [
            {"variant": name, "index": run, "event_ns": round(time) + 2 * run - runs + 1}
            for run in range(runs)
            for name, time in times.items()
        ]
        work = {"flops": 8192 * batch * size**2, "bytes": 4096 * batch * size, "ceiling": "bf16"}
        records.append(
            {
                "sizes": {"batch": batch, "seq": size},
                "gpu": {"name": "NVIDIA <H200>"},
                "validation": {"valid": True},
                "iterations": iterations,
                "declared": dict.fromkeys(terms, work),
            }
        )
    return {"schema": 1, "pair": "ch10.flash_attention", "over": "seq", "per": "batch", "records": records}


TERMS = {"baseline": (3.0, 0.02), "optimized": (2.5, 0.0125)}


def stored(folder: Path, data: Any = None) -> Path:
    path = folder / "sweep.json"
    path.write_text(json.dumps(sweep(TERMS) if data is None else data))
    return path
