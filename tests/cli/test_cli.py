"""The commands as a user types them: what they print, their exit codes, and that no mistake of his makes a traceback.

Most run in this process: of one of its own are what is imported for `--help`, a report, a slip, and a machine without a GPU.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from as_typed import aisp, aisp_alone
from pair_trace import capture_folder, run_pair, serial
from trace_builder import TraceBuilder

ROOT = Path(__file__).parents[2]
HOLDS = ["speedup >= 1.5", "hidden(h2d, d2h) >= 0.5"]


def built(optimized=None, **changes) -> TraceBuilder:
    trace = TraceBuilder(**changes)
    run_pair(trace, **({"optimized": optimized} if optimized else {}))
    return trace


def cpu_of_children_s() -> float:
    """User and system time of the children that ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_fast(tmp_path):
    """0.25 s of CPU time on an idle machine, 1.8 times what importing Typer and Rich takes alone; numpy or pandas would add as
    much again. The two take turns, since a busy machine makes both slower alike: of CPU time too."""
    alone, times = [sys.executable, "-P", "-c", "import typer.rich_utils"], ([], [])
    for _ in range(4):
        for taken, start in zip(times, (lambda: subprocess.run(alone, check=True),
                                        lambda: aisp_alone("--help", cwd=tmp_path).check_returncode()), strict=True):  # fmt: skip
            begun = cpu_of_children_s()
            start()
            taken.append(cpu_of_children_s() - begun)
    assert min(times[1]) < 2.1 * min(times[0]), times


def test_list_imports_nothing_that_judges(tmp_path):
    code = "import sys, aisp_prof.cli as c; sys.argv = ['aisp-prof', 'list']\ntry: c.main()\nfinally: print({'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.endswith("set()\n"), done.stdout


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys, aisp_prof.cli; print([m for m in ('numpy', 'pandas', 'torch', 'weasyprint') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".pythonpath")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("trace", "code", "word"),
    [
        (built, 0, "PROVEN"),
        (lambda: built(serial), 1, "REFUTED"),
        (lambda: built(attested=False), 4, "UNPROVEN"),
        (TraceBuilder, 4, "UNPROVEN"),
        (lambda: b"", 2, "empty"),
        (lambda: b"no database" * 1000, 2, "not an SQLite file"),
    ],
    ids=["proven", "refuted", "unattested", "nothing in it", "empty file", "no database"],
)
def test_the_exit_code_is_the_verdicts(tmp_path, trace, code, word):
    """The trace is built in the test: a manifest lists the iterations of the pair that was built last."""
    capture_folder(tmp_path / "aisp-captures", trace(), HOLDS)
    done = aisp("report", "--stage", "ch11:streams", "--format", "html", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert word in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "ch11-streams.html").is_file() is (code != 2)


@pytest.mark.parametrize(
    ("claim", "formats", "code"),
    [
        ("speedup >= 1.5", [], 0),
        ("speedup >= 99", [], 1),
        ("speedup >= 1.5", ["--format", "html,pdf"], 3),
        ("speedup >= 99", ["--format", "html,pdf"], 3),
    ],
)
def test_a_missing_printer_hides_no_verdict(tmp_path, monkeypatch, claim, formats, code):
    """The PDF's libraries were not installed, nobody asked for a PDF by name, and exit code 3 stood over a refuted claim."""
    capture_folder(tmp_path / "aisp-captures", built(), [claim])
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    done = aisp("report", "--stage", "ch11:streams", *formats, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert ("REFUTED" if "99" in claim else "PROVEN") in done.stdout
    assert "aisp-prof[pdf]" in done.stderr
    assert (tmp_path / "ch11-streams.html").is_file()
    assert not (tmp_path / "ch11-streams.pdf").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["ch11:streams"], 0, "wrote ch11-streams.html"),
        (["ch11:streams", "ch20:memory_standard", "ch11:streams"], 0, "wrote ch11-ch20.html"),
        (["ch11:streams", "ch20:memory_standard", "--bundle", "a.zip"], 2, "one chapter, these are of ch11 and ch20"),
        (["ch11:streams", "program:mine"], 2, "program:mine stands beside others"),
        (["ch11:streams", "--stage", "ch11:streams"], 2, "said twice"),
        ([], 2, "aisp-prof report ch11"),
    ],
)
def test_what_to_report_is_an_argument_or_a_stage(tmp_path, words, code, said):
    capture_folder(tmp_path / "aisp-captures", built(), HOLDS)
    done = aisp("report", *words, "--format", "html", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


def test_a_pdf_of_yesterday_is_not_said_to_be_written(tmp_path):
    capture_folder(tmp_path / "aisp-captures", built(), HOLDS)
    (tmp_path / "ch11-streams.pdf").write_text("yesterday's")
    done = aisp("report", "--stage", "ch11:streams", "--format", "html", cwd=tmp_path)
    assert "wrote ch11-streams.html" in done.stdout
    assert "ch11-streams.pdf" not in done.stdout


def test_json_is_one_document(tmp_path):
    capture_folder(tmp_path / "aisp-captures", built(), HOLDS)
    done = aisp("report", "--stage", "ch11:streams", "--format", "html", "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (data["schema"], data["stage"]) == (1, "ch11:streams")
    assert data["files"] == ["ch11-streams.html"]
    assert data["proofs"][0]["verdict"] == "proven"
    assert data["proofs"][0]["optimized"]["iterations"][0]["numbers"]["hidden(compute, copy)"] == 1.0


def test_a_changed_trace_proves_nothing(tmp_path):
    folder = capture_folder(tmp_path / "aisp-captures", built(serial), HOLDS)
    built().write(folder / "trace.sqlite")
    done = aisp("report", "--stage", "ch11:streams", "--format", "html", cwd=tmp_path)
    assert done.returncode == 4
    assert "UNPROVEN" in done.stdout


def test_the_shipped_capture_is_reported_where_there_is_no_other(tmp_path):
    done = aisp_alone("report", "--stage", "ch11:streams", "--format", "html", cwd=tmp_path)
    assert done.returncode == 0
    assert "came with aisp-prof" in done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["report", "--stage", "ch12"], "ch11"),
        (["report", "--stage", "ch11:stream"], "ch11.streams"),
        (["report", "--stage", "ch11", "--capture", "nothing"], "no capture begins with"),
        (["report", "--stage", "ch11", "--lang", "xx"], "xx"),
        (["report", "--stage", "ch11", "--format", "doc"], "doc"),
        (["capture", "ch99"], "ch99"),
        (["list", "ch99"], "ch99"),
        (["scrub", "nothing", "-o", "x"], "nothing"),
        (["frobnicate"], "No such command"),
    ],
)
def test_a_slip_is_answered(tmp_path, words, complaint):
    for run in (aisp, *([aisp_alone] if words[0] == "frobnicate" else [])):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr


