"""What the benchmark compares others with: real reports of `nsys stats`, and readers that are here, tell the same as it."""

from __future__ import annotations

import csv
import importlib.util
import json
import lzma
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NAME = "two-gpus-node"
STATS = ROOT / "tests" / "traces" / f"{NAME}.stats"
"""Reports that nsys 2025.3.1 wrote of this trace on the two H200s where it was made."""


@cache
def _module(name: str) -> ModuleType:
    for needed in {"run": ("shapes", "peers"), "gemm_quack": ("gemm_ladder",)}.get(name, ()):
        _module(needed)
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plain = tmp_path_factory.mktemp("bench") / "t.sqlite"
    plain.write_bytes(lzma.decompress((ROOT / "tests" / "traces" / f"{NAME}.sqlite.xz").read_bytes()))
    return plain


@pytest.fixture(scope="module")
def ours(trace: Path) -> Any:
    return _module("run").Ours(trace, trace.parent / "cache")


@pytest.mark.parametrize("report", ["nvtx_gpu_proj_sum", "cuda_gpu_kern_sum"])
def test_what_nsys_tells_is_compared_line_by_line(report: str, ours: Any) -> None:
    run = _module("run")
    with (STATS / f"{report}.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) > 3
    assert run.same_report(report, lines, ours)
    for key in ("Range Instances", "Total Proj Time (ns)") if report.startswith("nvtx") else ("Instances", "Max (ns)"):
        changed = [dict(line) for line in lines]
        changed[-1][key] = str(int(changed[-1][key]) + 1)
        assert not run.same_report(report, changed, ours), key
    assert not run.same_report(report, lines[1:], ours)


def test_a_reader_tells_what_we_read(trace: Path, ours: Any) -> None:
    """Python's own module, which is everywhere."""
    peer = [sys.executable, str(ROOT / "benchmarks" / "peers.py"), "sqlite3"]
    told = [
        json.loads(subprocess.run([*peer, work, str(trace)], stdout=subprocess.PIPE, check=True).stdout)
        for work in ("digest", "kernels")
    ]
    assert told[0] == ours.digest
    run = _module("run")
    assert run.same_kernels(told[1], ours.kernels)
    name, count, total, *rest = told[1][0]
    assert not run.same_kernels([[name, count, total + 1, *rest], *told[1][1:]], ours.kernels)


@pytest.mark.parametrize("error", [5e-3, float("nan")])
def test_an_anchor_that_multiplies_wrongly_is_not_timed(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    quack = _module("gemm_quack")
    monkeypatch.setattr(quack, "product", lambda folder, tile: tile)
    monkeypatch.setattr(quack, "check", lambda tile: error if tile == quack.UNASKED else 1.7e-3)
    with pytest.raises(SystemExit, match=rf"wrong products: {{'pingpong-128x192-2x1': {error}}}"):
        quack.run(Path(), 1, None)
