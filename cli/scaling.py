"""`aisp-prof bench scaling`: how attention's time grows with the length of its sequences, fitted and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from ..machine.files import write_whole
from .options import AsJson, Timeout

if TYPE_CHECKING:
    from ..profiler.queries.scaling import Scaling

PROGRAM = "aisp_prof.workloads.ch10.analyze_scaling"


def scaling(
    stored: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A sweep that --record stored; else one is measured now.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Store every measured run as JSON, to fit and draw again.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A page of it: .html or .pdf.")
    ] = None,
    lang: Annotated[str, typer.Option(metavar="en|ko", help="The language of the page.")] = "en",
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Attention's time over the length of its sequences: a parabola's terms with intervals, and a chart. Without FILE it needs
    an NVIDIA GPU."""
    from ..profiler.queries.scaling import read_scaling
    from ..reports.ranks.document import check_page, write_page
    from ..reports.scaling.document import render_scaling
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.scaling_lines import scaling_data, scaling_lines

    if out is not None:
        check_page(out, lang)
    found = read_scaling(stored) if stored is not None else _measured(record, timeout)
    if out is not None:
        write_page(render_scaling(found, stored or record, lang), out)
    written = [] if out is None else ["", f"wrote {out}"]
    print_data(
        {**scaling_data(found), "file": None if out is None else str(out)}, as_json, [*scaling_lines(found), *written]
    )


def _measured(record: Path | None, timeout_s: float) -> Scaling:
    """Measure now, and store it where that is asked for."""
    from ..machine.records import convert, parsed
    from ..profiler.capture.calibrate import Program
    from ..profiler.capture.sweep import sweep
    from ..profiler.queries.scaling import Sweep
    from ..profiler.queries.scaling import scaling as fitted
    from ..reports.terminal.progress import steps

    if record is not None and not record.absolute().parent.is_dir():
        raise UsageError(
            f"cannot write {record}: there is no folder {record.parent}", "name a file in a folder that is there"
        )
    with steps() as progress:
        raw = sweep(Program(PROGRAM, (), timeout_s), progress)
    if record is not None:
        write_whole(record, raw)
    return fitted(convert(parsed(raw, PROGRAM), Sweep, PROGRAM), PROGRAM)
