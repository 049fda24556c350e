"""The command line: each command parses, calls and prints; the work is done on the floors below."""

from __future__ import annotations

import io
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ..errors import BUG, AispError, EnvironmentLacks, UsageError
from ..version import __version__
from . import assertion, bench, bundle, compare, counters, demos, expect, help, judging, kernels, scrubbing, trace
from .complaint import complain

if TYPE_CHECKING:
    from ..profiler.evidence import Evidence
    from ..profiler.expect.check import Checked
    from ..profiler.manifest import Manifest

app = typer.Typer(
    name="aisp-prof",
    help="Prove from Nsight traces that a GPU optimization worked.",
    epilog="Exit codes: 0 proven or done, 1 refuted, 2 usage, 3 the environment lacks something, 4 unproven, "
    "5 nothing is expected of a pair.",
    no_args_is_help=True,
    context_settings=help.SETTINGS,
    pretty_exceptions_enable=False,
)

app.add_typer(trace.app, name="trace")
app.add_typer(kernels.app, name="kernels")
app.add_typer(bench.app, name="bench")
counters.register(app)
assertion.register(app)
bundle.register(app)
compare.register(app)
demos.register(app)
expect.register(app)
scrubbing.register(app)

CapturesFolder = Annotated[
    Path | None,
    typer.Option("--captures", help="The folder of captures; else $AISP_CAPTURES, else ./aisp-captures."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md) instead of text.")]


def main() -> NoReturn:
    """Run the command line; an `AispError` becomes its message, its mend and its exit code, never a traceback.

    Nor does what the system refuses: a name too long, a folder that may not be entered, a disk that is full, memory.
    A bug is a traceback, and ends with `BUG`: Python's own exit code is that of a refuted claim.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal of Latin-1 shows › as \u203a, and no traceback
    try:
        app()
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
    complain(error)
    sys.exit(error.exit_code)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aisp-prof {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    unpack_limit: Annotated[
        float | None,
        typer.Option(metavar="GIB", help="What a packed trace may become; else $AISP_UNPACK_LIMIT_GIB, else 16."),
    ] = None,
) -> None:
    """What every command shares."""
    if unpack_limit is not None:
        from ..profiler.trace.limits import UNPACK_VARIABLE

        os.environ[UNPACK_VARIABLE] = str(unpack_limit)


@app.command("list")
def list_pairs(
    selector: Annotated[str, typer.Argument(metavar="[CHAPTER[:PAIR]]", help="All of them by default.")] = "",
    captures: CapturesFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the pairs, what each needs, and its captures."""
    from ..profiler.store.captures import Stores, captures_folder
    from ..reports.terminal.tables import table
    from ..workloads.registry import find, pairs

    stores = Stores(captures_folder(captures))
    chosen = find(selector) if selector else pairs()
    rows: list[dict[str, Any]] = [
        {
            "pair": pair.key,
            "title": pair.declaration.title["en"],
            "needs": list(pair.declaration.needs),
            "sizes": sorted(pair.declaration.sizes),
            "claims": list(pair.declaration.claims),
            "captures": [capture.id for capture in stores.captures(pair.key)],
        }
        for pair in chosen
    ]
    cells = [(r["pair"], ", ".join(r["needs"]), r["title"], str(len(r["captures"]))) for r in rows]
    _print(rows, as_json, table(("pair", "needs", "title", "captures"), cells, left=3))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and lacks, what each thing is for, and how to get it."""
    from ..profiler.capture.doctor import diagnose

    checks = diagnose()
    marks = {"ok": "✓", "limited": "~", "missing": "✗"}
    lines = []
    for check in checks:
        lines.append(f"{marks[check.status]} {check.name:<18} {check.found or 'not found'}  ({check.purpose})")
        lines += [f"  → {check.mend}"] if check.mend else []
    _print([check.to_json() for check in checks], as_json, lines)


@app.command()
def capture(
    selector: Annotated[str, typer.Argument(metavar="CHAPTER[:PAIR]", help="What to run, e.g. ch11 or ch11:streams.")],
    iterations: Annotated[int, typer.Option(help="Measured iterations of each variant; an even number.")] = 20,
    size: Annotated[str, typer.Option(help="A size key of the pair; this GPU's own by default.")] = "",
    profile: Annotated[
        str,
        typer.Option(
            help="none: bare, timed by CUDA events. minimal: under Nsight Systems too. roofline: counted by Nsight Compute "
            "besides, against ceilings measured first. deep: with Nsight Compute's full sections. By default what each pair's "
            "claims need: roofline where they speak of work or rates, else minimal."
        ),
    ] = "",
    ceilings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Ceilings that aisp-prof calibrate -o stored of this GPU, not measured anew."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one run may take.")] = 600,
    captures: CapturesFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run pairs bare and under NVIDIA's profilers, and store a capture of each. Needs an NVIDIA GPU."""
    from ..profiler.store.captures import captures_folder
    from ..workloads.registry import find
    from .capturing import capture_pairs

    done = capture_pairs(find(selector), captures_folder(captures), profile, iterations, size, timeout, ceilings)
    made = [
        {
            "pair": one.manifest.pair,
            "id": one.id,
            "folder": str(one.folder),
            "counters": one.manifest.as_written.get("counters"),
        }
        for one in done
    ]
    lines = [line for one in done for line in _captured(one.manifest)]
    where = f" --captures {shlex.quote(str(captures))}" if captures else ""
    _print(made, as_json, [*lines, f"next: aisp-prof report --stage {selector}{where}"])


def _captured(made: Manifest) -> list[str]:
    """What became of one pair; a tier of FLOPs lower than what was asked for is said with its mend."""
    lines, counted = [f"{made.pair}  captured as {made.id}"], made.counters
    if counted and counted.reason:
        lines += [f"  FLOPs are declared only: {counted.reason}"]
        lines += [f"  → {counted.mend}"] if counted.mend else []
    if counted and counted.sections_reason:
        lines.append(f"  without ncu's full sections: {counted.sections_reason}")
    return lines


@app.command()
def report(
    target: Annotated[
        str, typer.Argument(metavar="CHAPTER[:PAIR]", help="What to report, e.g. ch11 or ch11:streams.")
    ] = "",
    stage: Annotated[str, typer.Option(metavar="CHAPTER[:PAIR]", help="The same, as an option.")] = "",
    chosen: Annotated[
        str, typer.Option("--capture", help="A capture's id or its beginning; the newest by default.")
    ] = "",
    out: Annotated[Path, typer.Option(help="The folder to write into.")] = Path(),
    lang: Annotated[str, typer.Option(help="en or ko.")] = "en",
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="html, pdf, or both with a comma; by default both, and the HTML alone where no PDF can be printed.",
        ),
    ] = "",
    into: bundle.Target = None,
    sign: bundle.Key = None,
    captures: CapturesFolder = None,
    as_json: AsJson = False,
) -> None:
    """Judge the newest capture of each pair and write its page; the exit code is the worst verdict's.

    A pair without a capture is named, and makes the whole unproven. Captures that came with aisp-prof stand in for missing ones
    unless --captures or $AISP_CAPTURES says where captures are.
    """
    from ..profiler.evidence import Verdict
    from ..profiler.expect.check import held_against
    from ..profiler.expect.files import expectations_folder
    from ..profiler.expect.observe import observe
    from ..profiler.store.captures import Stores, captures_folder, with_shipped
    from ..reports.page.write import formats_to_write
    from ..reports.terminal.console import summary
    from ..reports.terminal.expectations import held_lines
    from ..workloads.registry import find

    stage = _stage(target, stage)
    bundle.refuse_sign_alone(into, sign)
    kinds, lacking = formats_to_write(formats)
    name = stage.replace(":", "-").replace(".", "-")
    _check_report(lang, out, into)
    keys = [pair.key for pair in find(stage)]
    stores = Stores(captures_folder(captures), with_shipped(captures))
    found, missing = stores.select(keys, chosen)
    refused = dict(judging.unreadable(missing, stores))
    if into is None:
        (observed, more), kept = judging.judge_each(found, observe), expectations_folder()
        refused |= more
        evidences = [one.evidence for _, one in observed]
        expected = {c.id: held_against(o, c.manifest.pair, kept) for c, o in observed}
        files, failure = _write(name, evidences, out, lang, kinds, expected)
    else:
        evidences, expected = bundle.make(into, sign, found, missing, name, lang, kinds)
        files, failure = [str(into)], None
    if as_json:
        proofs, held = [one.to_json() for one in evidences], [one.to_json() for one in expected.values() if one]
        said = {"stage": stage, "files": files, "missing": missing, "refused": refused}
        _print({**said, "proofs": proofs, "expectations": held}, as_json, [])
    else:
        lines = [line for one in evidences for line in (*summary(one, lang), *held_lines(expected[one.capture_id]))]
        _print({}, as_json, [*lines, *judging.lines(missing, refused), *(f"wrote {file}" for file in files)])
    if failure:
        raise failure
    if lacking:
        complain(lacking)
    verdicts = [one.verdict for one in evidences] + [Verdict.UNPROVEN] * len({*missing, *refused})
    raise typer.Exit(Verdict.worst(verdicts).exit_code)


