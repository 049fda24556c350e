"""`report` of the traces of two runs: one page and one bundle, which say that there were two sessions."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from aisp_prof.reports.catalog import LANGUAGES, catalog
from as_typed import aisp
from own_trace import median_by_hand, own_trace

STEP = ("--range", "*step*", "--format", "html")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Not to be written to."""
    folder = tmp_path_factory.mktemp("runs")
    return own_trace(folder / "before.sqlite", "A" * 12), own_trace(folder / "after.sqlite", "B" * 12)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_page_of_two_runs(runs: tuple[Path, Path], tmp_path: Path, lang: str) -> None:
    ask = (*runs, *STEP, "--claim", "speedup >= 1.05", "--claim", "hidden(h2d, d2h) > 0", "--lang", lang, "--json")
    done = aisp("report", *ask, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (proof,) = json.loads(done.stdout)["proofs"]
    by_hand = median_by_hand(runs[0], "*step*") / median_by_hand(runs[1], "*step*")
    assert proof["speedup"]["value"] == pytest.approx(by_hand)
    assert proof["speedup"]["low"] < by_hand / 1.049
    assert "separate_sessions" in {finding["code"] for finding in proof["caveats"]}
    page = (tmp_path / "trace-after.html").read_text("utf-8").replace('<span class="word">', "").replace("</span>", "")
    assert catalog(lang)("origin.traces") in page


def test_a_bundle_holds_both_and_is_recomputed(runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = aisp("report", *runs, *STEP, "--bundle", "two.zip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "two.zip") as packed:
        names = {Path(name).name for name in packed.namelist()}
        proof = json.loads(packed.read("proof.json"))
    assert {"trace.sqlite.xz", "trace-optimized.sqlite.xz"} <= names
    (one,) = proof["proofs"].values()
    sources = {name: one["numbers"][f"{name}.median.iteration"]["source"] for name in ("baseline", "optimized")}
    assert sources == {"baseline": "trace", "optimized": "trace-optimized"}
    done = aisp("verify", "two.zip", "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.returncode, data["status"], data["verdict"]) == (0, "ok", "proven")


def test_another_gpu_has_no_speedup(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = own_trace(tmp_path / "other.sqlite", "B" * 12, gpu="ffffffff-b9e3")
    done = aisp("report", runs[0], other, *STEP, "--claim", "speedup >= 1.05", "--claim", "kernels == 4", cwd=tmp_path)
    assert done.returncode == 4
    assert "The two sessions differ in gpu" in done.stdout
    assert "✓ kernels == 4" in done.stdout


def test_one_range_or_two_of_their_own_names(runs: tuple[Path, Path], tmp_path: Path) -> None:
    words = ("--range", "baseline=old step*", "--range", "optimized=new step*", "--format", "html")
    assert aisp("report", *runs, *words, cwd=tmp_path).returncode == 0
    done = aisp("report", *runs, "--format", "html", cwd=tmp_path)
    assert (done.returncode, "which ranges" in done.stderr) == (2, True)
