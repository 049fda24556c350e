"""`aisp-prof new`: files to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError

app = typer.Typer(help="Write a file to begin with.", no_args_is_help=True)


@app.command()
def pair(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="The file to write, e.g. bench/fused.py.")],
) -> None:
    """Write a pair of your own that runs as it is: change its two variants, its inputs and its claims.

    The pair is called by the file's name and the class's: fused.layer_norm in bench/fused.py. A file that is there is left alone.
    """
    from importlib.resources import files

    from ..declaration import is_chapter

    if file.suffix != ".py" or not file.stem.isidentifier() or is_chapter(file.stem):
        raise UsageError(
            f"{file.name!r} names no group of pairs", "a name of letters, digits and underscores: bench/fused.py"
        )
    text = files(__package__.rpartition(".")[0]).joinpath("templates", "pair.py.txt").read_text("utf-8")
    _write(file, text)
    name = shlex.quote(str(file))
    lines = [
        f"wrote {file}",
        f"next: aisp-prof check {name} --device cpu     its claims and its outputs, without a GPU",
        f"      aisp-prof capture {name}                with an NVIDIA GPU",
        f"      aisp-prof report {name}",
        f'so that list and expect find it: pairs = ["{file.as_posix()}"] under [tool.aisp-prof] in pyproject.toml',
    ]
    typer.echo("\n".join(lines))


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise UsageError(f"{file} is there already", "name another file") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", "name a file in a writable folder") from error


def register(face: typer.Typer) -> None:
    """Add the commands of this module to the face."""
    face.add_typer(app, name="new")
