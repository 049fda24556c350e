"""Joining ncu's kernels with nsys'."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aisp_prof.profiler.counters.joining import TracedKernel, join
from aisp_prof.profiler.counters.raw_csv import read_raw_csv
from aisp_prof.profiler.counters.rows import total_flops

HERE = Path(__file__).parent
RANGE = "ch11.streams.baseline.measure"


@pytest.fixture(scope="module")
def counted():
    """Two iterations of each variant of the streams pair, small: a spinning kernel and eight of the chain in each."""
    return read_raw_csv(HERE / "h200-streams.csv")


def traced(chain, spin=1, grid=(32, 1, 1)):
    spins = [TracedKernel(i, "spin_kernel", (1, 1, 1), (1, 1, 1), 10 * i, 10 * i + 5) for i in range(spin)]
    chains = [TracedKernel(100 + i, "sin_exp_chain_kernel", grid, (128, 1, 1), 100 + i, 101 + i) for i in range(chain)]
    return [*spins, *chains]


def count_of(counted, name):
    inside = [one for one in counted if any(nvtx.name == RANGE for nvtx in one.nvtx)]
    return sum(name in one.name for one in inside)


def test_the_kth_launch_meets_the_kth(counted):
    chain, spin = count_of(counted, "chain"), count_of(counted, "spin")
    found = join(RANGE, counted, traced(chain, spin))
    assert (len(found.pairs), found.refused) == (chain + spin, False)
    met = [pair.counted.index for pair in found.pairs if "chain" in pair.traced.name]
    assert met == sorted(met)
    assert all(pair.counted.grid == pair.traced.grid for pair in found.pairs)


def test_repeats_of_the_range_are_divided_out(counted):
    chain, spin = count_of(counted, "chain"), count_of(counted, "spin")
    found = join(RANGE, counted, traced(chain // 2, spin // 2), repeats=2)
    assert (len(found.pairs), found.differences) == ((chain + spin) // 2, ())


@pytest.mark.parametrize("chain", [0, 1, 15, 17])
def test_other_counts_are_refused_and_said(counted, chain):
    found = join(RANGE, counted, traced(chain, count_of(counted, "spin")))
    assert (found.pairs, found.refused) == ((), True)
    (difference,) = found.differences
    assert str(difference) == (
        f"sin_exp_chain_kernel (grid (32, 1, 1), block (128, 1, 1)): {chain} in the trace, "
        f"{count_of(counted, 'chain')} counted"
    )


def test_another_grid_is_another_kernel(counted):
    found = join(RANGE, counted, traced(count_of(counted, "chain"), count_of(counted, "spin"), grid=(33, 1, 1)))
    assert [(one.grid, one.traced > 0) for one in found.differences] == [((33, 1, 1), True), ((32, 1, 1), False)]


def test_nothing_of_another_range_is_used(counted):
    assert join("ch11.streams.other.measure", counted, []).pairs == ()
    assert join("ch11.streams.other.measure", counted, traced(1, 0)).refused


def test_work_is_summed_only_with_every_counter(counted):
    totals, lacking = total_flops(counted)
    assert lacking == ()
    assert totals["fp32"] > 0
    _, lacking = total_flops(read_raw_csv(HERE / "h200-roofline-set.csv"))
    assert "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum" in lacking


@pytest.mark.parametrize("variant", ["baseline", "optimized"])
def test_an_ncu_run_and_an_nsys_run_of_a_pair_on_an_h200(counted, variant):
    """The same two iterations in two processes: the kernels of nsys 2025.3 by their launches, those of ncu 2025.3.1."""
    name = f"ch11.streams.{variant}.measure"
    instances = json.loads((HERE / "h200-streams-traced.json").read_text())[name]
    kernels = [TracedKernel(r, n, tuple(g), tuple(b), s, e) for part in instances for r, n, g, b, s, e in part]
    found = join(name, counted, kernels)
    assert [str(one) for one in found.differences] == []
    assert len(found.pairs) == len(kernels) == 18
    once = join(name, counted, kernels[: len(kernels) // 2], repeats=2)
    assert (len(once.pairs), once.refused) == (9, False)
    assert join(name, counted, kernels[:-1]).refused
