"""Reading counters: real reports of an H200 as CSV, number by number, and every way in which a file can be something else."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.profiler.counters import report
from aisp_prof.profiler.counters.kernel_counters import NvtxRange, function_name
from aisp_prof.profiler.counters.quantities import base, decimal_mark, number
from aisp_prof.profiler.counters.raw_csv import read_raw_csv
from aisp_prof.profiler.counters.report import read_counters, read_report
from aisp_prof.profiler.counters.rows import counter_rows
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(__file__).parent
GEMM = 2 * 2048**3
SCALARS = 2048**2
"""Elements of the result: each is multiplied by alpha."""


def rows(name):
    return counter_rows(read_raw_csv(HERE / f"{name}.csv"))


def test_flops_of_known_products_on_an_h200():
    """ncu 2025.3.1, 2048 x 2048 x 2048, cuBLAS through PyTorch 2.11: counted by type, to the operation."""
    counted = {row.nvtx[0].name.split(".")[1]: row.flops_by_type for row in rows("h200-gemms")}
    assert counted == {
        "bf16": {"tensor_bf16": GEMM},
        "fp16": {"tensor_fp16": GEMM},
        "tf32": {"tensor_tf32": GEMM, "fp32": 2 * SCALARS + 147_456},
        "fp32": {"fp32": GEMM + SCALARS},
        "fp8": {"tensor_fp8": GEMM, "fp32": 65_536},
        "fp64": {"tensor_fp64": GEMM, "fp64": SCALARS},
    }


def test_the_whole_row_of_a_launch():
    row = rows("h200-gemms")[0]
    assert (row.name, row.grid, row.block) == (
        "nvjet_sm90_tst_256x128_64x4_1x2_h_bz_coopA_NNT",
        (2, 64, 1),
        (384, 1, 1),
    )
    assert (row.duration_ns, row.flops, row.dram_bytes) == (25_536, GEMM, 16_798_976 + 102_144)
    assert row.arithmetic_intensity == GEMM / 16_901_120
    assert (row.tensor_active_pct, row.compute_capability, row.lacking) == (73.0, "9.0", ())
    assert row.nvtx == (NvtxRange("aisp", "calibration.bf16.measure", "push_pop"),)


def test_scaled_units_give_the_same_numbers():
    assert rows("h200-gemms-scaled") == rows("h200-gemms")


def test_half_precision_instructions_work_on_two_values():
    """PyTorch multiplies fp16 in fp32: one FMUL a value; HADD2 converts, and the hardware counts it as additions."""
    row = rows("h200-elementwise")[0]
    assert row.flops_by_type == {"fp32": SCALARS, "half": 2 * 2 * SCALARS}


def test_nested_ranges_with_colons_payloads_and_start_end_ranges():
    launches = read_raw_csv(HERE / "h200-streams.csv")
    assert [one.name for one in launches[0].nvtx] == [
        "ch11.streams.baseline.measure",
        "stage:hold",
        "ch11.streams.baseline.window",
    ]
    assert [(one.name, one.kind) for one in launches[1].nvtx] == [
        ("ch11.streams.baseline.measure", "push_pop"),
        ("iter", "push_pop"),
        ("stage:submit", "push_pop"),
        ("ch11.streams.baseline.window", "start_end"),
    ]
    assert {one.domain for launch in launches for one in launch.nvtx} == {"aisp"}


def test_what_a_report_lacks_is_null_and_named():
    """ncu's own roofline set has rates of the SIMD counters, but not their sums."""
    (row,) = rows("h200-roofline-set")
    assert row.flops_by_type == {"tensor_bf16": GEMM}
    assert (row.flops, row.dram_bytes, row.arithmetic_intensity) == (None, None, None)
    assert "dram__bytes_read.sum" in row.lacking
    assert "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum" in row.lacking


def test_the_bare_name_is_the_short_name_of_nsys():
    names = json.loads((HERE / "nsys-names.json").read_text())
    assert {name: function_name(name) for name in names} == names


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("17,179,869,184", ".", 17_179_869_184),
        ("1,704,511,634.20", ".", 1_704_511_634.2),
        ("1.704.511.634,20", ",", 1_704_511_634.2),
        ("1\u202f704\u202f511,5", ",", 1_704_511.5),
        ("9’007’199’254’740’993", ".", 9_007_199_254_740_993),
        ("-0.5", ".", -0.5),
        ("1.5e+06", ".", 1.5e6),
        ("n/a", ".", None),
        ("(!) n/a", ".", None),
        ("", ".", None),
        ("nan", ".", None),
        ("PolicySpread", ".", None),
        ("1.2.3", ".", None),
    ],
)
def test_numbers(text, mark, value):
    assert number(text, mark) == value


@given(st.integers(0, 2**63), st.sampled_from([",", ".", " ", "\u202f", "'"]))
def test_grouped_counts_stay_exact(value, group):
    text = f"{value:,}".replace(",", group)
    assert number(text, "," if group == "." else ".") == value


