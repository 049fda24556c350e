"""Answers that were given before, kept beside the columns of the trace that was asked. Safe to delete at any time.

An answer is found by all that it depends on: every byte of the traces, the code of this program, what computes, and the question.
Nothing of it is looked up by a file's name, size or time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ....machine.files import write_whole
from ...core.library import core, engine
from ..source.scan import told

PACKAGE = Path(__file__).parents[3]
PROGRAM = ("cli", "reports", "profiler", "machine", "templates")
"""The rooms whose code and words decide what an answer is, besides the files in the package's own folder."""
_CODE = ("*.py", "*.c", "*.h", "*.toml")
_WORKERS = ("numpy", "rich")
"""Packages that compute, or lay out, answers."""
LARGEST = 1 << 22
"""Bytes; a longer answer is made anew."""
MOST = 64
"""Answers of one trace; the oldest goes first."""
_PREFIX = "answer-"


class KeptAnswer:
    """What one question of some traces was answered with."""

    def __init__(self, entries: Sequence[Path], question: Sequence[object]) -> None:
        """
        Args:
            entries: the folders of the traces in the cache, named by their content.
            question: values whose `repr` tells apart what is asked.

        Raises:
            UsageError, EnvironmentLacks: as `core`.
        """
        how = (engine(), core() is not None, platform.python_version(), *map(_version, _WORKERS))
        depends = (*(entry.name for entry in entries), program_fingerprint(), repr(how), repr(question))
        named = hashlib.sha256(os.fsencode("\0".join(depends))).hexdigest()
        self._folder = entries[0]
        self._file = entries[0] / f"{_PREFIX}{named}"

    def get(self) -> Any:
        """The answer, None where there is none. A damaged one is removed, and stderr says so."""
        try:
            said, _, text = self._file.read_bytes().partition(b"\n")
            if said.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
                raise ValueError("it is not the one that was written")
            found = json.loads(text)
            os.utime(self._folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
            print(f"aisp-prof: an answer was dropped from the cache, and is made anew: {told(error)}", file=sys.stderr)
            return None
        return found

    def keep(self, answer: Any) -> None:
        """Keep what JSON can hold; a full or read-only disk is no error, nor a trace that is not in the cache."""
        text = json.dumps(answer).encode()
        if len(text) > LARGEST or not self._folder.is_dir():
            return
        with suppress(OSError):
            older = sorted(self._folder.glob(f"{_PREFIX}*"), key=lambda file: file.stat().st_mtime)
            for file in older[: max(0, len(older) - MOST + 1)]:
                file.unlink(missing_ok=True)
            write_whole(self._file, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _sources() -> Iterable[Path]:
    yield from PACKAGE.glob("*.py")
    for room in PROGRAM:
        for kind in _CODE:
            yield from (PACKAGE / room).rglob(kind)


@cache
def program_fingerprint() -> str:
    """The SHA-256 of the code and words of this program, by their places: what another version said may not be what this one would."""
    digest = hashlib.sha256()
    for file in sorted(_sources()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(PACKAGE)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
