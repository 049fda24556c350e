"""Records that were made before, kept in the project's cache folder by the content of their trace and what was asked of it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from ...machine.files import cache_folder, whole_file
from ..trace.cache.fingerprint import code_fingerprint, fingerprint
from .question import Question
from .record import Rank

LIMIT = 1 << 30
"""Bytes of records that are kept; those that were used longest ago go first."""

_ROOMS = tuple(
    Path(__file__).parents[1] / room for room in ("arrays", "core", "trace", "analysis", "ranges", "queries", "ranks")
)
"""All code that decides what a record holds."""
_MADE, _READ = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(tuple[Rank, ...])


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the records of a trace lie; nowhere for a folder, and for what an nsys exports first, whose version may change."""

    file: Path | None

    @classmethod
    def of(cls, path: Path, question: Question) -> Self:
        if not path.is_file() or ".nsys-rep" in path.suffixes:
            return cls(None)
        asked = msgspec.json.encode(msgspec.structs.replace(question, rank_pattern=""))
        key = hashlib.sha256(
            b"\0".join([fingerprint(path).encode(), code_fingerprint(*_ROOMS).encode(), asked])
        ).hexdigest()
        return cls(folder() / f"{key}.msgpack")

    def get(self) -> tuple[Rank, ...] | None:
        """The records; None where there are none, or none that can be read."""
        if self.file is None:
            return None
        try:
            found = _READ.decode(self.file.read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None
        with suppress(OSError):
            self.file.touch()
        return found

    def put(self, records: tuple[Rank, ...]) -> None:
        """Keep them; a full or read-only disk is no error."""
        if self.file is None:
            return
        with suppress(OSError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with whole_file(self.file) as out:
                out.write(_MADE.encode(records))


def folder() -> Path:
    return cache_folder() / "ranks"


def shrink(limit: int = LIMIT) -> None:
    """Remove the records that were used longest ago, until the others fit."""
    with suppress(OSError):
        files = [(file.stat(), file) for file in folder().glob("*.msgpack")]
        total = 0
        for stat, file in sorted(files, key=lambda one: one[0].st_mtime, reverse=True):
            total += stat.st_size
            if total > limit:
                file.unlink(missing_ok=True)
