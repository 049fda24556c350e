"""The captures of a stranger's bundle: read with care, and judged anew from their traces."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import AispError, UsageError
from ...profiler.manifest import FILE_NAME
from ...profiler.store.captures import Capture
from ...profiler.store.manifest import decode, encode, read_bounded
from ...profiler.store.scrubbed import leftovers
from ...profiler.store.zipped import check_packed
from ...profiler.trace.source.file import Unpacked, damage, unpacked_once
from .layout import CAPTURES, capture_files, capture_folder, expectation_name
from .proof import Proven, proven
from .verification import Problem

DAMAGE = (
    *(AispError, ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError),
    sqlite3.Error,
)
"""What a file that somebody made up may raise in code that reads files which captures made."""


@dataclass(frozen=True, slots=True)
class Read:
    """The captures that could be judged, by id.

    folders     how many there are
    problems    what is wrong with them
    leftovers   what is in them that this program's scrubbing leaves out
    """

    proofs: Mapping[str, Proven]
    folders: int
    problems: tuple[Problem, ...]
    leftovers: tuple[Problem, ...]


def read_captures(folder: Path, names: Iterable[str]) -> Read:
    """Judge every capture below `folder`; `names` are all files of the bundle."""
    ids = sorted({name.split("/")[1] for name in names if name.startswith(f"{CAPTURES}/") and name.count("/") == 2})
    proofs: dict[str, Proven] = {}
    problems: list[Problem] = []
    more: list[Problem] = []
    for one in ids:
        try:
            with unpacked_once() as unpacked:
                capture = _capture(folder, one, names, unpacked)
                problems += [Problem(f"{CAPTURES}/{one}/{FILE_NAME}", "files", what) for what in capture.verify_files()]
                problems += _damage(capture)
                proofs[one] = proven(capture)
                more += _more(capture)
        except DAMAGE as error:
            problems.append(Problem(f"{CAPTURES}/{one}", "", f"nothing can be computed of it: {told(error)}"))
    return Read(proofs, len(ids), tuple(problems), tuple(more))


def _damage(capture: Capture) -> list[Problem]:
    """What SQLite says against the trace: a query by hand would give other numbers than those that are verified."""
    return [
        Problem(f"{CAPTURES}/{capture.id}/{path.name}", "", f"SQLite's integrity check: {what}")
        for path in capture.trace_paths
        for what in damage(path)
    ]


def _more(capture: Capture) -> list[Problem]:
    """What no scrubbed capture holds: there is no number in it, and whoever put it there means something by it."""
    here = f"{CAPTURES}/{capture.id}"
    try:
        found = [what.partition(": ") for what in leftovers(capture)]
    except AispError as error:
        return [Problem(here, "", f"it cannot be scrubbed: {error}")]
    return [Problem(f"{here}/{file}", "", what) for file, _, what in found]


def told(error: BaseException) -> str:
    """What went wrong, in a line; of an error that no message was written for, with its kind."""
    return str(error) if isinstance(error, AispError) else f"{type(error).__name__}: {error}"


def _capture(folder: Path, capture_id: str, names: Iterable[str], unpacked: Unpacked) -> Capture:
    """A capture whose manifest is as it is written, and names the files that are there and no others.

    Raises:
        UsageError: it is not.
    """
    here = folder / capture_folder(capture_id)
    text = read_bounded(here / FILE_NAME)
    manifest = decode(text, FILE_NAME)
    if encode(manifest).encode() != text:
        raise UsageError(f"{FILE_NAME} is not written as aisp-prof writes it")
    if manifest.id != capture_id:
        raise UsageError(f"{FILE_NAME} is of the capture {manifest.id!r}")
    mine = {name for name in names if name.startswith(f"{CAPTURES}/{capture_id}/")}
    if differing := sorted(mine ^ set(capture_files(manifest))):
        raise UsageError(f"{FILE_NAME} lists other files than are there: {differing[0]}")
    expectation_name(manifest.hardware_key, manifest.declaration.chapter)  # refuses what may name no file
    capture = Capture(here, manifest)
    _check_files(capture, unpacked)
    return capture


def _check_files(capture: Capture, unpacked: Unpacked) -> None:
    for name in capture.manifest.files:
        path = capture.folder / name
        if name.endswith(".xz"):
            try:
                if path in capture.trace_paths:
                    unpacked.fill(path, partial(check_packed, path))
                else:
                    check_packed(path)
            except UsageError as error:
                raise UsageError(f"{name}: {error}") from error
