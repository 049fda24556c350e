"""Builds of the command line only what was asked for: making every command with its options takes 70 ms."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import wraps
from types import ModuleType

import typer
from typer.models import CommandInfo, TyperInfo

_UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""What Typer's help imports for the sake of texts in Markdown and of crashes, neither of which is shown here: with pygments,
markdown-it and attrs it takes as long as all else."""


def name_of(info: CommandInfo | TyperInfo) -> str:
    """The name as it is typed; a command without an explicit name has its function's."""
    if isinstance(info, CommandInfo) and not info.name and info.callback:
        return info.callback.__name__
    return str(info.name)


def only(app: typer.Typer, words: Sequence[str], outlines: bool = False) -> typer.Typer:
    """The app with the one command that the leading words name, the whole of it where they end at a group or name nothing
    there; with `outlines` the commands of that group are without parameters, which its help does not show."""
    commands = [info for info in app.registered_commands if words and name_of(info) == words[0]]
    groups = [info for info in app.registered_groups if words and name_of(info) == words[0]]
    narrow = copy(app)
    if commands or groups:
        narrow.registered_commands = commands
        narrow.registered_groups = [_inside(info, words[1:], outlines) for info in groups]
    elif outlines:
        narrow.registered_commands = [_outline(info) for info in app.registered_commands]
        narrow.registered_groups = [_outline_of_group(info) for info in app.registered_groups]
    return narrow


def _inside(info: TyperInfo, words: Sequence[str], outlines: bool) -> TyperInfo:
    group = copy(info)
    group.typer_instance = only(info.typer_instance, words, outlines) if info.typer_instance else None
    return group


def _outline(info: CommandInfo) -> CommandInfo:
    outline = copy(info)
    if (callback := info.callback) is not None:

        @wraps(callback)
        def bare() -> None: ...

        del bare.__wrapped__  # of which the parameters would be read
        bare.__annotations__ = {}
        outline.callback = bare
    return outline


def _outline_of_group(info: TyperInfo) -> TyperInfo:
    outline = _inside(info, (), False)
    if outline.typer_instance is not None:
        outline.typer_instance.registered_commands = []
    return outline


@contextmanager
def light_help() -> Iterator[None]:
    """Import Typer's help without what it never uses here."""
    absent = [name for name in _UNUSED if name not in sys.modules and "typer.rich_utils" not in sys.modules]
    for name in absent:
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], _UNUSED[name], type(_UNUSED[name], (), {}))
    try:
        if absent:
            import typer.rich_utils  # noqa: F401
        yield
    finally:
        for name in absent:
            del sys.modules[name]
