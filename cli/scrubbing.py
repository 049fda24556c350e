"""`aisp-prof scrub`: what may be published of a trace or of a capture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .options import CapturesFolder

if TYPE_CHECKING:
    from ..profiler.store.names import NameRules

_PACKED = (".xz", ".gz", ".zst")
_TRACE_NAMES = (".sqlite", ".nsys-rep", *(kind + pack for kind in (".sqlite", ".nsys-rep") for pack in _PACKED))


def scrub(
    chosen: Annotated[
        str,
        typer.Argument(
            metavar="TRACE|CAPTURE",
            help="A file is a trace; a folder is a capture; else it is the id of a capture (--captures), or "
            "its beginning.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="What to make: a file for a trace (.sqlite; .xz packs it), a folder for a capture. It must not exist.",
        ),
    ],
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Names of kernels and ranges that stay; alone: all others are dropped."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Names that become 'redacted'; no row goes, so that no number changes."),
    ] = None,
    hash_names: Annotated[
        bool, typer.Option("--hash-names", help="Names become hashes, the same for equal names in every trace.")
    ] = False,
    captures: CapturesFolder = None,
) -> None:
    """Copy what may be published of a trace or a capture: no environment, arguments, paths, host, user or output.

    The result is searched for leftovers, and removed where one is found. What a name of a kernel or of a range tells is
    for you to say: --keep, --drop and --hash-names, of which --drop comes first, then --keep.
    """
    from ..profiler.store.names import NameRules
    from ..reports.hostile import line

    rules = NameRules(tuple(keep or ()), tuple(drop or ()), hash_names)
    made = _trace(Path(chosen), out, rules) if _is_trace(chosen) else _capture(chosen, out, rules, captures)
    typer.echo(line(f"{made}: nothing private was found in it"))


def _is_trace(chosen: str) -> bool:
    path = Path(chosen)
    return path.is_file() or (not path.is_dir() and chosen.endswith(_TRACE_NAMES))


def _trace(source: Path, out: Path, rules: NameRules) -> Path:
    from ..profiler.queries.reading import export_report
    from ..profiler.store.redact import scrub_trace

    scrub_trace(source, out, rules, export_report)
    return out


def _capture(chosen: str, out: Path, rules: NameRules, captures: Path | None) -> Path:
    from ..profiler.store.captures import Capture, Stores, captures_folder, with_shipped
    from ..profiler.store.manifest import read_manifest
    from ..profiler.store.scrub import scrub_capture

    if rules.active:
        raise UsageError("a capture is judged by the names of its ranges and kernels", "scrub its trace.sqlite instead")
    folder = Path(chosen)
    if folder.is_dir():
        return scrub_capture(Capture(folder, read_manifest(folder)), out).folder
    capture = Stores(captures_folder(captures), with_shipped(captures)).named(chosen)
    return scrub_capture(capture, out).folder


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command("scrub")(scrub)