def test_a_machine_without_nsys_or_gpu_cannot_capture(tmp_path):
    done = aisp_alone("capture", "ch11", cwd=tmp_path, PATH="/usr/bin:/bin")
    assert done.returncode == 3
    assert "→" in done.stderr
    assert not list(tmp_path.glob("aisp-captures/ch11*"))


def test_list_names_pairs_and_captures(tmp_path):
    rows = json.loads(aisp("list", "--json", cwd=tmp_path).stdout)["rows"]
    (streams,) = (row for row in rows if row["pair"] == "ch11.streams")
    assert streams["needs"] == ["cuda", "triton"]
    shipped = sorted(path.name for path in (ROOT / "captures").glob("ch11.streams-*"))[::-1]
    assert shipped
    assert streams["captures"] == shipped


def test_list_says_what_each_pair_needs_in_aligned_columns(tmp_path):
    head, *lines = aisp("list", "ch11", cwd=tmp_path).stdout.splitlines()
    starts = [head.index(word) for word in ("needs", "title")]
    (line,) = (line for line in lines if line.startswith("ch11.stream_ordered_kv_cache "))
    assert [line[start:].split("  ")[0].split(",")[0] for start in starts] == [
        "cuda",
        "A paged KV cache: the host waits",
    ]
    assert all(line[start - 1] == " " != line[start] for line in lines for start in starts)


def test_a_report_aligns_what_was_measured(tmp_path):
    text = aisp("report", "--stage", "ch11:adaptive_streams", "--format", "html", cwd=tmp_path).stdout
    claims = [line for line in text.splitlines() if line.startswith("  ✓")]
    where = {line.rindex("  ") for line in claims}
    assert len(claims) > 5
    assert len(where) == 1
    assert "times from CUDA events of the untraced run" in text


@pytest.mark.parametrize("command", [("report", "--format", "html", "--stage"), ("compare",), ("expect", "check")])
def test_shipped_captures_prove_nothing_in_the_place_of_ones_own(tmp_path, command):
    """A build whose captures never arrived was proven by those that came with aisp-prof."""
    own = aisp(*command, "ch11:streams", "--captures", "captures", cwd=tmp_path)
    assert own.returncode == 4
    assert "no capture of" in own.stdout + own.stderr
    by_name = aisp(*command, "ch11:streams", cwd=tmp_path, AISP_CAPTURES="captures")
    assert by_name.returncode == 4
    alone = aisp(*command, "ch11:streams", cwd=tmp_path)
    assert alone.returncode == (4 if command[0] == "expect" else 0)
    if command[0] == "expect":  # the gate of a build: nobody meant ours, unless it is named
        assert "MISSING  ch11.streams" in alone.stdout
        assert aisp(*command, "ch11:streams", "--capture", "ch11.streams-20261120", cwd=tmp_path).returncode == 0


def test_doctor_says_what_is_missing_and_how_to_get_it(tmp_path):
    rows = json.loads(aisp("doctor", "--json", cwd=tmp_path, PATH="/usr/bin:/bin").stdout)["rows"]
    checks = {row["name"]: row for row in rows}
    assert {"nsys", "ncu", "NVIDIA GPU", "torch", "triton", "Pango"} <= set(checks)
    assert all(row["mend"] for row in rows if row["status"] != "ok")


def test_terminal_escapes_in_a_capture_are_shown_not_sent(tmp_path):
    evil = {"aisp_prof": "\x1b[31m", "nsys": "\x9b2J"}
    folder = capture_folder(tmp_path / "aisp-captures", built(), HOLDS)
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    data |= {"versions": evil, "gpus": [{"name": "\x1b]0;x\x07\u202e"}]}
    path.write_text(json.dumps(data))
    for command in (
        ("report", "--stage", "ch11:streams", "--format", "html"),
        ("list", "ch11"),
        ("compare", "ch11:streams", "--captures", "aisp-captures"),
    ):
        done = aisp(*command, cwd=tmp_path)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr), command
    path.write_text(json.dumps({**data, "id": "ch11-\x1b[31mred"}))
    done = aisp("report", "--stage", "ch11:streams", "--format", "html", cwd=tmp_path)
    assert "\x1b" not in done.stdout + done.stderr
