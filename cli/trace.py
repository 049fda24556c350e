"""`aisp-prof trace …`: questions about any trace of Nsight Systems or torch.profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .options import AsJson

if TYPE_CHECKING:
    from ..profiler.trace.model import Trace
    from ..reports.terminal.answers import Answer

app = typer.Typer(help="Ask any trace of Nsight Systems or torch.profiler.", no_args_is_help=True)

_SLOW_BYTES = 50_000_000

TraceFile = Annotated[
    Path,
    typer.Argument(
        metavar="TRACE",
        help="An export (.sqlite, also .xz, .gz or .zst; a Parquet folder), a report (.nsys-rep) where there is nsys, or "
        "torch.profiler's .json.",
    ),
]
Limit = Annotated[int, typer.Option(min=0, help="Rows of text; 0 for all. JSON has them all.")]
Attribution = Annotated[
    str,
    typer.Option(
        metavar="thread|process",
        help="Whose launches a range counts: those of its own thread, or of every thread of its process.",
    ),
]
Communication = Annotated[
    list[str] | None,
    typer.Option(metavar="REGEX", help="Kernels to count as communication besides NCCL's and their like; repeatable."),
]


def is_slow(path: Path) -> bool:
    """Whether reading a trace takes a while."""
    return path.is_file() and (path.stat().st_size > _SLOW_BYTES or ".nsys-rep" in path.suffixes)


@contextmanager
def _saying(traces: Sequence[Path]) -> Iterator[Callable[[Path], None]]:
    """Yields a function that says on stderr that a trace is read, if that takes a while."""
    from ..machine.memory import keep_freed_memory
    from ..reports.terminal.progress import steps

    if not any(map(is_slow, traces)):
        yield lambda path: None
        return
    keep_freed_memory()
    with steps() as say:
        yield lambda path: say(f"reading {path}") if is_slow(path) else None


def _read(path: Path, communication: list[str] | None = None) -> Trace:
    """Read a trace; if that takes a while, stderr says so."""
    from ..profiler.queries.reading import read

    with _saying([path]) as say:
        say(path)
        return read(path, communication or ())


def _answer(
    traces: Sequence[Path],
    communication: list[str] | None,
    question: Sequence[object],
    answer: Callable[..., Answer],
) -> None:
    """Print what `answer` says of the traces, or what it said when they were asked the same before.

    Args:
        question: the command and all that its answer depends on besides the traces' content.
        answer: takes the traces, read.
    """
    from ..profiler.queries.reading import export_report, recognized
    from ..profiler.trace.cache.answers import KeptAnswer
    from ..reports.terminal.answers import Answer
    from ..reports.terminal.tables import width

    kept, found, read = None, None, []
    with _saying(traces) as say:
        known = []
        for path in traces:
            say(path)
            known.append(recognized(path, communication or ()))
        entries = [one.cache.entry(one.key) for one in known if one.key]
        if len(entries) == len(known):
            kept = KeptAnswer(entries, (*question, *map(str, traces), width()))
            found = kept.get()
        if found is None:
            read = [one.read(export_report) for one in known]
    given = answer(*read) if found is None else Answer.of_kept(found)
    if kept is not None and found is None and (data := given.kept()) is not None:
        kept.keep(data)
    given.print()


@app.command()
def summary(
    trace: TraceFile,
    top: Annotated[int, typer.Option(min=0, help="How many kernels and ranges to list.")] = 10,
    attribution: Attribution = "thread",
    communication: Communication = None,
    as_json: AsJson = False,
) -> None:
    """Devices, processes, completeness, the launch ledger, busy and idle time, top kernels and ranges."""
    from ..profiler.queries.summary import summary as ask
    from ..profiler.ranges.attribution import Attribution
    from ..reports.terminal.answers import of_record
    from ..reports.terminal.trace_tables import summary_lines

    Attribution.named(attribution)
    _answer(
        [trace],
        communication,
        ("summary", top, attribution, as_json),
        lambda read: of_record(trace, ask(read, top, attribution), as_json, summary_lines),
    )


@app.command()
def ranges(
    trace: TraceFile,
    domain: Annotated[str | None, typer.Option(help='An NVTX domain or glob; "" for the default one.')] = None,
    name: Annotated[str, typer.Option(metavar="GLOB", help="A range's name or glob.")] = "*",
    everything: Annotated[bool, typer.Option("--all", help="Ranges without GPU work too.")] = False,
    attribution: Attribution = "thread",
    communication: Communication = None,
    limit: Limit = 50,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all rows to this .parquet or .csv instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A row for every range instance and device with GPU work."""
    from ..profiler.queries.notes import untraced_graphs
    from ..profiler.queries.other_threads import other_threads
    from ..profiler.queries.ranges import ranges as ask
    from ..profiler.queries.ranges import ranges_in_parts, why_none
    from ..profiler.ranges.attribution import Attribution
    from ..reports.export.columns import check_file, write_rows
    from ..reports.terminal.answers import of_rows, of_table
    from ..reports.terminal.trace_tables import range_lines

    Attribution.named(attribution)
    if out is not None:
        check_file(trace, out)

    def noted(read: Trace, rows: int) -> list[str]:
        notes = untraced_graphs(read) + other_threads(read, name, attribution, domain)
        return notes if rows else [*notes, why_none(read, domain, name)]

    def answer(read: Trace) -> Answer:
        rows = ask(read, domain, name, everything, attribution)
        notes = noted(read, len(rows))
        return of_table(trace, rows, as_json, lambda: range_lines(rows, limit), notes, attribution=attribution)

    if out is None:
        question = ("ranges", domain, name, everything, attribution, limit, as_json)
        _answer([trace], communication, question, answer)
        return
    read = _read(trace, communication)
    written = write_rows(ranges_in_parts(read, domain, name, everything, attribution), out, trace)
    lines = [f"wrote {written.file}  {written.rows:,} rows"]
    of_rows(trace, (written,), as_json, lines, noted(read, written.rows)).print()


