"""An error on stderr: its message and its mend."""

from __future__ import annotations

import sys

import typer

from ..errors import AispError


def complain(error: AispError) -> None:
    """Print it in lines that are safe to show; the exit code is the caller's business."""
    from ..reports.hostile import printable
    from ..reports.terminal.colour import red, wanted

    said = printable(f"aisp-prof: {error}")
    typer.echo(red(said) if wanted(sys.stderr) else said, err=True)
    if error.mend:
        typer.echo(printable(f"  → {error.mend}"), err=True)
