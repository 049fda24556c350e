"""A pair of one's own that an H200 ran (2026-11-30), from a repository outside the tree: recomputed here, and by SQL alone."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

MINE = Path(__file__).parents[1] / "own_pair"
KEY = "norm.add_rms_norm"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AISP_CAPTURES", "AISP_EXPECTATIONS"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(MINE, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "mine" / "captures").rename(tmp_path / "mine" / "aisp-captures")
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "mine"


def by_sql(repo: Path) -> dict[str, list[tuple[int, int]]]:
    """Variant -> for each measured iteration how many kernels ran that its process launched in it, and from the first one's
    start to the last one's end in ns."""
    (packed,) = repo.glob("aisp-captures/*/trace.sqlite.xz")
    (repo / "trace.sqlite").write_bytes(lzma.decompress(packed.read_bytes()))
    with sqlite3.connect(repo / "trace.sqlite") as database:
        ranges = database.execute(
            "select coalesce(n.text, s.value), n.start, n.end from NVTX_EVENTS n left join StringIds s on s.id = n.textId "
            "where n.end is not null"
        ).fetchall()
        launched = database.execute(
            "select r.start, k.start, k.end from CUPTI_ACTIVITY_KIND_KERNEL k join CUPTI_ACTIVITY_KIND_RUNTIME r "
            "on r.correlationId = k.correlationId"
        ).fetchall()
    found: dict[str, list[tuple[int, int]]] = {}
    for variant in ("baseline", "optimized"):
        measured = [(a, b) for name, a, b in ranges if name == f"{KEY}.{variant}.measure"]
        for name, start, end in ranges:
            if name == "iter" and any(a <= start and end <= b for a, b in measured):
                kernels = [(begun, ended) for called, begun, ended in launched if start <= called <= end]
                span = max(ended for _, ended in kernels) - min(begun for begun, _ in kernels)
                found.setdefault(variant, []).append((len(kernels), span))
    return found


def test_its_numbers_are_those_of_the_trace_by_sql(repo: Path, run: Run) -> None:
    code, out, err = run("report", KEY, "--format", "html", "--json")
    assert code == 0, err
    (proof,) = json.loads(out)["proofs"]
    found = by_sql(repo)
    assert {name: len(each) for name, each in found.items()} == {"baseline": 20, "optimized": 20}
    assert {count for count, _ in found["baseline"]} == {7}
    assert {count for count, _ in found["optimized"]} == {1}
    spans = {name: median(span for _, span in each) for name, each in found.items()}
    assert proof["speedup"]["value"] == pytest.approx(spans["baseline"] / spans["optimized"], rel=1e-9)
    assert proof["verdict"] == "proven"
    assert {claim["claim"] if "claim" in claim else claim["text"]: claim["verdict"] for claim in proof["claims"]} == {
        "speedup >= 2.5": "proven",
        "optimized.kernels_per_iteration == 1": "proven",
        "baseline.kernels_per_iteration == 7": "proven",
    }


def test_its_bundle_is_verified_beside_the_code_that_it_is_of(repo: Path, run: Run) -> None:
    assert run("report", KEY, "--format", "html", "--bundle", "proof.zip")[0] == 0
    code, out, err = run("verify", "proof.zip")
    assert code == 0, out + err
    assert "✓ sources      2 files that its pairs are made of are here as they were" in out
    kernels = repo / "bench" / "kernels.py"
    kernels.write_text(kernels.read_text().replace("num_warps=8", "num_warps=4"))
    code, out, _ = run("verify", "proof.zip")
    assert code == 4
    assert "sources: bench/kernels.py" in out
    assert "sources: bench/norm.py" not in out


def test_what_was_expected_on_the_day_is_met(repo: Path, run: Run) -> None:
    code, out, err = run("expect", "check", "norm:add_rms_norm")
    assert code == 0, err
    assert "✓ MET  norm.add_rms_norm on h200" in out
    assert run("report", KEY, "--format", "html")[0] == 0
    page = (repo / "norm-add_rms_norm.html").read_text("utf-8")
    assert "Of what this pair must show on h200, 15 of 15 hold" in page
    code = {
        name: hashlib.sha256((repo / "bench" / name).read_bytes()).hexdigest() for name in ("norm.py", "kernels.py")
    }
    assert {name: f"bench/{name}" in page and sha256 in page for name, sha256 in code.items()} == {
        "norm.py": True, "kernels.py": True
    }  # fmt: skip
