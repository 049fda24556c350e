"""Ceilings with conditions, and counters against products of known size."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.machine.records import convert
from aisp_prof.profiler.capture import calibrate as room
from aisp_prof.profiler.capture.calibrate import Calibrated, Program, calibrate, calibrated
from aisp_prof.profiler.counters.raw_csv import read_raw_csv
from aisp_prof.profiler.judging.limits import ceilings_of
from aisp_prof.profiler.manifest import Ceilings

COUNTERS = Path(__file__).parents[1] / "counters"
GEMM = 2 * 2048**3
DECLARED = dict.fromkeys(("bf16", "fp16", "tf32", "fp32", "fp8", "fp64"), GEMM)
TINY = Program("aisp_prof.workloads.calibration", ("--device", "cpu", "--size", "tiny"), 120)


def test_an_h200_counts_what_is_declared():
    rows = calibrated(read_raw_csv(COUNTERS / "h200-gemms.csv"), DECLARED)
    assert [row.type for row in rows] == list(DECLARED)
    assert all(row.ok for row in rows)
    assert [row.ratio for row in rows if row.type not in ("fp32", "fp64")] == [1.0] * 4
    assert [round(row.ratio, 4) for row in rows if row.type in ("fp32", "fp64")] == [1.0002] * 2


def test_a_product_that_was_not_counted_is_not_ok():
    (row,) = calibrated([], {"bf16": GEMM})
    assert (row.counted, row.ratio, row.ok) == (None, None, False)


@pytest.mark.parametrize(("counted", "ok"), [(990, True), (1010, True), (989, False), (2000, False)])
def test_one_per_cent(counted, ok):
    assert Calibrated("bf16", counted, 1000).ok is ok


def test_the_whole_of_it_without_a_gpu():
    said = []
    result = calibrate(TINY, said.append)
    json.dumps(result)
    assert len(said) == 2
    assert (result["gpu"], result["calibration"]["rows"]) == (None, [])
    assert result["calibration"]["reason"]
    assert {one["name"] for one in result["ceilings"]} >= {"copy", "bf16", "h2d_both"}


def test_some_of_it_counts_nothing_and_says_what_it_measures():
    said = []
    result = calibrate(TINY, said.append, ("h2d", "launch"))
    assert said == ["measuring the ceilings of h2d, launch"]
    assert result["calibration"] is None
    rates = ceilings_of(convert(result, Ceilings, "a test"))
    assert {"h2d", "launch"} <= set(rates)
    assert "copy" not in rates
    assert all(0 < one.low <= one.value <= one.high for one in rates.values())


def test_the_clock_of_a_ceiling_is_the_median_of_its_samples():
    samples = [{"utc_ns": at, "sm_mhz": mhz} for at, mhz in ((5, 345), (10, 1980), (20, 1600), (30, 1620), (31, 1))]
    ceiling = {"began_utc_ns": 10, "ended_utc_ns": 30}
    assert room._with_clock(ceiling, samples)["sm_mhz"] == 1620
    assert room._with_clock(ceiling, [])["sm_mhz"] is None


def test_a_program_that_fails_is_quoted():
    with pytest.raises(AispError, match="invalid choice"):
        calibrate(Program(TINY.module, ("--size", "no"), 60), lambda step: None)


def test_no_gpu_is_what_the_environment_lacks():
    if os.path.exists("/dev/nvidia0"):
        pytest.skip("there is a GPU")
    with pytest.raises(EnvironmentLacks, match="CUDA"):
        calibrate(Program(TINY.module, (), 60), lambda step: None)
