"""A built capture with counters: four passes over memory against one and a matrix product, as ncu would count them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisp_prof.profiler.counters.kernel_counters import KernelCounters, NvtxRange
from aisp_prof.profiler.counters.raw_csv import write_raw_csv
from aisp_prof.profiler.counters.table import minimal_metrics
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.store.manifest import folder_facts
from pair_trace import PAIR, US, manifest, record, run_pair
from trace_builder import Process, TraceBuilder

GRID, BLOCK = (64, 1, 1), (256, 1, 1)
FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
BF16 = "sm__ops_path_tensor_src_bf16_dst_fp32.sum"
READ, WRITTEN, L2 = "dram__bytes_read.sum", "dram__bytes_write.sum", "lts__t_bytes.sum"

PASS = {FFMA: 200_000_000, READ: 160_000_000, WRITTEN: 160_000_000, L2: 330_000_000}
"""One pass: 0.4 GFLOP of fp32 and 320 MB; in 100 us it moves 3.2 TB/s."""

PRODUCT = {FFMA: 0, BF16: 60_000_000_000, READ: 10_000_000, WRITTEN: 10_000_000, L2: 900_000_000}
"""A product: 60 GFLOP of bf16 and 20 MB; in 100 us it makes 600 TFLOP/s."""

DECLARED = {
    "baseline": {"flops": 1_600_000_000, "bytes": 1_280_000_000},
    "optimized": {"flops": 60_400_000_000, "bytes": 340_000_000},
}
CEILINGS = {"copy": 4.0e12, "read": 4.2e12, "bf16": 8.0e14, "fp32": 5.0e13, "tf32": 4.0e14}

Kernels = Sequence[tuple[str, Mapping[str, int]]]
BASELINE: Kernels = (("affine", PASS),) * 4
OPTIMIZED: Kernels = (("affine", PASS), ("gemm", PRODUCT))


def passes(kernels: Kernels) -> Callable[[Process, int, int], int]:
    """An iteration that runs these kernels one after the other, 100 us each."""

    def run(p: Process, at: int, wobble: int) -> int:
        busy = at + 20 * US
        for i, (name, _) in enumerate(kernels):
            end = busy + 100 * US + wobble
            p.kernel(name, (at + 2 * i, at + 2 * i + 1), (busy, end), grid=GRID, block=BLOCK)
            busy = end
        return busy

    return run


def launches(variants: Mapping[str, Kernels], repeats: int = 2, absent: str = "") -> list[KernelCounters]:
    """What ncu's report would hold of them; the metric `absent` is one that the chip does not have."""
    found: list[KernelCounters] = []
    for variant, kernels in variants.items():
        nvtx = (NvtxRange("aisp", f"{PAIR}.{variant}.measure", "push_pop"), NvtxRange("aisp", "iter", "push_pop"))
        for name, counts in kernels * repeats:
            metrics = {**dict.fromkeys(minimal_metrics("9.0"), 0), **counts}
            metrics.pop(absent, None)
            told = f"void aisp::{name}<float>(float const*, float*)"
            found.append(KernelCounters(len(found), told, GRID, BLOCK, 0, "9.0", metrics, nvtx))
    return found


def ceilings(**changes: Any) -> dict[str, Any]:
    """What `aisp-prof calibrate` would give."""
    rows = [{"type": "bf16", "counted": 1000, "declared": 1000, "ratio": 1.0, "ok": True}]
    measured = [
        {
            "name": n,
            "unit": "byte/s" if n in ("copy", "read") else "flop/s",
            "what": n,
            "value": v,
            "n": 20,
            "p5": v,
            "p95": v,
        }
        for n, v in CEILINGS.items()
    ]
    calibration = {"ncu": "2025.3.1.0", "reason": "", "mend": "", "rows": rows}
    return {"ceilings": measured, "unsupported": [], "calibration": calibration, **changes}


def counted_capture(
    folder: Path,
    claims: Sequence[str] = ("speedup >= 1.5",),
    counted: Mapping[str, Kernels] | None = None,
    absent: str = "",
    **changes: Any,
) -> tuple[Manifest, Path]:
    """The manifest and the trace of a capture with counters beside it; `counted` is what ncu saw, where it differs."""
    trace = TraceBuilder()
    run_pair(trace, baseline=passes(BASELINE), optimized=passes(OPTIMIZED))
    path = trace.write(folder / "trace.sqlite")
    seen = counted or {"baseline": BASELINE, "optimized": OPTIMIZED}
    write_raw_csv(launches(seen, absent=absent), minimal_metrics("9.0"), folder / "counters.csv")
    timed = {**record(), "declared": DECLARED}
    bare = {**timed, "iterations": []}
    data = {
        "runs": {"untraced": bare, "traced": timed, "counted": bare},
        "profile": "roofline",
        "counters": {
            "tier": "counted", "ncu": "2025.3.1.0", "files": ["counters.csv"], "iterations": 2,
            "reason": "", "mend": "", "sections": "", "sections_reason": "",
        },
        "ceilings": ceilings(),
        "files": folder_facts(folder),
        **changes,
    }  # fmt: skip
    return Manifest.from_json(manifest(claims, **data)), path
