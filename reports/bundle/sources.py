"""Whether the code that a bundle's pairs were made of is the code that lies here, by the hashes in their manifests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ...profiler.manifest import FILE_NAME
from .declared import Own
from .layout import capture_folder
from .opened import Opened
from .proof import Proven
from .verification import Check, Problem, Status

MOST_BYTES = 64 << 20
"""A file that is larger is no source of a pair."""


def check_sources(bundle: Opened, own: Own | None) -> list[Check]:
    """No check at all of a bundle of chapters' pairs: what they are made of is aisp-prof, whose commit the manifest says.

    A file that is not here is no difference: whoever verifies a proof need not have the code. One that is here and differs makes
    the proof one of other code, whatever its numbers say.
    """
    stated = [one for one in bundle.proofs if one.capture.manifest.sources]
    if not stated:
        return []
    files = {file for one in stated for file in one.capture.manifest.sources}
    folders = own.folders if own else ()
    present = {file for file in files if _here(file, folders) is not None}
    problems = tuple(problem for one in stated for problem in _differing(one, folders))
    if problems:
        mend = "capture it again, or verify it beside the code that it was made of"
        return [Check("sources", Status.UNPROVEN, "made of other code than lies here", problems, mend)]
    if not present:
        told = f"none of the {len(files)} files that its pairs are made of lies here"
        return [Check("sources", Status.ABSENT, told)]
    absent = f", {len(files) - len(present)} are not" if present != files else ""
    return [
        Check("sources", Status.OK, f"{len(present)} files that its pairs are made of are here as they were{absent}")
    ]


def _differing(one: Proven, folders: Sequence[Path]) -> Iterator[Problem]:
    manifest = one.capture.manifest
    for file, sha256 in sorted(manifest.sources.items()):
        path = _here(file, folders)
        if path is not None and (found := _sha256(path)) != sha256:
            where = f"{capture_folder(manifest.id)}/{FILE_NAME}"
            yield Problem(where, f"sources: {file}", f"has {sha256[:12]}…, the file here {found[:12]}…")


def _here(file: str, folders: Sequence[Path]) -> Path | None:
    """The file in the first folder that has it; a name that leads out of the folder is nowhere."""
    name = PurePosixPath(file)
    if name.is_absolute() or ".." in name.parts or "\\" in file or "\0" in file:
        return None
    every = (folder / name for folder in folders)
    return next((path for path in every if os.path.isfile(path) and path.stat().st_size <= MOST_BYTES), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
