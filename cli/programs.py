"""What `capture` does with programs: `-- COMMAND`, or a baseline's and an optimized one, run in turn."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..declaration import VARIANTS
from ..errors import UsageError
from . import named

if TYPE_CHECKING:
    from ..profiler.store.captures import Capture

PANEL = "Programs of your own"

Baseline = Annotated[
    str,
    typer.Option(metavar="COMMAND", help="A program, run in turn with --optimized: A B B A.", rich_help_panel=PANEL),
]
Optimized = Annotated[str, typer.Option(metavar="COMMAND", help="What it is compared with.", rich_help_panel=PANEL)]
Repeat = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="How often a program is traced; by default 1, of two in turn 6, which a speedup needs.",
        rich_help_panel=PANEL,
    ),
]
Name = Annotated[
    str, typer.Option(help="What its capture is called; by default after the program.", rich_help_panel=PANEL)
]
KeepReport = Annotated[
    bool,
    typer.Option(help="Keep nsys' report, which holds the values of the environment.", rich_help_panel=PANEL),
]

IN_TURN = 6
"""Turns that an interval of a speedup needs."""


def commands_of(targets: Sequence[str], baseline: str, optimized: str) -> Mapping[str, tuple[str, ...]]:
    """What is to be run: by variant, or one command under "all"; nothing where pairs are named instead.

    Raises:
        UsageError: one of two is missing, or they stand beside another target.
    """
    if baseline or optimized:
        if not (baseline and optimized):
            raise UsageError(
                "two programs are compared",
                "aisp-prof capture --baseline 'python old.py' --optimized 'python new.py' --range step",
            )
        if targets:
            raise UsageError(f"{targets[0]!r} stands beside --baseline and --optimized", "leave it out")
        return {variant: _words(text) for variant, text in zip(VARIANTS, (baseline, optimized), strict=True)}
    return {"all": tuple(targets)} if "--" in sys.argv and targets else {}


def _words(text: str) -> tuple[str, ...]:
    """A command line as a shell would part it; no shell runs it."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{text!r} is no command: {error}", "quote it as for a shell") from error
    if not words:
        raise UsageError("an empty command runs nothing", "--baseline 'python train.py'")
    return words


def capture_of(
    commands: Mapping[str, tuple[str, ...]],
    words: named.Words,
    name: str,
    repeat: int | None,
    timeout_s: float,
    keep_report: bool,
    folder: Path,
    tracer: str,
) -> Capture:
    """Run them and publish the capture.

    Raises:
        UsageError: a slip in what is asked; else as `capture_programs`.
    """
    from ..profiler.capture.asked import name_of
    from ..profiler.capture.program import Programs, capture_programs
    from ..reports.terminal.progress import steps
    from ..workloads.hardware import hardware_key

    in_turn = len(commands) > 1
    asked = words.asked(several=in_turn, commands=commands if in_turn else None) if in_turn or words.given else None
    programs = Programs(
        name=name_of(name or words.title or _called(list(commands.values())[-1])),
        commands=commands,
        repeat=(IN_TURN if in_turn else 1) if repeat is None else repeat,
        asked=asked,
        typed=["aisp-prof", *sys.argv[1:]],
        timeout_s=timeout_s,
        keep_report=keep_report,
        tracer=tracer,
    )
    with steps() as progress:
        return capture_programs(programs, folder, hardware_key, progress)


def _called(command: Sequence[str]) -> str:
    """The script that an interpreter runs, else the program."""
    return next((Path(word).stem for word in command if word.endswith(".py")), Path(command[0]).name)


def lines(made: Capture, folder: Path | None) -> list[str]:
    """What was captured, and what to do with it."""
    manifest = made.manifest
    origin = manifest.origin
    ranges = "" if origin is None or origin.ranges else " --range baseline='old step*' --range optimized='new step*'"
    where = f" --captures {shlex.quote(str(folder))}" if folder else ""
    chapter, name = manifest.declaration.chapter, manifest.declaration.name
    return [f"{manifest.pair}  captured as {made.id}", f"next: aisp-prof report {chapter}:{name}{ranges}{where}"]
