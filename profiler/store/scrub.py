"""Make captures publishable: the trace, the counters and the manifest, each by its own allow-list, into a new folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import AispError, UsageError
from ...machine.files import remove_abandoned, scratch_folder
from ..counters.raw_csv import private_names, read_raw_csv, write_raw_csv
from ..counters.table import known_metrics
from ..manifest import Manifest
from .allow_list import without_paths
from .captures import Capture
from .leaks import leaks
from .manifest import folder_facts, write_manifest
from .published import published
from .redact import scrub_trace

__all__ = ["scrub_capture", "scrub_counters", "scrub_trace", "without_paths"]


def scrub_capture(capture: Capture, target_folder: Path) -> Capture:
    """Make a publishable copy of a capture: its scrubbed trace as trace.sqlite.xz, the counters that numbers are made of as
    counters.csv, its manifest without paths, no more.

    Raises:
        UsageError: the target exists, or the capture's files are not as they were captured; reports and logs, of which nothing is
            published, may be gone.
        AispError: something private is left in the result, which is removed; or the target cannot be written.
    """
    if target_folder.exists():
        raise UsageError(f"{target_folder} exists", "name a folder that does not")
    if problems := capture.verify_files(spared=_gone(capture)):
        raise UsageError("the capture was changed: " + "; ".join(problems))
    try:
        manifest = _staged(capture, target_folder)
    except OSError as error:
        raise AispError(
            f"{target_folder}: cannot be written: {error.strerror or error}", "name another --output"
        ) from error
    return Capture(target_folder, manifest, capture.shipped)


def _gone(capture: Capture) -> set[str]:
    """The files of a capture that are no longer there, of those of which nothing is published."""
    kept = {capture.trace_path, *(capture.folder / name for name in _tables(capture.manifest))}
    places = {name: capture.folder / name for name in capture.manifest.files}
    return {name for name, path in places.items() if path not in kept and not (path.exists() or path.is_symlink())}


def _tables(manifest: Manifest) -> list[str]:
    """The files of counters that are published."""
    counted = manifest.counters
    return [name for name in counted.files if name.endswith(".csv")] if counted else []


def _staged(capture: Capture, target_folder: Path) -> Manifest:
    remove_abandoned(target_folder.absolute().parent)
    with scratch_folder(target_folder.absolute().parent) as staged:
        for path in capture.trace_paths:
            if path.suffix == ".xz":
                raise UsageError(f"{path} is scrubbed already")
            scrub_trace(path, staged / f"{path.name}.xz", told=capture.manifest.pair)
        counters = _scrub_counters(capture, staged)
        manifest = published(capture.manifest.changed(counters=counters, files=folder_facts(staged)))
        write_manifest(manifest, staged)
        if found := [leak for path in sorted(staged.iterdir()) for leak in leaks(path)]:
            raise AispError("the scrubbed capture still holds private things:\n" + "\n".join(found))
        staged.rename(target_folder)
    return manifest


def scrub_counters(source: Path, target: Path) -> None:
    """Copy from ncu's raw page `source` the allowed columns: kernel, grid, block, ranges and the metrics of metrics.toml.

    Raises:
        UsageError: it is no raw page of ncu.
        AispError: something private is left in the result, which is removed.
    """
    copy_counters(source, target)
    if found := leaks(target, private_names(source)):
        target.unlink()
        raise AispError(
            "the scrubbed counters still hold private things:\n" + "\n".join(found), "rename what the pair calls so"
        )


def copy_counters(source: Path, target: Path) -> None:
    """As `scrub_counters`, but what was copied is searched for nothing.

    Raises:
        UsageError: it is no raw page of ncu.
    """
    launches = read_raw_csv(source)
    write_raw_csv(launches, {name for one in launches for name in known_metrics(one.compute_capability)}, target)


def _scrub_counters(capture: Capture, staged: Path) -> dict[str, Any] | None:
    """The scrubbed CSV into `staged`; what the manifest says of counters, without the reports, which stay private."""
    if capture.manifest.counters is None:
        return None
    kept = _tables(capture.manifest)
    for name in kept:
        scrub_counters(capture.folder / name, staged / name)
    return {**capture.manifest.as_written["counters"], "files": kept, "sections": ""}
