"""`aisp-prof assert`: claims on any trace, for a build that must fail when they no longer hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .trace import Communication, TraceFile, _read

if TYPE_CHECKING:
    from ..profiler.queries.assertions import Answer
    from ..profiler.queries.claims_file import Place


def assertion(
    trace: TraceFile,
    claims: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="E.g. 'hidden(h2d, d2h) >= 0.8' (docs/metrics.md).")
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range", metavar="[NAME=]GLOB", help="Whose instances are the iterations; else the whole trace."
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--claims", metavar="FILE", help="A claims.toml (docs/ci.md).")] = None,
    domain: Annotated[str | None, typer.Option(help="An NVTX domain or glob; all by default.")] = None,
    attribution: Annotated[
        str | None, typer.Option(metavar="thread|process", help="Whose launches a range counts; its own thread's.")
    ] = None,
    communication: Communication = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML too.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write SARIF too.")] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append Markdown, e.g. to $GITHUB_STEP_SUMMARY.")
    ] = None,
    annotations: Annotated[
        bool | None,
        typer.Option(
            help="On stderr, what GitHub Actions shows beside the code; by default where $GITHUB_ACTIONS is set."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md) instead of text.")] = False,
) -> None:
    """Judge claims on a trace; the exit code is the worst verdict's. Needs no GPU."""
    from ..profiler.queries.assertions import Question, check, is_called
    from ..profiler.queries.claims_file import check_before_reading, places, read_claims, with_arguments

    question = read_claims(file) if file else Question((), {})
    made = places(file, question) if file else {}
    added = (claims or [], ranges or [], domain, attribution)
    check_before_reading(question, *added)
    read = _read(trace, communication)
    where = question.domain if domain is None else domain
    question = with_arguments(question, *added, lambda glob: is_called(read, where, glob))
    answer = check(read, question)
    _print(answer, str(trace), as_json)
    if os.environ.get("GITHUB_ACTIONS") == "true" if annotations is None else annotations:
        _annotate(answer, str(trace), made)
    _write(answer, str(trace), made, junit, sarif, summary)
    raise typer.Exit(answer.verdict.exit_code)


def _print(answer: Answer, trace: str, as_json: bool) -> None:
    from ..reports.answers import print_data
    from ..reports.assertion import answer_json, answer_lines

    print_data({"trace": trace, **answer_json(answer)}, as_json, answer_lines(answer))


def _annotate(answer: Answer, trace: str, made: Mapping[str, Place]) -> None:
    """On stderr: GitHub reads both, and stdout carries the result."""
    from ..reports.github import errors

    for line in errors(answer, trace, made):
        typer.echo(line, err=True)


def _write(
    answer: Answer, trace: str, made: Mapping[str, Place], junit: Path | None, sarif: Path | None, summary: Path | None
) -> None:
    from ..profiler.store.scratch import append_whole, output_file
    from ..reports.assertion import summary_markdown
    from ..reports.junit import junit as as_junit
    from ..reports.sarif import sarif as as_sarif

    texts = {
        junit: ("w", as_junit(answer, trace)),
        sarif: ("w", as_sarif(answer, trace, made)),
        summary: ("a", summary_markdown(answer, trace)),
    }
    for path, (mode, text) in texts.items():
        if path is None:
            continue
        try:
            if mode == "a":
                append_whole(path, text.encode())
                continue
            with output_file(path) as out:
                out.write(text.encode())
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}", "name a file in a writable folder") from error


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command("assert")(assertion)
