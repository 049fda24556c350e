"""`aisp-prof assert`: claims on any trace, for a build that must fail when they no longer hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .complaint import complain
from .options import AsJson
from .trace import Communication, TraceFile, _read

if TYPE_CHECKING:
    from ..profiler.assertions.check import Answer
    from ..profiler.assertions.places import Place
    from ..reports.export.asked import Asked


def _output(text: str) -> Path | None:
    """A file to write; None where the build's variable is empty, as in `--summary "$GITHUB_STEP_SUMMARY"` outside GitHub."""
    return Path(text) if text else None


def assertion(
    trace: TraceFile,
    claims: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="E.g. 'hidden(h2d, d2h) >= 0.8' (docs/metrics.md).")
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="[NAME=]GLOB",
            help="Whose instances are the iterations: a name, a path (epoch/step), or domain:name; else the whole trace.",
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--claims", metavar="FILE", help="A claims.toml (docs/ci.md).")] = None,
    domain: Annotated[str | None, typer.Option(help="An NVTX domain or glob; all by default.")] = None,
    attribution: Annotated[
        str | None, typer.Option(metavar="thread|process", help="Whose launches a range counts; its own thread's.")
    ] = None,
    ceilings: Annotated[
        Path | None,
        typer.Option("--ceilings", metavar="FILE", help="Of `aisp-prof calibrate -o` on that GPU, for ceiling(…)."),
    ] = None,
    communication: Communication = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", parser=_output, help="Write JUnit XML too.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", parser=_output, help="Write SARIF too.")] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=_output, help="Append Markdown, e.g. to $GITHUB_STEP_SUMMARY."),
    ] = None,
    category: Annotated[
        str,
        typer.Option(metavar="NAME", help="What SARIF and JUnit call this analysis; else the trace and its ranges."),
    ] = "",
    annotations: Annotated[
        bool | None,
        typer.Option(
            help="On stderr, what GitHub Actions shows beside the code; by default where $GITHUB_ACTIONS is set."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge claims on a trace; the exit code is the worst verdict's. Needs no GPU."""
    from ..profiler.assertions.check import Question, check, is_called
    from ..profiler.assertions.claims_file import check_before_reading, read_claims, with_arguments
    from ..profiler.assertions.places import places
    from ..reports.export.asked import Asked

    question = read_claims(file) if file else Question((), {})
    made = places(file, question) if file else {}
    added = (claims or [], ranges or [], domain, attribution)
    check_before_reading(question, *added)
    read = _read(trace, [*question.communication, *(communication or ())])
    where = question.domain if domain is None else domain
    question = with_arguments(question, *added, lambda glob: is_called(read, where, glob))
    question = question if ceilings is None else replace(question, ceilings=ceilings)
    answer = check(read, question)
    _print(answer, str(trace), as_json)
    if os.environ.get("GITHUB_ACTIONS") == "true" if annotations is None else annotations:
        _annotate(answer, str(trace), made)
    unwritten = _write(
        answer, Asked(str(trace), question, category), made, {"junit": junit, "sarif": sarif, "summary": summary}
    )
    for error in unwritten:
        complain(error)
    raise typer.Exit(answer.verdict.exit_code or (UsageError.exit_code if unwritten else 0))


def _print(answer: Answer, trace: str, as_json: bool) -> None:
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.assertion import answer_json, answer_lines

    print_data({"trace": trace, **answer_json(answer)}, as_json, answer_lines(answer))


def _annotate(answer: Answer, trace: str, made: Mapping[str, Place]) -> None:
    """On stderr: GitHub reads both, and stdout carries the result."""
    from ..reports.export.github import errors

    for line in errors(answer, trace, made):
        typer.echo(line, err=True)


def _write(
    answer: Answer, asked: Asked, made: Mapping[str, Place], files: Mapping[str, Path | None]
) -> list[UsageError]:
    """Write the files that were asked for. What could not be written is returned, since the verdict comes first."""
    from ..reports.export.junit import junit
    from ..reports.export.sarif import sarif
    from ..reports.terminal.assertion import summary_markdown

    make = {
        "junit": lambda: junit(answer, asked),
        "sarif": lambda: sarif(answer, asked, made),
        "summary": lambda: summary_markdown(answer, asked.trace),
    }
    unwritten = []
    for name, path in files.items():
        if path is None:
            continue
        try:
            _put(path, make[name](), append=name == "summary")
        except OSError as error:
            mend = f"name a file in a writable folder: --{name}"
            unwritten.append(UsageError(f"cannot write {path}: {error.strerror or error}", mend))
    return unwritten


def _put(path: Path, text: str, append: bool) -> None:
    """Write a file whole, or append to it after an empty line: otherwise Markdown would join it to the last paragraph."""
    from ..machine.files import append_whole, output_file

    if not append:
        with output_file(path) as out:
            out.write(text.encode())
        return
    before = _last(path, 2) if path.is_file() else b""
    blank = b"" if before in (b"", b"\n\n") else b"\n" if before.endswith(b"\n") else b"\n\n"
    append_whole(path, blank + text.encode())


def _last(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read(count)


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command("assert")(assertion)
