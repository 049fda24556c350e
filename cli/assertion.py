"""`aisp-prof assert`: claims on any trace, for a build that must fail when they no longer hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .trace import TraceFile, _read

if TYPE_CHECKING:
    from ..profiler.queries.assertions import Answer


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
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML too.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write SARIF too.")] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append Markdown, e.g. to $GITHUB_STEP_SUMMARY.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md) instead of text.")] = False,
) -> None:
    """Judge claims on a trace; the exit code is the worst verdict's. Needs no GPU."""
    from ..profiler.queries.assertions import Question, check
    from ..profiler.queries.claims_file import read_claims, with_arguments
    from ..reports.assertion import answer_json, answer_lines

    question = read_claims(file) if file else Question((), {})
    question = with_arguments(question, claims or [], ranges or [], domain, attribution)
    question.parsed()  # a slip is answered before a large trace is read
    answer = check(_read(trace), question)
    if as_json:
        typer.echo(json.dumps({"schema": 1, "trace": str(trace), **answer_json(answer)}, indent=1))
    else:
        typer.echo("\n".join(answer_lines(answer)))
    _write(answer, str(trace), junit, sarif, summary)
    raise typer.Exit(answer.verdict.exit_code)


def _write(answer: Answer, trace: str, junit: Path | None, sarif: Path | None, summary: Path | None) -> None:
    from ..reports.assertion import summary_markdown
    from ..reports.junit import junit as as_junit
    from ..reports.sarif import sarif as as_sarif

    for path, mode, text in (
        (junit, "w", as_junit),
        (sarif, "w", as_sarif),
        (summary, "a", summary_markdown),
    ):
        if path is None:
            continue
        try:
            with path.open(mode, encoding="utf-8") as out:
                out.write(text(answer, trace))
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}", "name a file in a writable folder") from error


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command("assert")(assertion)
