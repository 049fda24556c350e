"""Help in Korean: each sentence that templates/text/help.ko.toml has is put in place of the English one; the others stay."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.text import Text

_EXAMPLE: Final = re.compile(r"(?:(.*?) ?)(Example:)(.*)", re.DOTALL)
_TITLES: Final = ("ARGUMENTS_PANEL_TITLE", "OPTIONS_PANEL_TITLE", "COMMANDS_PANEL_TITLE")
"""Of Typer's own, in `typer.rich_utils`."""

Change = Callable[[str], str]


def in_korean(command: Any, context: Any = None) -> Any:
    """The Click command, and those in it, with help in Korean; with a context the text of its --help too."""
    known = korean()
    change_each(command, lambda text: known.get(text, text))
    if context is not None:
        option = command.get_help_option(context)
        option.help = known.get(option.help, option.help)
    import typer.rich_utils as shown
    from rich.text import Text

    Text.rstrip_end = _rstrip_end  # type: ignore[assignment,method-assign]
    for name in _TITLES:
        setattr(shown, name, known.get(getattr(shown, name), getattr(shown, name)))
    return command


def _rstrip_end(text: Text, size: int) -> None:
    """Rich's own counts letters where it means columns: with syllables of two columns it leaves the space at a line's end, and
    then cuts the line's last syllable for it.
    """
    excess = text.cell_len - size
    spaces = len(text.plain) - len(text.plain.rstrip())
    if excess > 0 and spaces:
        text.right_crop(min(spaces, excess))


def korean() -> dict[str, str]:
    """English sentence, as in the code without its line ends -> Korean."""
    path = files(__package__.rpartition(".cli")[0]).joinpath("templates", "text", "help.ko.toml")
    return dict(tomllib.loads(path.read_text("utf-8")))


def change_each(command: Any, change: Change) -> None:
    """Put what `change` makes of each sentence of a command's help in its place: those of its own, its options', its panel's, and
    all of the commands in it.
    """
    for name in ("help", "short_help"):
        if text := getattr(command, name, None):
            setattr(command, name, "\n\n".join(change(part) for part in paragraphs(text)))
    if command.epilog:
        command.epilog = _epilog(command.epilog, change)
    for part in (command, *command.params):
        if isinstance(panel := getattr(part, "rich_help_panel", None), str):
            part.rich_help_panel = change(panel)
    for parameter in command.params:
        if text := getattr(parameter, "help", None):
            parameter.help = change(" ".join(text.split()))
    for inner in getattr(command, "commands", {}).values():
        change_each(inner, change)


def paragraphs(text: str) -> Iterator[str]:
    """Each paragraph on one line."""
    yield from (" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def _epilog(text: str, change: Change) -> str:
    if not (found := _EXAMPLE.fullmatch(text)):
        return change(text)
    before, example, command = found.groups()
    return " ".join(filter(None, (change(before) if before else "", f"{change(example)}{command}")))
