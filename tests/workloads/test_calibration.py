"""The calibration program on a CPU: the code that a GPU runs, at a tiny size."""

from __future__ import annotations

import json

import pytest
import torch
from aisp_prof.profiler.judging import limits
from aisp_prof.workloads import calibration
from aisp_prof.workloads.calibration import SIZES, Ceiling, ceilings, gemms, lacking, main, product
from aisp_prof.workloads.device import CpuDevice, CudaDevice

TINY = SIZES["tiny"]
NAMES = {"copy", "read", "h2d", "d2h", "h2d_both", "d2h_both", "h2d_pageable", "d2h_pageable", "launch"}
MATRICES = {"bf16", "fp16", "tf32", "fp32"}


@pytest.fixture(scope="module")
def measured():
    return {one.name: one for one in ceilings(CpuDevice(), TINY, lambda line: None)}


def test_every_ceiling_is_measured(measured):
    assert set(measured) == NAMES | MATRICES | {f"{name}_sustained" for name in MATRICES}


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (["h2d_both"], {"h2d", "d2h", "h2d_both", "d2h_both"}),
        (["read"], {"copy", "read"}),
        (["bf16", "launch"], {"bf16", "launch"}),
        (["fp32_sustained", "h2d_pageable"], {"fp32", "fp32_sustained"} | NAMES - {"copy", "read", "launch"}),
    ],
)
def test_those_that_are_named_are_measured_with_what_comes_along(tmp_path, only, found):
    path = tmp_path / "c.json"
    assert main(["--device", "cpu", "--size", "tiny", "--record", str(path), "--only", *only]) == 0
    assert {one["name"] for one in json.loads(path.read_text())["ceilings"]} == found


def test_a_misspelt_ceiling_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--device", "cpu", "--size", "tiny", "--only", "h2b"])
    assert "invalid choice: 'h2b'" in capsys.readouterr().err


def test_all_that_a_claim_may_name_is_measured():
    assert {*limits.CEILINGS, "launch"} == set(calibration.CEILINGS)


@pytest.mark.parametrize(
    ("free", "elements"),
    [(64 << 30, 1 << 30), (17 << 30, 1 << 30), (16 << 30, 1 << 30), (15 << 30, 1 << 29), (3 << 30, 1 << 27)],
)
def test_two_arrays_fill_at_most_half_of_what_is_free(monkeypatch, free, elements):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80 << 30))
    found = calibration.fitting(CudaDevice(), 1 << 30)
    assert found == elements
    assert 2 * 4 * found <= free // 2


def test_every_run_is_kept_and_rates_are_positive(measured):
    for one in measured.values():
        assert len(one.times_ns) == TINY.runs
        assert one.value > 0
        assert one.began_utc_ns <= one.ended_utc_ns


def test_the_work_of_a_run(measured):
    work = {name: one.work for name, one in measured.items()}
    assert (work["copy"], work["read"]) == (8 * TINY.elements, 4 * TINY.elements)
    assert work["bf16"] == 2 * TINY.matrix**3
    assert work["launch"] == TINY.launches
    assert (work["h2d"], work["h2d_both"]) == (4 * TINY.link_elements, 16 * TINY.link_elements)


def test_median_and_spread():
    one = Ceiling("x", "byte/s", "", 1000, (1000, 500, 2000), 0, 1)
    assert one.value == pytest.approx(1e9)
    low, high = one.spread
    assert 0.5e9 <= low < one.value < high <= 2e9


@pytest.mark.parametrize(("kind", "tolerance"), [("fp64", 1e-6), ("fp32", 1e-5), ("bf16", 2e-2), ("fp16", 2e-3)])
def test_the_product_is_one_of_random_matrices(kind, tolerance):
    with product(CpuDevice(), kind, 32) as run:
        out = run()
    a, b = (CpuDevice().normal(32 * 32, calibration.SEED + i).view(32, 32).double() for i in (1, 2))
    assert torch.linalg.norm(out.double() - a @ b) / torch.linalg.norm(a @ b) < tolerance


def test_float32_precision_is_put_back():
    before = torch.get_float32_matmul_precision()
    with product(CpuDevice(), "tf32", 8):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_gemms_stand_in_ranges_of_their_own(notes, domain):
    declared = gemms(CpuDevice(), 8, notes)
    assert declared == dict.fromkeys(("bf16", "fp16", "tf32", "fp32", "fp64"), 2 * 8**3)
    assert [call[1] for call in domain.calls if call[0] == "push"] == [
        f"calibration.{kind}.measure" for kind in declared
    ]


def test_what_a_cpu_lacks():
    assert "GPUs only" in lacking(CpuDevice(), "fp8")
    assert lacking(CpuDevice(), "bf16") == ""


def test_the_record(tmp_path):
    path = tmp_path / "c.json"
    assert main(["--device", "cpu", "--size", "tiny", "--record", str(path)]) == 0
    data = json.loads(path.read_text())
    assert (data["schema"], data["device"], data["gpu"]) == (1, "cpu", None)
    assert [one["name"] for one in data["unsupported"]] == ["fp8"]
    assert {"value", "n", "p5", "p95", "times_ns", "work", "unit", "what"} <= set(data["ceilings"][0])


def test_a_folder_that_does_not_exist_is_refused_at_once(tmp_path, capsys):
    assert main(["--device", "cpu", "--size", "tiny", "--record", str(tmp_path / "no" / "c.json")]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(capsys):
    assert main([]) == 3
    assert "no CUDA device" in capsys.readouterr().err
