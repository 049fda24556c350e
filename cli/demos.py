"""`aisp-prof demos`: small programs that measure one thing each on this machine's GPU."""

from __future__ import annotations

from typing import Annotated

import typer


def demos(
    name: Annotated[str, typer.Argument(metavar="list|DEMO", help="`list`, or a demo's name.")] = "list",
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- [ARGS]", help="The demo's own; `-- --help` lists them.")
    ] = None,
) -> None:
    """List the demos, or run one: it prints what it measured. Running needs an NVIDIA GPU."""
    from ..workloads.demos.registry import demos as all_demos
    from ..workloads.demos.registry import find

    if name == "list":
        width = max(len(demo.name) for demo in all_demos())
        lines = [f"{demo.name:<{width}} {demo.about}" for demo in all_demos()]
    else:
        lines = find(name).run(arguments or [])
    typer.echo("\n".join(lines))


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(demos)
