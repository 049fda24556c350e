"""docs/chapters.md: every command of its tables is typed, and does what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from aisp_prof.cli import counters
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.profiler.capture.conditions import open_gpu
from aisp_prof.workloads.bare import main
from aisp_prof.workloads.demos.registry import demos
from aisp_prof.workloads.registry import pairs

PAGE = (Path(__file__).parents[2] / "docs" / "chapters.md").read_text("utf-8")
HERE = [line.split(" | ")[1].strip() for line in PAGE.splitlines() if line.startswith("| ") and "| here |" not in line]
COMMANDS = {match[1]: match[2] or "" for cell in HERE for match in re.finditer(r"`([^`]+)`(?: ([ᴳᶜ]))?", cell)}
"""What is typed, and its mark: what it needs."""
NEEDS_A_GPU = "ᴳ"


def lacking(*_: object) -> None:
    raise EnvironmentLacks("no GPU", "aisp-prof doctor")


Run = Callable[..., tuple[int, str, str]]


def test_every_row_names_a_command_or_says_why_there_is_none() -> None:
    assert len(HERE) > 70
    for cell in HERE:
        assert cell == "–" or re.fullmatch(r"`(aisp-prof|python -m aisp_prof\.)[^`]+`(?: [ᴳᶜ])?", cell), cell
    missing = [line for line in PAGE.splitlines() if line.split(" | ")[1:2] == ["–"] and line.endswith("| – | |")]
    assert missing == []


def test_every_pair_and_demo_of_these_chapters_is_there() -> None:
    typed = " ".join(COMMANDS)
    assert {pair.key.replace(".", ":") for pair in pairs() if pair.key.replace(".", ":") not in typed} == set()
    twins = {
        "ch10-memory-pipeline",
        "ch11-event-timing",
        "ch11-memory-async",
        "ch11-stream-overlap",
        "ch11-stream-priority",
    }
    assert {demo.name for demo in demos() if f"demos {demo.name}" not in typed} <= twins


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("aisp-prof")])
def test_it_does_what_the_page_says(command: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_gpu() as gpu:
        if COMMANDS[command] == NEEDS_A_GPU and gpu is not None:
            pytest.skip("there is a GPU: tests/testing/test_on_gpu.py captures on it")
    monkeypatch.setattr(counters, "measure_ceilings", lacking)  # a second each time, to find no GPU
    code, out, err = run(*shlex.split(command)[1:])
    assert code == {"": 0, NEEDS_A_GPU: 3, "ᶜ": 4}[COMMANDS[command]], out + err
    assert (COMMANDS[command] == NEEDS_A_GPU) == ("→" in err)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("python")])
def test_a_module_of_a_pair_takes_what_the_page_says(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, module, *arguments = shlex.split(command)
    monkeypatch.chdir(tmp_path)
    with open_gpu() as gpu:
        if COMMANDS[command] and gpu is not None:
            pytest.skip("there is a GPU: the pair would run for a while")
    code = main(import_module(module).PAIR, arguments)
    out, err = capsys.readouterr()
    assert (code, "mend: run on a machine with an NVIDIA GPU" in err) == (
        (3, True) if COMMANDS[command] else (0, False)
    ), out + err
