"""`aisp-prof assert`: claims on any trace, for a build that must fail when they no longer hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..declaration import VARIANTS
from ..errors import UsageError
from . import named
from .complaint import complain
from .language import spoken
from .options import AsJson
from .ranks import RankPattern, Scheduler, SchedulerFile, Workers, read_ranks
from .trace import Communication, _read

if TYPE_CHECKING:
    from ..profiler.assertions.check import Answer
    from ..profiler.assertions.places import Place
    from ..profiler.proof.sessions import Known
    from ..profiler.ranks.rank_files import RankFiles
    from ..reports.export.asked import Asked


def _output(text: str) -> Path | None:
    """A file to write; None where the build's variable is empty, as in `--summary "$GITHUB_STEP_SUMMARY"` outside GitHub."""
    return Path(text) if text else None


def assertion(
    trace: Annotated[
        Path | None,
        typer.Argument(
            metavar="TRACE", help="A trace, as `aisp-prof trace` takes it; not with --ranks, which names the traces."
        ),
    ] = None,
    claims: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[AFTER] [CLAIM]...",
            help="E.g. 'hidden(h2d, d2h) >= 0.8' (docs/metrics.md). Before them may stand the trace of a second run: then TRACE is the "
            "baseline's, and this the optimized variant's.",
        ),
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
    ranks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRACES", help="The traces of all ranks of a run: a folder, or a glob in quotes; repeatable."
        ),
    ] = None,
    rank_pattern: RankPattern = "",
    workers: Workers = None,
    scheduler: Scheduler = "",
    scheduler_file: SchedulerFile = "",
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
    """Judge claims on a trace, on those of two runs, or on those of all ranks; the exit code is the worst verdict's. Needs no GPU."""
    if ranks:
        made_out = {"--junit": junit, "--sarif": sarif, "--summary": summary, "--ceilings": ceilings, "--claims": file}
        _refuse(made_out)
        asked = [*([] if trace is None else [str(trace)]), *(claims or [])]
        options = ("", domain, attribution or "thread", communication, rank_pattern, workers, scheduler, scheduler_file)
        _assert_ranks(read_ranks(ranks, *options), asked, ranges or [], as_json)
        return
    if trace is None:
        raise UsageError("no trace is named", "aisp-prof assert TRACE 'hidden(copy) >= 0.8', or --ranks TRACES")
    from ..profiler.assertions.check import Question, check, is_called
    from ..profiler.assertions.claims_file import check_before_reading, read_claims, with_arguments
    from ..profiler.assertions.places import places
    from ..reports.export.asked import Asked

    question = read_claims(file) if file else Question((), {})
    made = places(file, question) if file else {}
    second, claims = _second(claims or [])
    added = (claims, ranges or [], domain, attribution)
    if second is None:
        check_before_reading(question, *added)
    else:
        with_arguments(question, *added).of_two_runs().parsed()
    expressions = [*question.communication, *(communication or ())]
    read = _read(trace, expressions)
    where = question.domain if domain is None else domain
    question = with_arguments(question, *added, lambda glob: is_called(read, where, glob))
    question = question if ceilings is None else replace(question, ceilings=ceilings)
    if second is None:
        answer = check(read, question)
    else:
        question = question.of_two_runs()
        answer = check(read, question, _read(second, expressions), _sessions(trace, second))
    _print(answer, str(trace), as_json, second)
    if os.environ.get("GITHUB_ACTIONS") == "true" if annotations is None else annotations:
        _annotate(answer, str(trace), made)
    unwritten = _write(
        answer, Asked(str(trace), question, category), made, {"junit": junit, "sarif": sarif, "summary": summary}
    )
    for error in unwritten:
        complain(error)
    raise typer.Exit(answer.verdict.exit_code or (UsageError.exit_code if unwritten else 0))


def _second(claims: list[str]) -> tuple[Path | None, list[str]]:
    """The trace of a second run, if one is named before the claims, and the claims."""
    if claims and named.is_trace(claims[0]):
        return Path(claims[0]), claims[1:]
    return None, claims


def _sessions(before: Path, after: Path) -> Known:
    """What is known of the sessions of two traces beside these."""
    from ..profiler.capture.given import session_of
    from ..profiler.proof.sessions import Known

    told = {variant: session_of(path) for variant, path in zip(VARIANTS, (before, after), strict=True)}
    drivers = {variant: driver for variant, (driver, _) in told.items() if driver}
    return Known(drivers, {variant: clock for variant, (_, clock) in told.items() if clock})


def _refuse(files: Mapping[str, Path | None]) -> None:
    for option, path in files.items():
        if path is not None:
            raise UsageError(f"{option} is for a single trace", "of ranks take --json")


def _assert_ranks(run: RankFiles, claims: list[str], ranges: list[str], as_json: bool) -> None:
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.ranks_tables import answer_data, answer_lines

    if not claims:
        raise UsageError("nothing is asserted", "give a claim: aisp-prof assert --ranks TRACES 'comm_wait <= 2ms'")
    answer = run.check(*claims, ranges=ranges)
    print_data(answer_data(answer), as_json, [] if as_json else answer_lines(answer))
    raise typer.Exit(answer.verdict.exit_code)


def _print(answer: Answer, trace: str, as_json: bool, second: Path | None) -> None:
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.assertion import answer_json, answer_lines

    data = {"trace": trace, **({"after": str(second)} if second else {}), **answer_json(answer)}
    print_data(data, as_json, answer_lines(answer, spoken()))


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
