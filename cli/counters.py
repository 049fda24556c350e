"""`aisp-prof counters` and `aisp-prof calibrate`: what kernels did by the hardware's counters, and what the GPU can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md) instead of text.")]


def counters(
    report: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="An Nsight Compute report (.ncu-rep), or its raw page as .csv."),
    ],
    limit: Annotated[int, typer.Option(min=0, help="Rows of text; 0 for all. JSON has them all.")] = 50,
    as_json: AsJson = False,
) -> None:
    """FLOPs by type, DRAM bytes, intensity and tensor activity of every kernel launch. Needs no GPU."""
    from dataclasses import asdict

    from ..profiler.counters.report import read_counters
    from ..profiler.counters.rows import counter_rows
    from ..reports.counters_table import counter_lines, notes

    rows = counter_rows(read_counters(report))
    if as_json:
        data = {"schema": 1, "report": str(report), "notes": notes(rows), "rows": [asdict(row) for row in rows]}
        typer.echo(json.dumps(data, indent=1))
    else:
        typer.echo("\n".join(counter_lines(rows, limit)))


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the face."""
    app.command()(counters)
