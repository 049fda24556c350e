"""Rates on real traces: the shipped captures of chapter 9, counted as if every kernel did what its pair declares in all."""

from __future__ import annotations

import pytest
from aisp_prof.profiler.counters.kernel_counters import KernelCounters, NvtxRange
from aisp_prof.profiler.counters.raw_csv import write_raw_csv
from aisp_prof.profiler.counters.table import minimal_metrics
from aisp_prof.profiler.counters.traced import traced_kernels
from aisp_prof.profiler.proof.measured import find_runs
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.profiler.ranges.attribution import Attribution
from aisp_prof.profiler.ranges.work import Launches
from aisp_prof.profiler.store.manifest import folder_facts
from aisp_prof.profiler.trace.reader import read_trace
from counted_pair import BF16, READ, ceilings
from shared import shipped

CAPTURES = [one for one in shipped() if one.manifest.pair.startswith("ch09.")]
WORK = {BF16: 1_000_000_000, READ: 1_000_000}


def counters_of(capture, trace):
    """A report with two iterations of each variant, its kernels taken from the first measured iteration of the trace."""
    found = []
    runs = find_runs(Launches(trace), capture.manifest.pair, capture.manifest.declaration.names, Attribution.THREAD)
    for variant in runs:
        run = runs[variant]
        nvtx = (NvtxRange("aisp", f"{capture.manifest.pair}.{variant}.measure", "push_pop"),)
        for kernel in traced_kernels(capture.trace_path, trace, run.operations(0)) * 2:
            metrics = {**dict.fromkeys(minimal_metrics("9.0"), 0), **WORK}
            found.append(KernelCounters(len(found), kernel.name, kernel.grid, kernel.block, 0, "9.0", metrics, nvtx))
    return found


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda one: one.manifest.pair)
def test_every_iteration_of_a_real_trace_joins(capture, tmp_path):
    trace = read_trace(capture.trace_path)
    path = tmp_path / capture.trace_path.name
    path.symlink_to(capture.trace_path)
    launches = counters_of(capture, trace)
    write_raw_csv(launches, minimal_metrics("9.0"), tmp_path / "counters.csv")
    counted = {"tier": "counted", "files": ["counters.csv"], "iterations": 2, "reason": "", "mend": ""}
    files = folder_facts(tmp_path)
    evidence = prove(capture.manifest.changed(counters=counted, ceilings=ceilings(), files=files), path)
    variants = {one.name: one for one in evidence.variants}
    for variant, rates in evidence.rates.items():
        iterations = variants[variant].iterations
        kernels = iterations[0].numbers["kernels_per_iteration"]
        assert (rates.tier, rates.reasons) == ("counted", ())
        assert rates.flops_counted == kernels * WORK[BF16]
        assert rates.counted == ((kernels * WORK[BF16], kernels * WORK[READ]),) * 2
        assert rates.busy_ns == tuple(i.numbers["busy(compute)"] for i in iterations)
        assert sum(one.launches for one in rates.kernels) == kernels