def _check_report(lang: str, out: Path, into: Path | None) -> None:
    """Refuse what would be refused after minutes of judging."""
    from ..reports.catalog import catalog
    from ..reports.page.write import check_folder

    catalog(lang)
    check_folder(into.parent, "--bundle") if into else check_folder(out, "--out")


def _stage(target: str, stage: str) -> str:
    """What to report, said as an argument or by --stage."""
    if bool(target) == bool(stage):
        what = "said twice, as an argument and by --stage" if target else "not said"
        raise UsageError(f"what to report is {what}", "aisp-prof report ch11")
    return target or stage


def _write(
    name: str,
    evidences: list[Evidence],
    out: Path,
    lang: str,
    formats: Sequence[str],
    expected: dict[str, Checked | None],
) -> tuple[list[str], AispError | None]:
    """Write each format; what cannot be written comes back as an error, so that the verdict is printed all the same:
    a missing Pango does not undo a proof."""
    from ..errors import EnvironmentLacks
    from ..reports.page.document import render_html
    from ..reports.page.write import write_formats

    html = render_html(name, evidences, lang, expected=expected)
    files, failure = [], None
    for kind in formats:
        try:
            files += [str(path) for path in write_formats(name, html, out, (kind,))]
        except EnvironmentLacks as error:
            failure = error
    return files, failure


def _print(data: Any, as_json: bool, lines: list[str]) -> None:
    from ..reports.terminal.answers import print_data

    print_data(data if isinstance(data, dict) else {"rows": data}, as_json, lines)


help.arrange(app)
