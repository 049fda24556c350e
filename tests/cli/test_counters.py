"""`aisp-prof counters` and `calibrate` as typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "profiler" / "counters"


def test_counters_as_text(run):
    code, out, err = run("counters", FIXTURES / "h200-gemms.csv")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["kernel", "grid", "block", "under"]
    assert "17.18 G" in lines[1]
    assert "tensor_bf16" in lines[1]
    assert "1,016.49" in lines[1]
    assert "calibration.bf16.measure" in lines[1]


def test_counters_as_json(run):
    code, out, _ = run("counters", FIXTURES / "h200-gemms.csv", "--json")
    data = json.loads(out)
    assert (code, data["schema"], data["notes"], len(data["rows"])) == (0, 1, [], 6)
    assert data["rows"][0]["flops_by_type"] == {"tensor_bf16": 17179869184}
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    section = text.partition("## `counters`")[2].partition("\n## ")[0]
    assert [field for field in data["rows"][0] if f"`{field}`" not in section] == []


def test_what_is_not_known_is_null_and_said(run):
    _, out, _ = run("counters", FIXTURES / "h200-roofline-set.csv", "--json")
    data = json.loads(out)
    assert (data["rows"][0]["flops"], data["rows"][0]["dram_bytes"]) == (None, None)
    assert "dram__bytes_read.sum" in data["notes"][0]


def test_names_from_a_report_reach_no_terminal(run, tmp_path):
    path = tmp_path / "evil.csv"
    path.write_text((FIXTURES / "h200-gemms.csv").read_text().replace("nvjet_sm90_tst", "evil\x1b[31m\u202e"))
    _, out, _ = run("counters", path)
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_a_limit(run):
    _, out, _ = run("counters", FIXTURES / "h200-gemms.csv", "--limit", "2")
    assert len(out.splitlines()) == 4
    assert "4 more" in out


def test_a_file_that_is_none_of_it(run, tmp_path):
    other = shutil.copy(ROOT / "README.md", tmp_path / "x.csv")
    code, out, err = run("counters", other)
    assert (code, out) == (2, "")
    assert "→ LC_ALL=C ncu --import" in err


@pytest.fixture
def measured(monkeypatch):
    """`calibrate` with a result that an H200 gave, without the H200."""
    from aisp_prof.profiler.capture import calibrate

    ceiling = {
        "name": "bf16", "unit": "flop/s", "what": "product", "value": 8.03e14, "n": 20, "p5": 8.01e14, "p95": 8.05e14,
        "work": 1, "times_ns": [1], "began_utc_ns": 0, "ended_utc_ns": 1, "sm_mhz": 1980,
    }  # fmt: skip
    row = {"type": "bf16", "counted": 17179869184, "declared": 17179869184, "ratio": 1.0, "ok": True}
    result = {
        "created_utc": "", "gpu": None, "versions": {}, "ceilings": [ceiling],
        "unsupported": [{"name": "fp8", "reason": "compute capability 8.0 has no fp8"}],
        "calibration": {"ncu": "2025.3.1.0", "reason": "", "mend": "", "rows": [row]}, "conditions": None,
    }  # fmt: skip
    monkeypatch.setattr(calibrate, "calibrate", lambda program, progress, only=(): result)
    return result


def test_calibrate_as_text(run, measured):
    code, out, _ = run("calibrate")
    assert code == 0
    assert "803 TFLOP/s" in out
    assert "1980 MHz" in out
    assert "fp8: not measured, compute capability 8.0 has no fp8" in out
    assert "1.0000        yes" in out


def test_calibrate_without_ncu_says_why(run, measured):
    measured["calibration"] = {"ncu": None, "reason": "no usable ncu", "mend": "install it", "rows": []}
    _, out, _ = run("calibrate")
    assert "not checked: no usable ncu" in out
    assert "→ install it" in out


def test_calibrate_stores_what_it_prints_as_json(run, measured, tmp_path):
    code, out, _ = run("calibrate", "--json", "-o", tmp_path / "c.json")
    assert (code, json.loads(out)) == (0, json.loads((tmp_path / "c.json").read_text()))
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    section = text.partition("## `calibrate`")[2].partition("\n## ")[0]
    fields = {*measured, *measured["ceilings"][0], *measured["calibration"], *measured["calibration"]["rows"][0]}
    assert [field for field in fields if f"`{field}`" not in section] == []


def test_calibrate_refuses_a_folder_that_is_not_there_before_it_measures(run, tmp_path):
    code, _, err = run("calibrate", "-o", tmp_path / "no" / "c.json")
    assert code == 2
    assert "no folder" in err
