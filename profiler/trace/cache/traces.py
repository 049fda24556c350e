"""Traces that were read before, kept as columns in the project's own cache folder. Safe to delete at any time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ....machine.files import PREFIX, cache_folder, remove_abandoned, scratch_folder, settle
from ...arrays.rows import Rows
from ..model import Trace
from ..source.scan import told
from .derived import Derived
from .fingerprint import READER, code_fingerprint, fingerprint
from .packed import described, unpacked
from .stored import ColumnFile, StoredRows, store

LEAST = 32 << 20
"""Bytes; a smaller file is read as fast as it would be looked up."""
LIMIT = 8 << 30
"""Bytes that the cache may hold; the traces that were used longest ago go first."""
_INFO = "trace.json"
_COLUMNS = "columns"
R = TypeVar("R", bound=Rows)


class Put(Protocol):
    """Takes one part of a trace (`operations`, `calls`, …) and gives the same rows back."""

    def __call__(self, name: str, rows: R) -> R: ...


def as_it_is(name: str, rows: R) -> R:
    """For a trace that is not kept."""
    return rows


class TraceCache:
    """A folder of traces, keyed by the content of the file, the reader's own code, and the patterns asked for."""

    def __init__(self, folder: Path | None = None, least: int = LEAST, limit: int = LIMIT) -> None:
        self._folder = (folder or cache_folder()) / "traces"
        self._least = least
        self._limit = limit

    def key(self, path: Path, patterns: Iterable[str]) -> str | None:
        """The name of a trace in the cache; None for folders and small files, which are not cached."""
        if not path.is_file() or path.stat().st_size < self._least:
            return None
        parts = (fingerprint(path), code_fingerprint(*READER), *patterns)
        return hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()  # an argument need not be UTF-8

    def get(self, key: str, path: Path) -> Trace | None:
        """The cached trace under its present path; None if there is none, or none that can be read. A damaged one is
        removed, and stderr says so."""
        folder = self._folder / key
        if not folder.is_dir():
            return None
        try:
            info, file = _info(folder), ColumnFile(folder / _COLUMNS)
            if file.sums() != info["sums"]:
                raise ValueError("its columns are not those that were written")
            trace = self._with_tables(key, unpacked(info, file, path))
            os.utime(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            print(f"aisp-prof: {told(path)}: dropped from the cache, and read anew: {told(error)}", file=sys.stderr)
            return None
        return trace

    def keep(self, key: str, read: Callable[[Put], Trace]) -> Trace:
        """The trace that `read` gives, kept as it is read: `read` hands every part over as soon as it is done and gets it
        back as rows that are read from the cache, so that a part's columns leave memory before the next part is read.

        The trace appears in the cache whole or not at all; a full or read-only disk is no error.
        """
        with ExitStack() as stack:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                remove_abandoned(self._folder)
                new = stack.enter_context(scratch_folder(self._folder))
                entry = _Entry(new)
            except OSError:
                return read(as_it_is)
            trace = read(entry.put)
            with suppress(OSError):
                if entry.finish(trace):
                    new.rename(self._folder / key)
                    settle(self._folder)
                    self._shrink()
            return self._with_tables(key, trace)

    def _with_tables(self, key: str, trace: Trace) -> Trace:
        return replace(trace, kept=Derived(self._folder / key, (trace.operations, trace.calls, trace.ranges)))

    def _shrink(self) -> None:
        """Remove the least recently used entries until the rest fits; entries still being written do not count yet."""
        whole = (one for one in self._folder.iterdir() if one.is_dir() and not one.name.startswith(PREFIX))
        entries = sorted(whole, key=lambda entry: entry.stat().st_mtime, reverse=True)
        total = 0
        for entry in entries:
            total += sum(file.stat().st_size for file in entry.iterdir())
            if total > self._limit:
                shutil.rmtree(entry, ignore_errors=True)


class _Entry:
    """A trace on its way into the cache. What was stored stays readable for as long as somebody holds it, even if the
    rest does not fit on the disk and the files are removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = ColumnFile(folder / _COLUMNS, new=True)
        self._parts: dict[str, StoredRows] = {}
        self._failed = False

    def put(self, name: str, rows: R) -> R:
        """The same rows, read from the file; unchanged if it cannot be written."""
        try:
            self._parts[name] = store(rows, self._file)
        except OSError:
            self._failed = True
            return rows
        return type(rows).supplied(self._parts[name])

    def finish(self, trace: Trace) -> bool:
        """Write the rest so that it survives a power failure; returns whether the entry is complete."""
        if not self._failed:
            text = json.dumps({**described(trace, self._parts), "sums": self._file.finished()}).encode()
            os.fsync(self._file.descriptor)
            with (self._folder / _INFO).open("wb") as file:
                file.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
                file.flush()
                os.fsync(file.fileno())
            settle(self._folder)
        return not self._failed


def _info(folder: Path) -> dict[str, Any]:
    """What an entry says of its columns.

    Raises:
        OSError: there is no description, or it cannot be read.
        ValueError: it is not what was written.
    """
    said, _, text = (folder / _INFO).read_bytes().partition(b"\n")
    if said.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
        raise ValueError("its description is not the one that was written")
    info: dict[str, Any] = json.loads(text)
    return info
