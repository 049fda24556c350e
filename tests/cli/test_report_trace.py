"""`report` of a trace that somebody has: two of its ranges as a page and a bundle that a stranger can verify."""

from __future__ import annotations

import html
import json
import re
import shlex
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.reports.catalog import LANGUAGES, catalog
from as_typed import aisp
from own_trace import IN_BLOCKS, median_by_hand, own_trace, run_steps
from pair_trace import US, serial
from parquet_folder import parquet_of
from trace_builder import Process, TraceBuilder

RANGES = ("--range", "baseline=old step*", "--range", "optimized=new step*")
ROOT = Path(__file__).parents[2]
HTML = ("--format", "html")


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps in turn; not to be written to."""
    return own_trace(tmp_path_factory.mktemp("own") / "train.sqlite")


def reported(trace: Path, cwd: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = aisp("report", trace, *words, "--json", *HTML, cwd=cwd)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_steps_in_turn_prove_a_speedup(trace: Path, tmp_path: Path) -> None:
    code, data = reported(trace, tmp_path, *RANGES, "--claim", "speedup >= 1.5", "--claim", "hidden(h2d, d2h) > 0")
    (proof,) = data["proofs"]
    assert (code, proof["verdict"], data["files"]) == (0, "proven", ["trace-train.html"])
    assert proof["speedup"]["value"] == pytest.approx(
        median_by_hand(trace, "old step*") / median_by_hand(trace, "new step*")
    )
    codes = [finding["code"] for finding in proof["caveats"]]
    assert codes[:3] == ["outputs_not_compared", "times_under_tracer", "order_not_chosen"]
    assert (tmp_path / "trace-train.html").is_file()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_says_plainly_what_nobody_looked_at(trace: Path, tmp_path: Path, lang: str) -> None:
    reported(trace, tmp_path, *RANGES, "--lang", lang)
    page = (tmp_path / "trace-train.html").read_text("utf-8").replace('<span class="word">', "").replace("</span>", "")
    say = catalog(lang)
    assert say("origin.trace") in page
    assert say("finding.outputs_not_compared.seen") in page
    assert say("against.title") not in page


def test_without_a_claim_it_is_that_the_new_one_is_faster(trace: Path, tmp_path: Path) -> None:
    code, data = reported(trace, tmp_path, *RANGES)
    assert (code, [claim["text"] for claim in data["proofs"][0]["claims"]]) == (0, ["speedup > 1"])


def test_steps_in_blocks_show_structure_and_no_speedup(tmp_path: Path) -> None:
    trace = own_trace(tmp_path / "t.sqlite", IN_BLOCKS)
    code, data = reported(
        trace, tmp_path, *RANGES, "--claim", "speedup >= 1.5", "--claim", "kernels_per_iteration == 4"
    )
    verdicts = [claim["verdict"] for claim in data["proofs"][0]["claims"]]
    assert (code, verdicts) == (4, ["unproven", "proven"])
    assert data["proofs"][0]["claims"][0]["reasons"][0]["code"] == "not_interleaved"


def test_what_is_not_so_is_refuted(tmp_path: Path) -> None:
    trace = own_trace(tmp_path / "t.sqlite", new=serial)
    assert reported(trace, tmp_path, *RANGES, "--claim", "speedup >= 1.5")[0] == 1


def test_a_variant_between_makes_steps(tmp_path: Path) -> None:
    trace = own_trace(tmp_path / "t.sqlite")
    code, data = reported(
        trace, tmp_path, *RANGES, "--range", "between=*step [0-3]", "--claim", "kernels_per_iteration == 4"
    )
    assert (code, data["proofs"][0]["between"][0]["name"]) == (4, "between")
    assert "ranges_shared" in {finding["code"] for finding in data["proofs"][0]["caveats"]}


def test_a_claims_file_names_ranges_and_claims(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "claims.toml").write_text(
        'schema = 1\nclaims = ["speedup >= 1.5"]\n[ranges]\nbaseline = "old step*"\noptimized = "new step*"\n'
    )
    code, data = reported(trace, tmp_path, "--claims", "claims.toml")
    assert (code, data["proofs"][0]["claims"][0]["text"]) == (0, "speedup >= 1.5")


def test_a_bundle_of_it_is_recomputed(trace: Path, tmp_path: Path) -> None:
    ask = ("report", trace, *RANGES, "--claim", "speedup >= 1.5", "--title", "Copies hidden", *HTML)
    for name in ("proof.zip", "again.zip"):
        done = aisp(*ask, "--bundle", "proof.zip", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (tmp_path / "proof.zip").rename(tmp_path / name)
    assert (tmp_path / "proof.zip").exists() is False
    done = aisp("verify", "again.zip", "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.returncode, data["status"], data["verdict"]) == (0, "ok", "proven")
    with zipfile.ZipFile(tmp_path / "again.zip") as packed:
        names = packed.namelist()
    assert "trace-copies_hidden.html" in names
    assert sum(name.endswith("trace.sqlite.xz") for name in names) == 1


def test_a_folder_of_parquet_files_shows_what_its_export_shows(trace: Path, tmp_path: Path) -> None:
    folder = parquet_of(trace, tmp_path / "train")
    code, data = reported(folder, tmp_path, *RANGES, "--claim", "speedup >= 1.5")
    proof = {**data["proofs"][0], "claims": [one["verdict"] for one in data["proofs"][0]["claims"]]}
    whole = reported(trace, tmp_path, *RANGES, "--claim", "speedup >= 1.5")[1]["proofs"][0]
    same = ("verdict", "speedup", "baseline", "optimized", "completeness", "gpus")
    assert (code, proof["claims"]) == (0, ["proven"])
    assert [proof[name] for name in same if name in whole] == [whole[name] for name in same if name in whole]


def test_a_trace_of_torch_profiler_refutes_and_proves_nothing(tmp_path: Path) -> None:
    """What is there is counted by hand in tests/traces/kineto: a step of five kernels. The bundle is made of an SQLite copy."""
    recorded = ROOT / "tests" / "traces" / "kineto" / "recorded.json.gz"
    ask = ("report", recorded, "--range", "baseline=step", "--range", "optimized=cpu_op:aten::mm", *HTML)
    claims = (
        "--claim",
        "baseline.kernels >= 1",
        "--claim",
        "baseline.kernels <= 4",
        "--claim",
        "optimized.kernels <= 1",
    )
    done = aisp(*ask, *claims, "--bundle", "proof.zip", "--json", cwd=tmp_path)
    (proof,) = json.loads(done.stdout)["proofs"]
    assert (done.returncode, proof["completeness"]["status"]) == (1, "unattested")
    assert [one["verdict"] for one in proof["claims"]] == ["unproven", "refuted", "unproven"]
    assert len(proof["baseline"]["iterations"]) == 8
    assert "not_compared" not in {
        caveat["code"] for caveat in proof["caveats"]
    }  # Kineto tells no uuid, so the manifest has none
    done = aisp("verify", "proof.zip", "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (data["status"], data["verdict"], data["problems"]) == ("ok", "refuted", [])


def test_a_trace_that_is_not_there_is_said_before_its_ranges_are_asked_for(tmp_path: Path) -> None:
    done = aisp("report", "nosuch.sqlite", cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "aisp-prof: nosuch.sqlite: no such file")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--range", "baseline=old*"), "which ranges are the optimized?"),
        (("--range", "old*", "--range", "optimized=new*"), "of which variant?"),
        ((*RANGES, "--claim", "speedup >= fast"), "speedup >= fast"),
        ((*RANGES, "--claim", "achieved_flops >= 1 TFLOP/s"), "no counters"),
        ((*RANGES, "--claim", "time <= 1.1 * floor"), "what its work needs"),
        ((*RANGES, "--attribution", "everyone"), "everyone"),
    ],
)
def test_a_slip_is_answered_before_anything_is_read(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = aisp("report", "none.sqlite", *words, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_what_is_no_trace_is_said(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("no trace")
    done = aisp("report", "text.sqlite", *RANGES, cwd=tmp_path)
    assert (done.returncode, done.stderr.startswith("aisp-prof: text.sqlite: not an SQLite file")) == (2, True)
    done = aisp("report", trace, trace, trace, "--range", "step", cwd=tmp_path)
    assert (done.returncode, "neither one trace nor two" in done.stderr) == (2, True)
    done = aisp("report", "ch11:streams", *RANGES, cwd=tmp_path)
    assert (done.returncode, "its own" in done.stderr) == (2, True)


def test_ranges_that_are_not_there_are_unproven(trace: Path, tmp_path: Path) -> None:
    code, data = reported(trace, tmp_path, "--range", "baseline=old step*", "--range", "optimized=newer*")
    assert code == 4
    assert "range_not_found" in {f["code"] for f in data["proofs"][0]["claims"][0]["reasons"]}


def test_named_ranges_never_stand_under_a_pairs_name(trace: Path, tmp_path: Path) -> None:
    manifest = reported(trace, tmp_path, *RANGES)[1]["proofs"][0]["manifest"]
    manifest["declaration"]["chapter"] = "ch11"
    with pytest.raises(UsageError, match="the chapter is 'trace'"):
        Manifest.from_json(manifest)


def test_names_of_others_stay_text(tmp_path: Path) -> None:
    """Of ranges, and of a title: markup, a placeholder of our own sentence, a command to a build server."""
    names = ("<script>old {speedup}</script>", "::error::new step")
    trace = own_trace(tmp_path / "t.sqlite", names=names)
    words = ("--range", "baseline=<script>old*", "--range", "optimized=::error::*", *HTML)
    done = aisp("report", trace, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not any(line.startswith("::error") for line in done.stdout.splitlines())
    assert "<script>old" not in (tmp_path / "trace-t.html").read_text("utf-8")
    done = aisp("report", trace, *words, "--title", "<b>{speedup}</b> \u202e", cwd=tmp_path)
    page = (tmp_path / "trace-b_speedup_b.html").read_text("utf-8")
    assert (done.returncode, "<b>" in page, "\u202e" in page, "&lt;b&gt;(speedup)&lt;/b&gt;" in page) == (
        0,
        False,
        False,
        True,
    )


def test_the_command_on_the_page_makes_it_again(trace: Path, tmp_path: Path) -> None:
    ask = (*RANGES, "--claim", "speedup >= 1.5", "--title", "Copies hidden", *HTML)
    aisp("report", trace, *ask, "--bundle", "proof.zip", cwd=tmp_path)
    with zipfile.ZipFile(tmp_path / "proof.zip") as packed:
        packed.extractall(tmp_path / "out")
    page = html.unescape(next((tmp_path / "out").glob("*.html")).read_text("utf-8"))
    (command,) = set(re.findall(r"<code>aisp-prof (report .*?)</code>", page))
    folder = next((tmp_path / "out" / "captures").iterdir())
    done = aisp(*shlex.split(command), *HTML, "--json", cwd=folder)
    (proof,) = json.loads(done.stdout)["proofs"]
    assert (done.returncode, proof["verdict"], proof["manifest"]["declaration"]["title"]) == (
        0,
        "proven",
        {"en": "Copies hidden"},
    )


def test_work_of_other_threads_is_told(tmp_path: Path) -> None:
    def backward(p: Process, at: int, wobble: int) -> int:
        end = serial(p, at, wobble)
        for place in range(12):
            call = at + 2_000 + place * 10
            p.kernel("backward", (call, call + 1), (end + place * US, end + place * US + 500), tid=2)
        return end + 13 * US

    trace = own_trace(tmp_path / "t.sqlite", old=backward)
    code, data = reported(trace, tmp_path, *RANGES, "--claim", "kernels == 4", "--claim", "baseline.kernels == 4")
    (told,) = [one for one in data["proofs"][0]["caveats"] if one["code"] == "other_threads"]
    assert (code, told["values"]) == (0, {"variant": "baseline", "count": 72, "of": 144})
    said = aisp("report", trace, *RANGES, *HTML, cwd=tmp_path).stdout
    assert "the baseline ranges 72 came from other threads" in said
    assert "--attribution process" in said
    code, data = reported(trace, tmp_path, *RANGES, "--attribution", "process", "--claim", "baseline.kernels == 16")
    assert (code, [one for one in data["proofs"][0]["caveats"] if one["code"] == "other_threads"]) == (0, [])


def test_ranges_on_different_gpus_are_not_added(tmp_path: Path) -> None:
    """Each of them is on a GPU where the other has nothing: this ended with an IndexError."""
    built = TraceBuilder()
    run_steps(built, "A" * 8)
    run_steps(built, "B" * 8, gpu="ffffffff-b9e3", pid=552, begin=40_000 * US)
    built.write(tmp_path / "t.sqlite")
    code, data = reported(tmp_path / "t.sqlite", tmp_path, *RANGES)
    assert (code, data["proofs"][0]["speedup"]) == (4, None)
    assert "mixed_devices" in {one["code"] for one in data["proofs"][0]["caveats"]}


def test_a_claims_file_with_communication_of_ones_own_is_refused_and_not_half_read(trace: Path, tmp_path: Path) -> None:
    """The page would count other kernels than the file says, and whoever verifies it has no such patterns."""
    (tmp_path / "claims.toml").write_text(
        'schema = 1\nclaims = ["speedup > 1"]\ncommunication = ["^ring_"]\n[ranges]\nbaseline = "old step*"\noptimized = "new step*"\n'
    )
    done = aisp("report", trace, "--claims", "claims.toml", *HTML, cwd=tmp_path)
    assert done.returncode == 2
    assert "a page knows communication by the names that all know" in done.stderr


def test_kernels_by_name_are_claimed_on_a_page_and_recomputed(trace: Path, tmp_path: Path) -> None:
    claims = ("--claim", "count(kernel:*) == optimized.kernels", "--claim", "count(stream:99) == 0")
    code, data = reported(trace, tmp_path, *RANGES, *claims)
    assert (code, [one["verdict"] for one in data["proofs"][0]["claims"]]) == (0, ["proven", "proven"])
    assert aisp("report", trace, *RANGES, *claims, *HTML, "--bundle", "p.zip", cwd=tmp_path).returncode == 0
    assert aisp("verify", "p.zip", cwd=tmp_path).returncode == 0
