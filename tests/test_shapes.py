"""Traces of an awkward shape: both engines answer alike, and work grows as the trace does, not with its square."""

from __future__ import annotations

import importlib.util
import sys
import time
from functools import cache
from pathlib import Path
from types import ModuleType

import engines
import pytest
from aisp_prof.cli import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
SMALL, MORE = 10_000, 8
GROWTH = 1.5 * MORE
"""Linear work with a logarithm and constant costs stays below; what was squared grew 14 to 59 times."""


@cache
def shapes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shapes", ROOT / "benchmarks" / "shapes.py")
    assert spec
    assert spec.loader
    module = sys.modules["shapes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMMANDS = [
    pytest.param(name, asked.words, id=f"{name}-{asked.words[asked.words[0] == 'trace']}")
    for name, shape in shapes().SHAPES.items()
    for asked in shape.commands
]


def answer(command: tuple[str, ...], trace: Path) -> str:
    """What a command says of a trace, in JSON where it says anything."""
    out = trace.with_suffix(".csv")
    words = [{"TRACE": str(trace), "OUT": str(out)}.get(word, word) for word in command]
    done = CliRunner().invoke(app, words if "OUT" in command else [*words, "--json"])
    assert done.exit_code in (0, 1, 4), done.output
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), done.exception
    return out.read_text() if "OUT" in command else done.stdout


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_both_engines_answer_alike(name: str, command: tuple[str, ...], tmp_path: Path) -> None:
    trace = shapes().generate(name, tmp_path / "t.sqlite", 3_000)
    answers = []
    for engine in engines.ENGINES:
        with pytest.MonkeyPatch.context() as patch:
            engines.choose(patch, engine)
            answers.append(answer(command, trace))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 100


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_work_grows_as_the_trace_does(
    name: str, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processor time of this process, the least of a few turns."""
    monkeypatch.setenv("AISP_ENGINE", "numpy")
    traces = [shapes().generate(name, tmp_path / f"{events}.sqlite", events) for events in (SMALL, MORE * SMALL)]
    answer(command, traces[0])
    taken = [min(_cpu_s(command, trace) for _ in range(2)) for trace in traces]
    assert taken[1] < GROWTH * taken[0], taken


def _cpu_s(command: tuple[str, ...], trace: Path) -> float:
    begin = time.process_time()
    answer(command, trace)
    return time.process_time() - begin
