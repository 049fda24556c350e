"""Totals from rates, against totals that ncu stored beside them, and the products' known sizes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from aisp_prof.profiler.counters.raw_csv import read_raw_csv
from aisp_prof.profiler.counters.rows import counter_rows
from aisp_prof.profiler.counters.totals import exact_totals
from aisp_prof.reports.terminal.counters_table import notes

HERE = Path(__file__).parent
BOTH = json.loads((HERE / "h200-rates-and-sums.json").read_text())
"""Eight kernels with rates and totals in one report, ncu 2025.3.1: doubles, as ncu_report gives them."""
GEMM = 2 * 4096**3
TOTALS = sorted({name for one in BOTH for name in one["metrics"] if name.endswith(".sum")} - {"gpu__time_duration.sum"})


@pytest.mark.parametrize("number", range(len(BOTH)))
def test_rates_give_the_totals_that_were_stored(number: int) -> None:
    metrics = BOTH[number]["metrics"]
    rates = {name: value for name, value in metrics.items() if not name.endswith(".sum") or name not in TOTALS}
    found = exact_totals(rates)
    counted = {name: metrics[name] for name in TOTALS if name in metrics}
    both = {name: value for name, value in counted.items() if name in found}
    assert {name: found[name] for name in both} == both
    assert len(both) > 12


def test_a_bf16_product_of_ncus_roofline_set() -> None:
    for name in ("h200-set-roofline", "h200-set-roofline-scaled"):
        row = counter_rows(read_raw_csv(HERE / f"{name}.csv"))[0]
        assert (row.flops, row.flops_by_type, row.duration_ns) == (GEMM, {"tensor_bf16": GEMM}, 173_568)
        assert "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum" in row.derived
    row = counter_rows(read_raw_csv(HERE / "h200-set-roofline.csv"))[0]
    assert (row.dram_bytes, row.lacking) == (114_165_248, ())
    assert row.arithmetic_intensity == GEMM / 114_165_248
    assert "dram__bytes.sum" in row.derived


def test_what_print_rounded_away_stays_unknown() -> None:
    """12756.57 instructions a cycle in 673,373.29 cycles: 3,400 more or fewer fit as well."""
    rows = counter_rows(read_raw_csv(HERE / "h200-set-roofline.csv"))
    assert rows[1].flops is None
    assert "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum" in rows[1].lacking
    scaled = counter_rows(read_raw_csv(HERE / "h200-set-roofline-scaled.csv"))
    assert [row.dram_bytes for row in scaled[:2]] == [None, None]  # 0.657755 Tbyte/s: 87 bytes more or fewer


def test_notes_say_what_was_derived_and_what_was_not() -> None:
    said = "\n".join(notes(counter_rows(read_raw_csv(HERE / "h200-set-roofline.csv"))))
    assert "derived from rates of 8 of 8 launches: " in said
    unknown = [int(number) for number in re.findall(r"not known of (\d) of 8 launches", said)]
    assert sum(unknown) == 6


TIME = {"gpu__time_duration.sum": 1000.0}


@pytest.mark.parametrize(
    ("metrics", "unsure", "expected"),
    [
        ({**TIME, "x__ops.sum.per_second": 7e6}, {}, {"x__ops.sum": 7}),
        ({**TIME, "x__ops.sum.per_second": 7.5e6}, {}, {}),  # no whole number: by another time than this
        ({"x__ops.sum.per_second": 7e6}, {}, {}),
        ({"x__ops.sum.per_second": 0}, {}, {"x__ops.sum": 0}),  # whatever the time
        ({"x__ops.sum.per_second": 0.0}, {"x__ops.sum.per_second": 0.005}, {}),  # 0.00 may be 0.004
        ({**TIME, "x__ops.sum.per_second": 7e6, "x__ops.sum": 9}, {}, {}),  # a stored total stands
        ({"x__ops.sum.per_cycle_elapsed": 0.5, "x__cycles_elapsed.avg": 14}, {}, {"x__ops.sum": 7}),
        ({"x__ops.sum.per_cycle_elapsed": 0.5, "y__cycles_elapsed.avg": 14}, {}, {}),  # another unit's cycles
        ({"x__ops.avg.per_cycle_elapsed": 0.5, "x__cycles_elapsed.avg": 14}, {}, {}),  # no total of all units
        (
            {**TIME, "x__ops.sum.per_cycle_elapsed": 0.5, "x__cycles_elapsed.avg.per_second": 14e6},
            {},
            {"x__ops.sum": 7},
        ),
        ({**TIME, "x__ops.sum.per_second": 3e22}, {}, {}),  # a double holds no such whole number exactly
        ({**TIME, "dram__bytes.sum.per_second": 6.41e7}, {"dram__bytes.sum.per_second": 1e6}, {"dram__bytes.sum": 64}),
        ({**TIME, "dram__bytes.sum.per_second": 6.41e7}, {"dram__bytes.sum.per_second": 1e7}, {"dram__bytes.sum": 64}),
        ({**TIME, "dram__bytes.sum.per_second": 6.41e7}, {"dram__bytes.sum.per_second": 2e7}, {}),
        ({"x__o_sparsity_off.sum": 5, "x__o_sparsity_on.sum": 4}, {}, {"x__o.sum": 9}),
        ({"x__o_sparsity_off.sum": 5}, {}, {}),
    ],
)
def test_only_what_is_exact(metrics, unsure, expected) -> None:
    assert exact_totals(metrics, unsure) == expected
