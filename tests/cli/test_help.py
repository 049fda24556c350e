"""What `aisp-prof -h` shows: every command in a panel, with an example that the command itself reads."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from aisp_prof.cli import app
from aisp_prof.cli.help import PANELS, show
from aisp_prof.cli.only import only
from typer.main import get_command
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
EXAMPLES = [(name, example) for group in PANELS.values() for name, example in group.items()]


def test_every_command_stands_in_one_panel() -> None:
    face = get_command(app)
    assert sorted(face.commands) == sorted(name for name, _ in EXAMPLES)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_what_its_command_reads(name: str, example: str) -> None:
    """Parsed by the commands themselves, which refuse an option that there is not and a value that does not fit."""
    program, first, *words = shlex.split(example)
    assert (program, first) == ("aisp-prof", name)
    command = get_command(app).commands[first]  # type: ignore[attr-defined]
    context = command.make_context(first, words)
    if subcommands := getattr(command, "commands", None):
        rest = [*context._protected_args, *context.args]
        subcommands[rest[0]].make_context(rest[0], rest[1:])


@pytest.mark.parametrize("words", [["-h"], ["report", "-h"], ["trace", "summary", "-h"], ["expect", "check", "-h"]])
def test_the_short_form_asks_for_help_everywhere(words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "Usage" in done.output


@pytest.mark.parametrize(
    "words", [["-h"], ["report", "--help"], ["trace", "summary", "-h"], ["trace", "-h"], ["expect", "-h"]]
)
def test_help_by_names_alone_is_what_the_commands_say(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert show(app, words, "aisp-prof")
    assert capsys.readouterr().out == CliRunner().invoke(app, words, prog_name="aisp-prof").output


@pytest.mark.parametrize(
    "words", [[], ["trace"], ["nothing", "-h"], ["--version", "-h"], ["list", "ch09", "-h"], ["-h", "list"]]
)
def test_whatever_else_is_said_the_commands_read(words: list[str]) -> None:
    assert not show(app, words, "aisp-prof")


def test_help_imports_nothing_that_it_does_not_show() -> None:
    """What checks values of the commands around it, and what shows Markdown and crashes: each takes as long as all else."""
    code = "import sys, aisp_prof.cli as c; sys.argv = ['aisp-prof', 'trace', 'summary', '-h']\ntry: c.main()\nfinally: print({'pydantic', 'pygments', 'markdown_it'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".pythonpath")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip().endswith("set()")


def test_only_the_command_that_is_named_is_built() -> None:
    built = get_command(only(app, ["trace", "summary", "t.sqlite"]))
    assert [*built.commands] == ["trace"]  # type: ignore[attr-defined]
    assert [*built.commands["trace"].commands] == ["summary"]  # type: ignore[attr-defined]
    whole = get_command(only(app, ["trace", "summery"]))
    assert len(whole.commands["trace"].commands) > 5  # type: ignore[attr-defined]  # one of which was meant
    assert len(get_command(app).commands) == len(EXAMPLES)  # type: ignore[attr-defined]


def test_an_example_is_shown() -> None:
    assert "aisp-prof compare ch09" in CliRunner().invoke(app, ["compare", "-h"]).output
