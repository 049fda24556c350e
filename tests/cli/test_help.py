"""What `aisp-prof -h` shows: every command in a panel, with an example that the command itself reads."""

from __future__ import annotations

import shlex

import pytest
from aisp_prof.cli import app
from aisp_prof.cli.help import PANELS
from typer.main import get_command
from typer.testing import CliRunner

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


def test_an_example_is_shown() -> None:
    assert "aisp-prof compare ch09" in CliRunner().invoke(app, ["compare", "-h"]).output
