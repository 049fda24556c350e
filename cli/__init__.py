"""The command line: each command parses, calls and prints; the work is done on the floors below."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from ..errors import BUG, AispError, EnvironmentLacks, UsageError
from ..version import __version__
from . import (
    assertion,
    bench,
    bundle,
    capturing,
    checking,
    compare,
    counters,
    demos,
    doctor,
    expect,
    help,
    kernels,
    language,
    listing,
    new,
    ranks,
    recording,
    report,
    scrubbing,
    trace,
)
from .complaint import complain
from .only import only


class _Commands(TyperGroup):
    """Ends an `EOFError` as the bug that it is: Click takes it for an interrupt and ends with 1, which says refuted."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except EOFError:
            traceback.print_exc()
            sys.exit(BUG)


app = typer.Typer(
    name="aisp-prof",
    cls=_Commands,
    help="Prove from Nsight traces that a GPU optimization worked.",
    epilog="Exit codes: 0 proven or done, 1 refuted, 2 usage, 3 the environment lacks something, 4 unproven, "
    "5 nothing is expected of a pair.",
    no_args_is_help=True,
    context_settings=help.SETTINGS,
    pretty_exceptions_enable=False,
)

recording.register(trace.app)
app.add_typer(trace.app, name="trace")
app.add_typer(ranks.app, name="ranks")
app.add_typer(kernels.app, name="kernels")
app.add_typer(bench.app, name="bench")
for commands in (
    *(
        assertion,
        bundle,
        capturing,
        checking,
        compare,
        counters,
        demos,
        doctor,
        expect,
        listing,
        new,
        report,
        scrubbing,
    ),
):
    commands.register(app)


def main() -> NoReturn:
    """Run the command line; an `AispError` becomes its message, its mend and its exit code, never a traceback.

    The same goes for what the system refuses: a name that is too long, a folder without permission, a full disk, memory.
    A bug is a traceback, and ends with `BUG`: Python's own exit code is that of a refuted claim.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a Latin-1 terminal shows › as \u203a, and no traceback
    try:
        words = language.chosen(sys.argv[1:])
        if not help.show(app, words, _program()):
            help.built(only(app, words))(words)
    except AispError as error:
        _end(error)
    except OSError as error:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        _end(UsageError(f"{': '.join([*names, error.strerror or str(error)])}"))
    except MemoryError:
        _end(EnvironmentLacks("memory ran out", "on a machine with more, or of a smaller trace"))
    except Exception:  # noqa: BLE001  whatever it is, it is shown, and is no verdict
        traceback.print_exc()
        sys.exit(BUG)
    sys.exit(0)


def _end(error: AispError) -> NoReturn:
    if "--json" in sys.argv[1:] and not error.answered:
        from ..reports.terminal.answers import print_failure

        print_failure(error)
    complain(error)
    sys.exit(error.exit_code)


def _program() -> str:
    """How the command line was called, as its help says it."""
    name = os.path.basename(sys.argv[0])
    return "python -m aisp_prof" if name == "__main__.py" else name


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aisp-prof {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    lang: Annotated[
        str, typer.Option(metavar="en|ko", help="The language of help and of what is said; else $LANG's, or English.")
    ] = "",
    unpack_limit: Annotated[
        float | None,
        typer.Option(metavar="GIB", help="What a packed trace may become; else $AISP_UNPACK_LIMIT_GIB, else 16."),
    ] = None,
) -> None:
    """What every command shares."""
    if lang:
        os.environ[language.VARIABLE] = lang
    language.check()
    if unpack_limit is not None:
        from ..profiler.trace.source.limits import UNPACK_VARIABLE

        os.environ[UNPACK_VARIABLE] = str(unpack_limit)


help.arrange(app)
