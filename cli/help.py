"""How the commands are presented: grouped by purpose, in a fixed order, each with an example to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command
from typer.models import CommandInfo, TyperInfo

from .language import spoken
from .only import light_help, name_of, only

SETTINGS: Final = {"help_option_names": ["-h", "--help"]}
"""Settings of the top-level app, inherited by its commands."""

PANELS: Final[Mapping[str, Mapping[str, str]]] = {
    "Prove an optimization": {
        "new": "aisp-prof new pair bench/fused.py",
        "check": "aisp-prof check bench/fused.py --device cpu",
        "list": "aisp-prof list ch11",
        "capture": "aisp-prof capture ch11:streams",
        "report": "aisp-prof report ch11 --lang ko --out pages",
        "compare": "aisp-prof compare ch09",
        "roofline": "aisp-prof roofline ch09:memory_bound",
        "verify": "aisp-prof verify ch11.zip",
    },
    "Ask any trace": {
        "trace": "aisp-prof trace summary run.sqlite",
        "ranks": "aisp-prof ranks summary 'traces/rank*.sqlite'",
        "assert": "aisp-prof assert run.sqlite --range step 'hidden(h2d, compute) >= 90%'",
        "counters": "aisp-prof counters run.ncu-rep",
        "scrub": "aisp-prof scrub run.sqlite -o public.sqlite.xz",
    },
    "Keep what was won": {
        "expect": "aisp-prof expect check ch11",
        "history": "aisp-prof history ch11:streams",
    },
    "This machine, and more": {
        "doctor": "aisp-prof doctor",
        "calibrate": "aisp-prof calibrate -o ceilings.json",
        "demos": "aisp-prof demos",
        "kernels": "aisp-prof kernels emit l2norm -o l2norm.cu",
        "bench": "aisp-prof bench list-targets",
    },
}
"""Panel -> command -> an example."""


def arrange(app: typer.Typer) -> None:
    """Give every top-level command its panel and its example, and sort the commands as in `PANELS`.

    Raises:
        KeyError: a command is in no panel, and would be missing from the help.
    """
    places = {name: (panel, example) for panel, group in PANELS.items() for name, example in group.items()}
    order = list(places)
    infos: list[CommandInfo | TyperInfo] = [*app.registered_commands, *app.registered_groups]
    for info in infos:
        panel, example = places[name_of(info)]
        info.rich_help_panel, info.epilog = panel, " ".join(filter(None, (_epilog(info), f"Example: {example}")))
    app.registered_commands.sort(key=lambda info: order.index(name_of(info)))
    app.registered_groups.sort(key=lambda info: order.index(name_of(info)))


def show(app: typer.Typer, words: Sequence[str], program: str) -> bool:
    """Show the help that is asked for behind names of commands alone, and whether it was: reading options of the commands
    around it, only to find that there are none, would import all that checks values, for a third of the time."""
    *names, last = words or [""]
    if last not in SETTINGS["help_option_names"]:
        return False
    command = get_command(only(app, names, outlines=True))
    context = command.context_class(command, info_name=program, **command.context_settings)
    for name in names:
        inner = command.commands.get(name) if isinstance(command, TyperGroup) else None
        if inner is None:
            return False
        command = inner
        context = command.context_class(command, info_name=name, parent=context, **command.context_settings)
    with light_help():
        if spoken() == "ko":
            from .translated import in_korean

            in_korean(command, context)
        typer.echo(context.get_help(), color=context.color)
    return True


def built(app: typer.Typer) -> Any:
    """The app as Click's command, in the language that is spoken."""
    command = get_command(app)
    if spoken() != "ko":
        return command
    from .translated import in_korean

    return in_korean(command)


def _epilog(info: CommandInfo | TyperInfo) -> str:
    """The closing text of a command's or a group's help."""
    if isinstance(info, TyperInfo):
        return str(info.typer_instance.info.epilog or "") if info.typer_instance else ""
    return info.epilog or ""