def test_the_decimal_mark_is_found_in_the_whole_file():
    assert decimal_mark(["1,234", "17,179,869,184.25"]) == "."
    assert decimal_mark(["1.234", "73,00"]) == ","
    assert decimal_mark(["1,234"]) == ""  # 1,234 in English, 1.234 in French: refused, where nothing else tells


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (25.536, "us", 25_536),
        (1.5, "msecond", 1_500_000),
        (2, "s", 2_000_000_000),
        (16.798976, "Mbyte", 16_798_976),
        (4.29, "Tbyte/s", 4_290_000_000_000),
        (1.7, "Ghz", 1_700_000_000),
        (73.0, "%", 73.0),
        (7, "", 7),
        (12, "register/thread", 12),
    ],
)
def test_units(value, unit, expected):
    assert base(value, unit) == expected


def test_a_german_report_reads_the_same(tmp_path):
    def german(text):
        return text.translate(str.maketrans(",.", ".,")) if text[:1].isdigit() and "x" not in text else text

    lines = (HERE / "h200-gemms.csv").read_text().splitlines()
    head = lines[0].split('","')
    numeric = [name.split(".")[0].endswith(("_on", "elapsed", "active", "duration", "bytes", "read", "write")) or "__" in name
               for name in head]  # fmt: skip
    body = ['","'.join(german(cell) if is_number else cell for cell, is_number in zip(line.split('","'), numeric, strict=True))
            for line in lines[2:]]  # fmt: skip
    path = tmp_path / "de.csv"
    path.write_text("\n".join([*lines[:2], *body]) + "\n")
    assert counter_rows(read_raw_csv(path)) == rows("h200-gemms")


def test_what_was_printed_before_the_header_is_skipped(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("==PROF== Connected to process 1\nepoch 1, loss 2\n" + (HERE / "h200-gemms.csv").read_text())
    assert counter_rows(read_raw_csv(path)) == rows("h200-gemms")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no line of it begins"),
        ("==ERROR== The file does not exist\n", "no line of it begins"),
        ('"ID","Kernel Name"\n', "before the row of units"),
        ('"ID","Kernel Name","Metric Name","Metric Value"\n"0","k","x","1"\n', "no column"),
        ('"ID","Kernel Name","Block Size","Grid Size","Device","CC"\n"0","k","(1, 1, 1)","(1, 1, 1)","0","9.0"\n', "no units"),
        ('"ID","Kernel Name","Block Size","Grid Size","Device","CC"\n"","","","","",""\n"0","k","1","(1, 1, 1)","0","9.0"\n',
         "row 3: Block Size"),
    ],
)  # fmt: skip
def test_other_files_are_refused_with_the_command_that_makes_the_right_one(tmp_path, content, says):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=says) as error:
        read_raw_csv(path)
    assert "--page raw --csv" in error.value.mend


def test_a_chip_without_a_table_is_said(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text((HERE / "h200-gemms.csv").read_text().replace('"9.0"', '"7.5"'))
    row = counter_rows(read_raw_csv(path))[0]
    assert (row.flops, row.flops_by_type) == (None, {})
    assert "compute capability 7.5" in row.lacking[0]


def test_a_report_without_the_package_is_read_from_the_csv_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    path = tmp_path / "x.ncu-rep"
    path.write_bytes(b"NVR")
    with pytest.raises(EnvironmentLacks, match=r"no x\.csv beside it") as error:
        read_counters(path)
    assert "aisp-prof[ncu]" in error.value.mend
    (tmp_path / "x.csv").write_text((HERE / "h200-gemms.csv").read_text())
    assert counter_rows(read_counters(path)) == rows("h200-gemms")


def test_a_package_that_does_not_load(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ncu_report", None)
    with pytest.raises(EnvironmentLacks, match="cannot be loaded"):
        read_report(tmp_path / "x.ncu-rep")


def test_no_file():
    with pytest.raises(UsageError, match="there is no file"):
        read_counters(Path("nowhere.ncu-rep"))


def installed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("ncu_report")


def test_a_file_that_is_no_report(tmp_path):
    installed()
    path = tmp_path / "x.ncu-rep"
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no Nsight Compute report"):
        read_report(path)


def test_the_package_and_the_csv_give_the_same_rows():
    """A report holds a command line, so none is committed: AISP_NCU_REPORTS names a folder of X.ncu-rep with X.csv beside."""
    installed()
    folder = os.environ.get("AISP_NCU_REPORTS")
    if not folder:
        pytest.skip("AISP_NCU_REPORTS names no folder of reports")
    compared = [path for path in sorted(Path(folder).glob("*.ncu-rep")) if path.with_suffix(".csv").is_file()]
    assert compared
    for path in compared:
        ours, theirs = counter_rows(read_raw_csv(path.with_suffix(".csv"))), counter_rows(read_report(path))
        assert [bare(row) for row in ours] == [bare(row) for row in theirs]


def bare(row):
    """ncu shortens names in its CSV, and leaves the casts in template arguments out."""
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {**fields, "name": function_name(row.name)}
