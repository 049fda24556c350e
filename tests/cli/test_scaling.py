"""`aisp-prof bench scaling` as it is typed: a stored sweep read, and one measured by its program on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aisp_prof.cli import app, scaling
from aisp_prof.profiler.capture import calibrate
from aisp_prof.workloads.ch10 import analyze_scaling
from sweeps import SIZES, TERMS, stored
from typer.testing import CliRunner


def output(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["bench", "scaling", *words], catch_exceptions=code == 0)
    assert done.exit_code == code, done.output
    return done.stdout


def test_a_stored_sweep_is_fitted_and_drawn(tmp_path: Path) -> None:
    path, page = stored(tmp_path), tmp_path / "page.html"
    data = json.loads(output(str(path), "-o", str(page), "--json"))
    assert (data["schema"], data["pair"], data["file"]) == (1, "ch10.flash_attention", str(page))
    assert [growth["variant"] for growth in data["growths"]] == list(TERMS)
    assert [point["size"] for point in data["growths"][0]["points"]] == list(SIZES)
    assert "Time and rate over the size." in page.read_text("utf-8")
    assert "ch10.flash_attention over seq" in output(str(path))


def test_what_its_program_records_on_a_cpu_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: child process, every output checked, all runs stored, and the same answer from the file."""
    tiny = [
        "--device",
        "cpu",
        "--tokens",
        "128",
        "--heads",
        "1",
        "--dim",
        "16",
        "--iterations",
        "2",
        "--lengths",
        "16",
        "32",
        "64",
        "128",
    ]
    command = calibrate.Program.command
    monkeypatch.setattr(calibrate.Program, "command", lambda one, record: [*command(one, record), *tiny])
    record = tmp_path / "sweep.json"
    first = json.loads(output("--record", str(record), "--json"))
    assert [point["size"] for point in first["growths"][0]["points"]] == [16, 32, 64, 128]
    assert first == json.loads(output(str(record), "--json"))
    kept = json.loads(record.read_text())["records"]
    assert [one["sizes"]["batch"] for one in kept] == [8, 4, 2, 1]
    assert all(len(one["iterations"]) == 6 and one["validation"]["valid"] for one in kept)


@pytest.mark.parametrize("words", [["none.json"], ["--record", "none/sweep.json"], ["x.json", "-o", "page.txt"]])
def test_slips_are_told_at_once(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scaling, "PROGRAM", "aisp_prof.nothing")
    from aisp_prof.errors import UsageError

    with pytest.raises(UsageError):
        CliRunner().invoke(app, ["bench", "scaling", *words], catch_exceptions=False)


def test_lengths_must_divide_the_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    assert analyze_scaling.main(["--device", "cpu", "--tokens", "100", "--lengths", "30"]) == 2
    assert "do not divide into sequences of 30" in capsys.readouterr().err
    assert all(analyze_scaling.TOKENS % length == 0 for length in analyze_scaling.LENGTHS)
