"""`aisp-prof trace …`: questions about any trace of Nsight Systems or torch.profiler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .options import AsJson

if TYPE_CHECKING:
    from ..profiler.trace.model import Trace

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


def _read(path: Path, communication: list[str] | None = None) -> Trace:
    """Read a trace; if that takes a while, stderr says so."""
    from ..machine.memory import keep_freed_memory
    from ..profiler.queries.reading import read
    from ..reports.terminal.progress import steps

    if is_slow(path):
        keep_freed_memory()
        with steps() as say:
            say(f"reading {path}")
            return read(path, communication or ())
    return read(path, communication or ())


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
    from ..reports.terminal.answers import print_record
    from ..reports.terminal.trace_tables import summary_lines

    answer = ask(_read(trace, communication), top, attribution)
    print_record(trace, answer, as_json, summary_lines)


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
    from ..reports.terminal.answers import print_rows, print_table
    from ..reports.terminal.trace_tables import range_lines

    Attribution.named(attribution)
    if out is not None:
        check_file(trace, out)
    read = _read(trace, communication)
    notes = untraced_graphs(read) + other_threads(read, name, attribution, domain)
    if out is not None:
        written = write_rows(ranges_in_parts(read, domain, name, everything, attribution), out, trace)
        notes += [] if written.rows else [why_none(read, domain, name)]
        print_rows(trace, (written,), as_json, [f"wrote {written.file}  {written.rows:,} rows"], notes)
        return
    answer = ask(read, domain, name, everything, attribution)
    notes += [] if len(answer) else [why_none(read, domain, name)]
    print_table(trace, answer, as_json, lambda: range_lines(answer, limit), notes, attribution=attribution)


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
    from ..reports.terminal.answers import print_rows
    from ..reports.terminal.tables import LONGEST
    from ..reports.terminal.trace_tables import kernel_lines

    read = _read(trace, communication)
    answer = ask(read, name, full)
    notes = untraced_graphs(read) + ([] if answer else [why_empty(read, f"kernel:{name}")])
    print_rows(trace, answer, as_json, kernel_lines(answer, limit, 200 if full else LONGEST), notes)


@app.command()
def copies(trace: TraceFile, as_json: AsJson = False) -> None:
    """A row for every kind of copy (and memset) and device."""
    from ..profiler.queries.copies import copies as ask
    from ..profiler.queries.notes import migrations, untraced_graphs
    from ..reports.terminal.answers import print_rows
    from ..reports.terminal.trace_tables import copy_lines

    read = _read(trace)
    answer = ask(read)
    notes = untraced_graphs(read) + migrations(read) + ([] if answer else ["the trace holds no copy and no memset"])
    print_rows(trace, answer, as_json, copy_lines(answer), notes)


@app.command()
def launches(
    trace: TraceFile,
    everything: Annotated[bool, typer.Option("--all", help="Calls that submit no work, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """A row for every CUDA API function that submits work: what became of its calls, and how long the GPU took."""
    from ..profiler.queries.launches import launches as ask
    from ..reports.terminal.answers import print_rows
    from ..reports.terminal.trace_tables import launch_lines

    answer = ask(_read(trace), everything)
    notes = [] if answer else ["the trace holds no such call"]
    print_rows(trace, answer, as_json, launch_lines(answer), notes)


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
    from ..reports.terminal.answers import print_table
    from ..reports.terminal.trace_tables import gap_lines

    answer = ask(_read(trace), least)
    totals = by_cause(answer)
    notes = [] if len(answer) else ["no device was idle for so long between its operations"]
    print_table(trace, answer, as_json, lambda: gap_lines(answer, totals, limit), notes, by_cause=totals)


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
    from ..reports.terminal.answers import print_rows
    from ..reports.terminal.trace_tables import overlap_lines

    check(a)
    check(b)
    read = _read(trace, communication)
    answer = ask(read, a, b, witnesses, attribution)
    notes = migrations(read) + [note for name in range_names(a, b) for note in other_threads(read, name, attribution)]
    notes += [why_empty(read, selector) for selector in dict.fromkeys((a, b)) if not select(read, selector).any()]
    print_rows(trace, answer, as_json, overlap_lines(answer), notes)


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
    from ..reports.terminal.answers import print_record
    from ..reports.terminal.trace_tables import diff_lines

    if b is None and (range_a is None or range_b is None):
        raise UsageError("there is nothing to compare with", "name a second trace, or --range-a and --range-b")
    first = _read(a, communication)
    second = first if b is None else _read(b, communication)
    answer = ask(first, second, range_a, range_b or range_a, attribution)
    print_record(a, answer, as_json, lambda answer: diff_lines(answer, limit))


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
    from ..reports.terminal.answers import print_rows

    check_target(trace, to, out)
    read = _read(trace, communication)
    written = export_trace(read, to, out, attribution)
    lines = [f"wrote {file.file}  {file.rows:,} rows" for file in written]
    print_rows(trace, written, as_json, lines, other_threads(read, "*", attribution))
