"""`aisp-prof ranks …`: questions about a run of many ranks, a trace a rank or several in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson
from .trace import Attribution, Communication, Limit

if TYPE_CHECKING:
    from ..profiler.ranks.rank_files import RankFiles

app = typer.Typer(help="Ask the traces of many ranks together (docs/ranks.md).", no_args_is_help=True)

RankTraces = Annotated[
    list[str],
    typer.Argument(metavar="TRACES...", help="Files, a folder of them, or a glob in quotes: 'traces/rank*.sqlite'."),
]
Steps = Annotated[str, typer.Option("--range", metavar="GLOB", help="The ranges that are a step of the program.")]
Domain = Annotated[str | None, typer.Option(help="Their NVTX domain or a glob; all by default.")]
RankPattern = Annotated[
    str,
    typer.Option(metavar="REGEX", help="Where a file's name says its rank, with one group; by default rank7, rank_7."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Read the traces in N processes of this machine (Dask).")
]
Scheduler = Annotated[str, typer.Option(metavar="ADDRESS", help="A Dask scheduler: tcp://HOST:8786.")]
SchedulerFile = Annotated[str, typer.Option(metavar="FILE", help="The file that a Dask scheduler wrote of itself.")]


def read_ranks(
    traces: list[str],
    steps: str = "",
    domain: str | None = None,
    attribution: str = "thread",
    communication: list[str] | None = None,
    rank_pattern: str = "",
    workers: int | None = None,
    scheduler: str = "",
    scheduler_file: str = "",
) -> RankFiles:
    """The traces of all ranks; reading many of them, stderr says how many are done."""
    from ..profiler.ranges.attribution import Attribution as Named
    from ..profiler.ranks.question import RANK_PATTERN, Question
    from ..profiler.ranks.rank_files import RankFiles
    from ..profiler.ranks.spread import Where
    from ..reports.hostile import printable

    question = Question(
        steps=steps,
        domain=domain,
        attribution=str(Named.named(attribution)),
        rank_pattern=rank_pattern or RANK_PATTERN,
        communication=tuple(communication or ()),
    )

    def say(text: str) -> None:
        typer.echo(printable(text), err=True)

    return RankFiles.named(traces, question, Where(workers, scheduler, scheduler_file), say)


@app.command()
def summary(
    traces: RankTraces,
    steps: Steps = "",
    domain: Domain = None,
    attribution: Attribution = "thread",
    communication: Communication = None,
    rank_pattern: RankPattern = "",
    workers: Workers = None,
    scheduler: Scheduler = "",
    scheduler_file: SchedulerFile = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """What each rank waited, transferred, hid and exposed, who held the others up, and how far apart the clocks may be."""
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.ranks_tables import plain, summary_lines

    options = (steps, domain, attribution, communication, rank_pattern, workers, scheduler, scheduler_file)
    answer = read_ranks(traces, *options).summary()
    print_data(plain(answer), as_json, [] if as_json else summary_lines(answer, limit))


@app.command()
def collectives(
    traces: RankTraces,
    communication: Communication = None,
    rank_pattern: RankPattern = "",
    workers: Workers = None,
    scheduler: Scheduler = "",
    scheduler_file: SchedulerFile = "",
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """Every collective that several ranks ran: how long, who came last, who waited; those with the longest wait first."""
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.ranks_tables import collective_lines, plain

    options = (communication, rank_pattern, workers, scheduler, scheduler_file)
    answer = read_ranks(traces, "", None, "thread", *options).collectives()
    print_data(plain(answer), as_json, [] if as_json else collective_lines(answer, limit))


@app.command()
def diff(
    before: Annotated[
        str, typer.Argument(metavar="BEFORE", help="The traces of a run: a folder, or a glob in quotes.")
    ],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Those of another.")],
    communication: Communication = None,
    rank_pattern: RankPattern = "",
    workers: Workers = None,
    scheduler: Scheduler = "",
    scheduler_file: SchedulerFile = "",
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """Two runs, rank by rank: what changed, with bounds, and what of it is proven."""
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.ranks_tables import diff_data, diff_lines

    options = ("", None, "thread", communication, rank_pattern, workers, scheduler, scheduler_file)
    answer = read_ranks([before], *options).diff(read_ranks([after], *options))
    print_data(diff_data(answer), as_json, [] if as_json else diff_lines(answer, limit))


@app.command()
def report(
    traces: RankTraces,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A page: .html or .pdf.")],
    lang: Annotated[str, typer.Option(metavar="en|ko", help="The language of the page.")] = "en",
    steps: Steps = "",
    domain: Domain = None,
    attribution: Attribution = "process",
    communication: Communication = None,
    rank_pattern: RankPattern = "",
    workers: Workers = None,
    scheduler: Scheduler = "",
    scheduler_file: SchedulerFile = "",
    as_json: AsJson = False,
) -> None:
    """A page of a run: who held the others up, ranks by steps, the worst ten, waits with their bounds, and clocks."""
    from ..reports.ranks.document import check_page, render_ranks, write_page
    from ..reports.terminal.answers import print_data

    check_page(out, lang)
    options = (steps, domain, attribution, communication, rank_pattern, workers, scheduler, scheduler_file)
    run = read_ranks(traces, *options).run
    write_page(render_ranks(run, traces, lang), out)
    print_data({"file": str(out), "ranks": len(run.ranks), "whole": run.whole}, as_json, [f"wrote {out}"])
