"""What lies where in a bundle, and the forms of its lists: names, hashes, JSON that has one text for one value."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...machine.records import parsed
from ...profiler.manifest import FILE_NAME, Manifest

SCHEMA = 1
SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
PROOF = "proof.json"
ENVIRONMENT = "environment.json"
READ_ME = "README.txt"
CAPTURES = "captures"
EXPECTATIONS = "expectations"

MAX_JSON_BYTES = 128 << 20
"""A JSON file of a bundle that is larger is not read."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUM = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[^\n]+)")


def plain(text: str, what: str) -> str:
    """The text where it may name a file on any system.

    Raises:
        UsageError: it may not.
    """
    if not _PLAIN.fullmatch(text):
        raise UsageError(f"{what} {text[:100]!r} is no plain name (letters, digits, '.', '_' and '-')")
    return text


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a bundle; `stage` is the title's and the files' name, `pdf` whether there is one."""

    stage: str
    lang: str
    pdf: bool

    @property
    def html_name(self) -> str:
        return f"{self.stage}.html"

    @property
    def pdf_name(self) -> str:
        return f"{self.stage}.pdf"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.html_name, self.pdf_name) if self.pdf else (self.html_name,)


def stages(pair: str) -> tuple[str, str]:
    """What the pages of a pair may be called: by its chapter, or by itself. "ch11.streams" -> "ch11", "ch11-streams"."""
    return pair.partition(".")[0], pair.replace(".", "-")


def capture_folder(capture_id: str) -> str:
    return f"{CAPTURES}/{plain(capture_id, 'the capture id')}"


def capture_files(manifest: Manifest) -> list[str]:
    """The names that a capture's files have in a bundle, its manifest first."""
    folder = capture_folder(manifest.id)
    return [f"{folder}/{name}" for name in (FILE_NAME, *sorted(manifest.files))]


def expectation_name(hardware_key: str, chapter: str) -> str:
    """The file of expectations that applies to a capture of a chapter on this hardware, where there is such a file.

    Raises:
        UsageError: what may name no file.
    """
    return f"{EXPECTATIONS}/{plain(hardware_key, 'the hardware key')}/{plain(chapter, 'the chapter')}.json"


def sums_text(sha256: Mapping[str, str]) -> str:
    """A list that `sha256sum -c` reads."""
    return "".join(f"{sha256[name]}  {name}\n" for name in sorted(sha256))


def read_sums(text: str) -> dict[str, str]:
    """name -> sha256, of what `sums_text` wrote.

    Raises:
        UsageError: it is no such list, or not sorted.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _SUM.fullmatch(line)
        if not match:
            raise UsageError(f"line {number} is no hash and name")
        found[match["name"]] = match["sha256"]
    if sums_text(found) != text:
        raise UsageError("its lines are not as they are written: sorted, each name once")
    return found


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """The value of a JSON file that a stranger wrote.

    Raises:
        UsageError: too large, or nothing that `machine.records.parsed` takes.
        OSError: it cannot be read.
    """
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise UsageError(f"{path.name}: {size} bytes, at most {MAX_JSON_BYTES} are read")
    return parsed(path.read_bytes(), path.name)
