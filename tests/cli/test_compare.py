"""`aisp-prof compare` and `roofline` as typed: from captures, from a run here, and what they refuse."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from aisp_prof.cli import capturing, compare
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import write_manifest
from aisp_prof.workloads.registry import find
from counted_pair import counted_capture
from pair_trace import validation

CLAIMS = ("speedup >= 1.5", "optimized.achieved_flops >= 280 TFLOP/s", "optimized.of_roofline >= 0.4")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def stored(tmp_path):
    """A capture of ch11:streams with counters, in a folder of captures."""
    folder = tmp_path / "captures" / "ch11.streams-counted"
    folder.mkdir(parents=True)
    manifest, _ = counted_capture(folder, CLAIMS)
    write_manifest(manifest, folder)
    return Capture(folder, manifest)


def test_fusion_leaves_every_bit_as_it_was(run):
    code, out, _ = run("compare", "ch09", "--examples", "memory_bound")
    assert code == 0
    assert "came with aisp-prof" in out
    assert "bitwise equal: yes" in out
    assert "speedup 15.7×" in out
    lines = [line.split() for line in out.splitlines()]
    rows = lines[lines.index(["pair", "claim", "expectation", "measured", "verdict"]) + 1 :]
    (pair,) = find("ch09:memory_bound")
    assert [row[-1] for row in rows] == ["proven"] * len(pair.declaration.claims)
    assert "fused_l2norm" not in out


def test_a_staged_pair_shows_its_steps_in_order_and_they_close(run):
    """Steps, and the errors of their outputs, were listed by the alphabet or not at all."""
    code, out, _ = run("compare", "ch20", "--examples", "multiple_unoptimized")
    (pair,) = find("ch20:multiple_unoptimized")
    names = list(pair.declaration.names)
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  step"))
    assert [line.split()[0] for line in lines[start + 1 : start + len(names)]] == names[1:]
    errors = next(line for line in lines if "relative error" in line)
    assert [name for name in re.findall(r"(\w+) \d\.\de", errors) if name in names] == names
    row = json.loads(run("compare", "ch20", "--examples", "multiple_unoptimized", "--json")[1])["rows"][0]
    assert sum(step["saved_ns"] for step in row["steps"]) == row["baseline_ns"] - row["optimized_ns"]
    assert row["steps"][-1]["median_ns"] == row["optimized_ns"]
    assert [(step["before"], step["variant"]) for step in row["steps"]] == list(pairwise(names))
    assert code == 0


def test_several_examples_and_json(run):
    code, out, _ = run("compare", "ch09", "--examples", "memory_bound,fused_l2norm", "--examples", "triton", "--json")
    data = json.loads(out)
    assert (code, data["schema"], data["missing"]) == (0, 1, [])
    assert [row["pair"] for row in data["rows"]] == ["ch09.memory_bound", "ch09.fused_l2norm", "ch09.triton"]
    first = data["rows"][0]
    assert (first["bitwise"], first["valid"], first["source"], first["shipped"]) == (True, True, "trace", True)
    assert first["speedup"] == pytest.approx(
        first["baseline_ns"] / first["optimized_ns"], rel=1 / first["optimized_ns"]
    )  # whole ns
    section = (ROOT / "docs" / "json.md").read_text("utf-8").partition("## `compare`")[2].partition("\n## ")[0]
    assert [field for field in (*first, *first["claims"][0]) if f"`{field}`" not in section] == []


def test_several_pairs_have_a_line_each_before_their_tables(run):
    out = run("compare", "ch09", "--pairs", "triton,memory_bound")[1]
    head, first, second, blank, *_ = out.splitlines()
    (pair,) = find("ch09:memory_bound")
    count = len(pair.declaration.claims)
    assert (head.split(), blank) == (["pair", "verdict", "speedup", "claims"], "")
    assert first.split()[:7] == ["ch09.triton", "✓", "not", "slower,", "as", "claimed", "1.02×"]
    assert second.split() == ["ch09.memory_bound", *f"✓ proven 15.7× {count} of {count} proven".split()]
    assert "claims" not in run("compare", "ch09", "--pairs", "triton")[1].splitlines()[0]


def test_an_unknown_example_is_named(run):
    code, _, err = run("compare", "ch09", "--examples", "fused_l2nrm")
    assert code == 2
    assert "did you mean fused_l2norm?" in err


def test_a_folder_of_captures_is_compared_without_a_run(run, stored, monkeypatch):
    monkeypatch.setattr(compare, "_has_gpu", lambda: 1 / 0)
    code, out, _ = run("compare", "ch11:streams", "--captures", stored.folder.parent)
    assert code == 0
    assert "(local), NVIDIA H200" in out
    assert "301.5\u00a0TFLOP/s [" in out


def test_with_a_gpu_the_pairs_run_bare_and_nothing_is_kept(run, stored, monkeypatch, tmp_path):
    asked = []

    def captured(pairs, folder, profile, iterations, size, timeout_s):
        asked.append(([pair.key for pair in pairs], profile, iterations, size))
        times = [
            {"variant": v, "index": i, "event_ns": ns + i}
            for i in range(8)
            for v, ns in (("baseline", 2000), ("optimized", 1000))
        ]
        record = {"validation": validation(), "iterations": times}
        bare = stored.manifest.changed(
            runs={"untraced": record}, files={}, profile="none", counters=None, ceilings=None
        )
        return [Capture(tmp_path, bare)]

    monkeypatch.setattr(compare, "_has_gpu", lambda: True)
    monkeypatch.setattr(capturing, "capture_pairs", captured)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("compare", "ch11:streams", "--iterations", "8")
    assert asked == [(["ch11.streams"], "none", 8, "")]
    assert code == 4  # rates and structure cannot be shown bare, the speedup can
    assert "by CUDA events of the untraced run" in out
    assert "speedup 2.00×" in out
    assert not (tmp_path / "aisp-captures").exists()


def test_the_exit_code_is_the_worst_verdicts(run, tmp_path):
    folder = tmp_path / "captures" / "ch11.streams-counted"
    folder.mkdir(parents=True)
    manifest, _ = counted_capture(folder, ["speedup >= 3"])
    bare = manifest.changed(created_utc="2026", size="x", sizes={}, gpus=[], versions={}, command=[])
    write_manifest(bare, folder)
    code, out, _ = run("compare", "ch11:streams", "--captures", folder.parent)
    assert code == 1
    assert "✗ refuted" in out


def test_the_roofline_of_a_capture(run, stored):
    code, out, _ = run("roofline", stored.folder)
    assert code == 0
    lines = out.splitlines()
    assert lines[1].startswith("range or kernel")
    assert [line.split()[0] for line in lines[2:7]] == [
        "ch11.streams.baseline.measure", "affine", "ch11.streams.optimized.measure", "affine", "gemm"
    ]  # fmt: skip
    assert "301.5 TFLOP/s" in lines[4]
    assert "40.4%" in lines[4]


def test_the_roofline_as_json(run, stored):
    code, out, _ = run("roofline", stored.manifest.id, "--captures", stored.folder.parent, "--json")
    data = json.loads(out)
    assert (code, data["schema"], data["notes"]) == (0, 1, [])
    baseline = data["rows"][0]
    assert (baseline["range"], baseline["tier"], baseline["flops_counted"]) == (
        "ch11.streams.baseline.measure",
        "counted",
        1_600_000_000,
    )
    assert [kernel["name"] for kernel in data["rows"][1]["kernels"]] == ["affine", "gemm"]
    section = (ROOT / "docs" / "json.md").read_text("utf-8").partition("## `roofline`")[2].partition("\n## ")[0]
    fields = (*data, *baseline, *baseline["kernels"][0])
    assert [field for field in fields if field != "schema" and f"`{field}`" not in section] == []


def test_a_shipped_capture_without_counters_says_so(run):
    code, out, err = run("roofline", "ch11.streams-20261120")
    assert (code, err) == (0, "")
    assert "--profile roofline" in out