@app.command()
def kernels(
    trace: TraceFile,
    name: Annotated[str, typer.Option(metavar="GLOB", help="A kernel's name or glob.")] = "*",
    full: Annotated[bool, typer.Option("--full-names", help="Tell template arguments apart.")] = False,
    communication: Communication = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """A row for every kernel and device."""
    from ..profiler.queries.kernels import kernels as ask
    from ..profiler.queries.notes import untraced_graphs
    from ..profiler.queries.selectors import why_empty
    from ..reports.terminal.answers import of_rows
    from ..reports.terminal.tables import LONGEST
    from ..reports.terminal.trace_tables import kernel_lines

    def answer(read: Trace) -> Answer:
        rows = ask(read, name, full)
        notes = untraced_graphs(read) + ([] if rows else [why_empty(read, f"kernel:{name}")])
        return of_rows(trace, rows, as_json, kernel_lines(rows, limit, 200 if full else LONGEST), notes)

    _answer([trace], communication, ("kernels", name, full, limit, as_json), answer)


@app.command()
def copies(trace: TraceFile, as_json: AsJson = False) -> None:
    """A row for every kind of copy (and memset) and device."""
    from ..profiler.queries.copies import copies as ask
    from ..profiler.queries.notes import migrations, untraced_graphs
    from ..reports.terminal.answers import of_rows
    from ..reports.terminal.trace_tables import copy_lines

    def answer(read: Trace) -> Answer:
        rows = ask(read)
        notes = untraced_graphs(read) + migrations(read) + ([] if rows else ["the trace holds no copy and no memset"])
        return of_rows(trace, rows, as_json, copy_lines(rows), notes)

    _answer([trace], None, ("copies", as_json), answer)


@app.command()
def launches(
    trace: TraceFile,
    everything: Annotated[bool, typer.Option("--all", help="Calls that submit no work, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """A row for every CUDA API function that submits work: what became of its calls, and how long the GPU took."""
    from ..profiler.queries.launches import launches as ask
    from ..reports.terminal.answers import of_rows
    from ..reports.terminal.trace_tables import launch_lines

    def answer(read: Trace) -> Answer:
        rows = ask(read, everything)
        notes = [] if rows else ["the trace holds no such call"]
        return of_rows(trace, rows, as_json, launch_lines(rows), notes)

    _answer([trace], None, ("launches", everything, as_json), answer)


@app.command()
def gaps(
    trace: TraceFile,
    least: Annotated[int, typer.Option("--min-ns", min=1, help="Leave out shorter gaps.")] = 1,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """When devices were idle, the longest first, and what the host did meanwhile."""
    from ..profiler.queries.gaps import by_cause
    from ..profiler.queries.gaps import gaps as ask
    from ..reports.terminal.answers import of_table
    from ..reports.terminal.trace_tables import gap_lines

    def answer(read: Trace) -> Answer:
        rows = ask(read, least)
        totals = by_cause(rows)
        notes = [] if len(rows) else ["no device was idle for so long between its operations"]
        return of_table(trace, rows, as_json, lambda: gap_lines(rows, totals, limit), notes, by_cause=totals)

    _answer([trace], None, ("gaps", least, limit, as_json), answer)


@app.command()
def overlap(
    trace: TraceFile,
    a: Annotated[str, typer.Option("--a", metavar="SELECTOR", help="A class, stream:N, range:GLOB or kernel:GLOB.")],
    b: Annotated[str, typer.Option("--b", metavar="SELECTOR", help="Likewise.")],
    witnesses: Annotated[int, typer.Option(min=0, help="How many pairs of operations to show.")] = 3,
    attribution: Attribution = "thread",
    communication: Communication = None,
    as_json: AsJson = False,
) -> None:
    """How much of one selection's time another one hides, on each device, with witnesses."""
    from ..profiler.queries.notes import migrations
    from ..profiler.queries.other_threads import other_threads
    from ..profiler.queries.overlap import overlap as ask
    from ..profiler.queries.selectors import check, range_names, select, why_empty
    from ..reports.terminal.answers import of_rows
    from ..reports.terminal.trace_tables import overlap_lines

    check(a)
    check(b)

    def answer(read: Trace) -> Answer:
        rows = ask(read, a, b, witnesses, attribution)
        notes = migrations(read)
        notes += [note for name in range_names(a, b) for note in other_threads(read, name, attribution)]
        notes += [why_empty(read, selector) for selector in dict.fromkeys((a, b)) if not select(read, selector).any()]
        return of_rows(trace, rows, as_json, overlap_lines(rows), notes)

    _answer([trace], communication, ("overlap", a, b, witnesses, attribution, as_json), answer)


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A trace.")],
    b: Annotated[
        Path | None, typer.Argument(metavar="[B]", help="Another; without it, two ranges of the first.")
    ] = None,
    range_a: Annotated[str | None, typer.Option(metavar="GLOB", help="Only these ranges of A.")] = None,
    range_b: Annotated[str | None, typer.Option(metavar="GLOB", help="And these of B; --range-a's by default.")] = None,
    attribution: Attribution = "thread",
    communication: Communication = None,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """What became faster, slower, new or gone, kernel by kernel, and a ledger of the whole difference."""
    from ..profiler.queries.diff import diff as ask
    from ..reports.terminal.answers import of_record
    from ..reports.terminal.trace_tables import diff_lines

    if b is None and (range_a is None or range_b is None):
        raise UsageError("there is nothing to compare with", "name a second trace, or --range-a and --range-b")

    def answer(first: Trace, second: Trace | None = None) -> Answer:
        found = ask(first, second or first, range_a, range_b or range_a, attribution)
        return of_record(a, found, as_json, lambda answer: diff_lines(answer, limit))

    question = ("diff", range_a, range_b, attribution, limit, as_json)
    _answer([a] if b is None else [a, b], communication, question, answer)


@app.command()
def export(
    trace: TraceFile,
    to: Annotated[str, typer.Option(metavar="perfetto|parquet|csv", help="What to write.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="A file for perfetto, a folder for parquet and csv.")],
    attribution: Attribution = "thread",
    communication: Communication = None,
    as_json: AsJson = False,
) -> None:
    """Write a trace for Perfetto or a notebook: every operation, API call and range."""
    from ..profiler.queries.other_threads import other_threads
    from ..reports.export.columns import check_target, export_trace
    from ..reports.terminal.answers import of_rows

    check_target(trace, to, out)
    read = _read(trace, communication)
    written = export_trace(read, to, out, attribution)
    lines = [f"wrote {file.file}  {file.rows:,} rows" for file in written]
    of_rows(trace, written, as_json, lines, other_threads(read, "*", attribution)).print()
