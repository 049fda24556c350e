"""What the machine did in some launches: sums by hand, all or nothing, and of shared memory only where it was counted."""

from __future__ import annotations

import pytest
from aisp_prof.profiler.counters.kernel_counters import KernelCounters
from aisp_prof.profiler.counters.rows import machine_numbers
from aisp_prof.profiler.counters.table import minimal_metrics, table
from aisp_prof.profiler.evidence import Rates
from aisp_prof.profiler.judging.rate_metrics import rate_values

CHIP = table().chips["9.0"]
SHARING = tuple(CHIP.sharing.values())


def launch(of: float, **changes: float) -> KernelCounters:
    """A launch in which every counter is `of`, but for those by the names that claims give them."""
    metrics = dict.fromkeys(minimal_metrics("9.0"), of)
    metrics |= {{**CHIP.machine, **CHIP.sharing}[name]: value for name, value in changes.items()}
    return KernelCounters(0, "k", (1, 1, 1), (1, 1, 1), 0, "9.0", metrics, ())


def without(one: KernelCounters, *metrics: str) -> KernelCounters:
    kept = {name: value for name, value in one.metrics.items() if name not in metrics}
    return KernelCounters(one.index, one.name, one.grid, one.block, 0, "9.0", kept, ())


def test_sums_over_launches_and_the_share_of_conflicts() -> None:
    first = launch(2, dsmem_operations=5, shared_wavefronts=90, shared_conflicts=3)
    second = launch(1, dsmem_operations=7, shared_wavefronts=10, shared_conflicts=2)
    found = machine_numbers([first, second])
    assert found["dsmem_operations"] == 12
    assert found["cp_async_operations"] == 3
    assert found["bank_conflicts"] == 5 / 100
    assert found["tma_bytes"] == 3
    assert "shared_wavefronts" not in found
    # of the cycles of each, weighted by its duration: 2 ns at 2 %, 1 ns at 1 %
    assert found["tensor_active"] == pytest.approx((2 * 2 + 1) / 3 / 100)


@pytest.mark.parametrize("missing", SHARING)
def test_reports_without_counters_of_shared_memory_say_nothing_of_it(missing: str) -> None:
    """As all from before they were collected, whose other numbers stand."""
    found = machine_numbers([launch(4), without(launch(4), missing)])
    assert not {"dsmem_operations", "dsmem_bytes", "cp_async_operations", "bank_conflicts"} & set(found)
    assert found["hgmma_flops"] == 8


@pytest.mark.parametrize("missing", CHIP.machine.values())
def test_without_one_of_the_others_nothing_is_said(missing: str) -> None:
    assert machine_numbers([without(launch(4), missing)]) == {}


def rates(**values: object) -> Rates:
    absent = dict.fromkeys(Rates.__dataclass_fields__)
    return Rates(**{**absent, "reasons": (), "counted": (), "busy_ns": (), "machine": (), **values})  # type: ignore[arg-type]


def test_the_rate_of_memory_is_that_of_the_counted_bytes_in_each_timed_iteration() -> None:
    assert rate_values(rates(dram_bytes=4_000_000, busy_ns=(1000, 2000)), "dram_rate") == [4e12, 2e12]


def test_without_bytes_or_time_there_is_no_rate() -> None:
    assert rate_values(rates(busy_ns=(1000,)), "dram_rate") == []
    assert rate_values(rates(dram_bytes=5, busy_ns=(1000, 0)), "dram_rate") == []
