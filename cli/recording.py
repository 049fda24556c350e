"""`aisp-prof trace record`: a program of one's own into a trace, by Nsight Systems or by the package's own tracer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import AispError, EnvironmentLacks, UsageError
from .options import AsJson, TracerChoice

if TYPE_CHECKING:
    from ..profiler.capture.tracers import Tracer


def record(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND…", help="What to run, as it would be typed.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The trace, an .sqlite.")] = None,
    tracer: TracerChoice = "auto",
    as_json: AsJson = False,
) -> None:
    """Run a program and record its CUDA work and NVTX ranges, those of its children too, as a trace."""
    from ..profiler.capture.tracers import find_tracer
    from ..reports.terminal.answers import print_data

    if not command or out is None:
        raise UsageError(
            "what to run, or where the trace goes, is not said",
            "aisp-prof trace record -o run.sqlite -- python train.py",
        )
    if out.suffix != ".sqlite":
        raise UsageError(f"{out}: a trace is written as .sqlite", f"-o {shlex.quote(str(out.with_suffix('.sqlite')))}")
    chosen = find_tracer(tracer)
    try:
        versions, code = _recorded(chosen, command, out)
    except OSError as error:
        raise AispError(f"{out} cannot be written: {error}", "name another file: -o") from error
    by = versions.get("tracer") or f"Nsight Systems {versions.get('nsys')}"
    row = {"file": str(out), "recorded_by": by, "exit_code": code}
    lines = [f"wrote {out}, recorded by {by}", f"next: aisp-prof trace summary {shlex.quote(str(out))}"]
    print_data({"rows": [row]}, as_json, lines)
    if code:
        failed = AispError(f"{shlex.join(command[:6])} ended with exit code {code}; what it did until then is in {out}")
        failed.answered = True
        raise failed


def _recorded(tracer: Tracer, command: list[str], out: Path) -> tuple[dict[str, str | None], int]:
    """What recorded it, and the program's exit code. `out` appears whole or not at all."""
    from ..machine.child import Watch, new_mark, run_shown, tail
    from ..machine.files import remove_abandoned, scratch_folder, settle

    remove_abandoned(out.absolute().parent)
    with scratch_folder(out.absolute().parent) as work:
        report, watch = tracer.report(work), Watch(work / "export.log", _EXPORT_S, new_mark())
        watch.log.touch()
        code = run_shown(tracer.command(report, command))
        if failure := tracer.failure(report, code, tail(watch.log)):
            raise failure
        try:
            versions = tracer.export(report, work / out.name, watch)
        except EnvironmentLacks as nothing:
            if not code:
                raise
            raise AispError(f"{shlex.join(command[:6])} ended with exit code {code}: {nothing}") from nothing
        settle(work / out.name)
        (work / out.name).replace(out)
    return versions, code


_EXPORT_S = 3600.0


def register(trace: typer.Typer) -> None:
    """Add the command of this module to `trace`."""
    trace.command()(record)
