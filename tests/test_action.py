"""The composite action: its steps run as GitHub runs them, with what it would set, against this checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pair_trace import run_pair
from trace_builder import TraceBuilder

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: scripts/setup test")

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
RANGE = "ch11.streams.optimized.measure"
PYTHON = """#!/bin/sh
# stands for a Python without a network: makes an environment into which this checkout is "installed"
if [ "$2" = venv ]; then
  mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
elif [ "$2 $3" = "pip install" ]; then
  for last; do :; done
  [ -f "$last/pyproject.toml" ] || exit 9
  printf '#!/bin/sh\\nPYTHONPATH=%s/.pythonpath exec {python} -P -m aisp_prof "$@"\\n' "$last" >"${{0%/*}}/aisp-prof"
  chmod +x "${{0%/*}}/aisp-prof"
else
  exit 8
fi
"""


@pytest.fixture
def job(tmp_path):
    """Run the action's steps with these inputs; returns exit code, outputs, log and summary."""
    trace = TraceBuilder()
    run_pair(trace)
    trace.write(tmp_path / "run.sqlite")
    python = tmp_path / "a python"
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}

    def run(**inputs):
        given = {"trace": "run.sqlite", "python": str(python), **{k.replace("_", "-"): v for k, v in inputs.items()}}
        log, code = "", 0
        for path in files.values():
            path.write_text("")
        for step in ACTION["runs"]["steps"]:
            environment = {
                "PATH": os.environ["PATH"],
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(ROOT),
                "RUNNER_TEMP": str(tmp_path / "runner temp"),
                **{name: str(path) for name, path in files.items()},
                **{name: value_of(text, given) for name, text in step["env"].items()},
            }
            command = [step["shell"], "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            log, code = log + done.stdout + done.stderr, done.returncode
            if code:
                break
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return code, outputs, log, files["GITHUB_STEP_SUMMARY"].read_text()

    return run


def value_of(text, given):
    """An expression of an input, as GitHub evaluates it."""
    (name,) = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", text).groups()
    declared = ACTION["inputs"][name]
    assert declared.get("required") or "default" in declared
    return given.get(name, declared.get("default"))


@pytest.mark.parametrize(
    ("claims", "code", "verdict"),
    [
        ("hidden(h2d, d2h) >= 0.5\nkernels_per_iteration == 4", 0, "proven"),
        ("hidden(h2d, d2h) >= 0.5\n\nhidden(h2d, d2h) >= 0.99\n", 1, "refuted"),
        ("hidden(comm) >= 0.5", 4, "unproven"),
        ("hiden(comm) >= 0.5", 2, "error"),
        ("", 2, "error"),
    ],
)
def test_the_job_ends_as_the_claims_do(claims, code, verdict, job, tmp_path):
    ended, outputs, log, summary = job(claims=claims, range=RANGE)
    assert (ended, outputs["verdict"]) == (code, verdict), log
    assert ("sarif" in outputs) is (verdict != "error")
    assert ("::error " in log) is (verdict in ("refuted", "unproven"))
    assert (f": {verdict}\n" in summary) is (verdict != "error")
    if verdict != "error":
        (run,) = json.loads((tmp_path / outputs["sarif"]).read_text())["runs"]
        assert len(run["results"]) == (verdict != "proven")


def test_a_claims_file_several_ranges_and_the_rest(job, tmp_path):
    (tmp_path / "my claims.toml").write_text('schema = 1\nclaims = ["a.hidden(h2d, d2h) >= 0.99"]\n')
    code, outputs, log, _ = job(
        claims_file="my claims.toml",
        claims="speedup(b, a) >= 1.5",
        range=f"a={RANGE}\nb=*.baseline.measure",
        domain="aisp",
        attribution="process",
        communication="^no_kernel$\n^nor_this",
        sarif="my out.sarif",
        junit="j.xml",
        category="steps of a",
    )
    assert (code, outputs) == (1, {"sarif": "my out.sarif", "verdict": "refuted"})
    assert "launches by process" in log
    assert "::error file=my claims.toml,line=2," in log
    assert (tmp_path / "j.xml").is_file()
    (run,) = json.loads((tmp_path / "my out.sarif").read_text())["runs"]
    assert run["automationDetails"]["id"] == "aisp-prof/steps of a/"


def test_every_pattern_of_communication_is_read(job):
    code, _, log, _ = job(claims="busy >= 0us", communication="^fine$\n(unclosed")
    assert (code, "'(unclosed' is no regular expression" in log) == (2, True)


def test_what_an_older_run_left_is_no_answer(job, tmp_path):
    (tmp_path / "aisp-prof.sarif").write_text("{}")
    code, outputs, _, _ = job(trace="nothing.sqlite", claims="busy >= 0us")
    assert (code, outputs) == (2, {"verdict": "error"})


def test_inputs_are_text_and_never_run(job, tmp_path):
    hostile = '$(touch x); `touch x`; "; touch x; "'
    for name in ("trace", "claims", "claims_file", "range", "domain", "attribution", "communication", "category"):
        job(**{"claims": "busy >= 0us", name: hostile})
    assert not (tmp_path / "x").exists()
    assert not [step for step in ACTION["runs"]["steps"] if "${{" in step["run"]]
