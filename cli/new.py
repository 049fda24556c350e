"""`aisp-prof new`: files to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError

app = typer.Typer(help="Write files to begin with: a pair, or an example with its traces.", no_args_is_help=True)


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


EXAMPLE = {
    "train.py": "train.py.txt",
    "train.sqlite.xz": "train.sqlite.xz",
    "before.sqlite.xz": "before.sqlite.xz",
    "after.sqlite.xz": "after.sqlite.xz",
    "claims.toml": "claims.toml",
}
"""What `new example` writes, and what it is called in templates/example."""


@app.command()
def example(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to put it.")] = Path(),
) -> None:
    """Write a small real trace of a training loop, the loop, and claims on it: to try everything without a GPU.

    train.sqlite.xz holds old and new steps in turn; before.sqlite.xz and after.sqlite.xz are two runs of either alone. All were traced on
    an NVIDIA H200 (2026-11-30) and scrubbed. Files that are there are left alone.
    """
    from importlib.resources import files

    shipped = files(__package__.rpartition(".")[0]).joinpath("templates", "example")
    for name, source in EXAMPLE.items():
        _write(folder / name, shipped.joinpath(source).read_bytes())
    trace = shlex.quote(str(folder / "train.sqlite.xz"))
    asked = "--range baseline='old step' --range optimized='new step' --attribution process"
    typer.echo(f"wrote {', '.join(str(folder / name) for name in EXAMPLE)}\nnext: aisp-prof report {trace} {asked}")


def _write(file: Path, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as opened:
            opened.write(data)
    except FileExistsError as error:
        raise UsageError(f"{file} is there already", "name another file") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", "name a file in a writable folder") from error


def register(face: typer.Typer) -> None:
    """Add the commands of this module to the face."""
    face.add_typer(app, name="new")
