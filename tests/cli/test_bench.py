"""`aisp-prof bench`: the chapters' commands, over the same captures and proofs as the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aisp_prof.cli import app, capturing
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.workloads.registry import pairs
from typer.testing import CliRunner


def run(*arguments):
    return CliRunner().invoke(app, ["bench", *arguments])


def test_targets_are_those_of_the_registry():
    assert run("list-targets").stdout.split() == [pair.key.replace(".", ":") for pair in pairs()]
    rows = json.loads(run("list-targets", "--chapter", "ch11", "--json").stdout)["rows"]
    assert {row["target"].partition(":")[0] for row in rows} == {"ch11"}
    assert "ch11:streams" in {row["target"] for row in rows}


@pytest.fixture
def captured(monkeypatch):
    """Stands for a GPU: the shipped capture of each pair that is asked for; `captured` holds what was asked."""
    asked = []

    def capture(chosen, folder, profile, iterations, size, timeout_s):
        asked.append(([pair.key for pair in chosen], folder, profile, iterations))
        return [shipped_store().captures(pair.key)[-1] for pair in chosen]

    monkeypatch.setattr(capturing, "capture_pairs", capture)
    return asked


def test_targets_are_captured_once_each_and_judged(captured, tmp_path):
    arguments = ["--targets", "ch11:streams,ch09:triton", "--targets", "ch11.streams", "--iterations", "6"]
    result = run("run", *arguments, "--captures", str(tmp_path), "--profile", "roofline")
    assert captured == [(["ch11.streams", "ch09.triton"], Path(tmp_path), "roofline", 6)]
    assert result.exit_code == 0
    assert "ch11.streams  PROVEN" in result.stdout


def test_the_exit_code_is_the_worst_verdicts(captured, monkeypatch):
    capture = shipped_store().captures("ch11.streams")[-1]
    declaration = capture.manifest.declaration
    worse = type(declaration).from_json({**declaration.to_json(), "claims": ["speedup >= 99"]})
    changed = type(capture)(
        capture.folder, type(capture.manifest).from_json({**capture.manifest.to_json(), "declaration": worse.to_json()})
    )
    monkeypatch.setattr(capturing, "capture_pairs", lambda *arguments: [changed])
    assert run("run", "--targets", "ch11:streams").exit_code == 1
