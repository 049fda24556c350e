"""`aisp-prof counters` and `aisp-prof calibrate`: what kernels did by the hardware's counters, and what the GPU can do."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .options import AsJson, CapturesFolder, Timeout

if TYPE_CHECKING:
    from ..profiler.store.captures import Capture


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
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.counters_table import counter_lines, notes

    rows = counter_rows(read_counters(report))
    data = {"report": str(report), "notes": notes(rows), "rows": [asdict(row) for row in rows]}
    print_data(data, as_json, counter_lines(rows, limit))


def roofline(
    chosen: Annotated[
        str,
        typer.Argument(
            metavar="PAIR|CAPTURE",
            help="A pair, e.g. ch09:memory_bound; or a capture's id, its beginning, or its folder.",
        ),
    ],
    captures: CapturesFolder = None,
    as_json: AsJson = False,
) -> None:
    """FLOPs, DRAM bytes, intensity and share of the measured roofline, a row a range and a kernel. Needs no GPU."""
    from ..profiler.proof.prove import prove_capture
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.roofline_table import roofline_data, roofline_lines

    evidence = prove_capture(_capture(chosen, captures))
    print_data(roofline_data(evidence), as_json, roofline_lines(evidence))


def _capture(chosen: str, captures: Path | None) -> Capture:
    """The capture in this folder, the newest of the pair of this name, or the one whose id starts with `chosen`, among this user's
    and those that ship."""
    from ..profiler.manifest import FILE_NAME
    from ..profiler.store.captures import Capture, Store, captures_folder, resolve, select
    from ..profiler.store.manifest import read_manifest
    from ..workloads.registry import pairs

    if (Path(chosen) / FILE_NAME).is_file():
        return Capture(Path(chosen), read_manifest(Path(chosen)))
    folder = captures_folder(captures)
    keys = [*(pair.key for pair in pairs()), *{one.manifest.pair for one in Store(folder).captures()}]
    if (key := chosen.replace(":", ".")) in keys:
        return resolve(key, folder)
    return select(keys, folder, chosen)[0][0]


def calibrate(
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Store the result as JSON, with the conditions."),
    ] = None,
    timeout: Timeout = 300,
    as_json: AsJson = False,
) -> None:
    """Measure this GPU's bandwidths and matrix rates, and check its FLOP counters. Needs an NVIDIA GPU, takes a minute."""
    from ..reports.hostile import visible
    from ..reports.terminal.counters_table import ceiling_lines
    from ..reports.terminal.progress import steps

    if out is not None and not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")
    with steps() as progress:
        result = measure_ceilings(timeout, progress)
    data = json.dumps({"schema": 1, **result}, indent=1)
    if out is not None:
        _store(out, data)
    typer.echo(data if as_json else "\n".join(map(visible, ceiling_lines(result))))


def measure_ceilings(timeout_s: float, progress: Callable[[str], None], only: Collection[str] = ()) -> dict[str, Any]:
    """Run this package's calibration program, for all ceilings or `only` some; returns its result as JSON data (docs/json.md,
    "calibrate")."""
    from ..profiler.capture.calibrate import Program, calibrate

    return calibrate(Program("aisp_prof.workloads.calibration", (), timeout_s), progress, only)


def _store(path: Path, text: str) -> None:
    from ..machine.files import output_file

    try:
        with output_file(path) as file:
            file.write(f"{text}\n".encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "name a file in a writable folder") from error


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the face."""
    app.command()(counters)
    app.command()(roofline)
    app.command()(calibrate)
