"""Tables made of a whole trace, kept beside its columns, so that other questions of it begin where this one ended.

What is kept is what several questions need and what does not depend on what they ask for: numbers of every device, kernel, kind of copy, API
function, range name and gap. It is found by the trace's own key, which every byte of the file counts in, and by the profiler's code.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....machine.files import write_whole
from ...arrays.rows import Rows
from ...core.library import core
from ..source.scan import told
from .fingerprint import code_fingerprint

Table = dict[str, NDArray[Any]]
"""Columns by name, of any lengths."""

PROFILER = Path(__file__).parents[2]
"""The package that holds all code that decides what is made of a trace."""
LARGEST = 1 << 28
"""Bytes; a larger table is made anew."""
MOST = 64
"""Tables of one trace; the oldest goes first."""
_PREFIX = "derived-"
_NARROW = tuple(np.dtype(kind) for kind in ("u1", "u2", "u4"))
_KINDS = frozenset("biuf")
_SLOW = 1 << 12
"""Elements, from which on a column is stored in fewer bytes."""


class Derived:
    """The tables of one trace in the cache."""

    def __init__(self, folder: Path, rows: tuple[Rows, ...]) -> None:
        """
        Args:
            folder: the trace's own, in the cache.
            rows: its operations, calls and ranges: of a trace with others nothing is known here.
        """
        self._folder, self._rows = folder, rows
        self._known: dict[str, Table] = {}
        self._lock = Lock()

    def is_of(self, *rows: Rows) -> bool:
        """Whether the tables are those of a trace that holds these rows, and no changed ones."""
        return len(rows) == len(self._rows) and all(a is b for a, b in zip(rows, self._rows, strict=True))

    def get(self, name: str) -> Table | None:
        """The table of this name, None where none was kept. A damaged one is removed, and stderr says so."""
        with self._lock:
            if name not in self._known:
                try:
                    self._known[name] = _unpacked(_checked(self._file(name).read_bytes()))
                except FileNotFoundError:
                    return None
                except (OSError, ValueError, KeyError, TypeError) as error:
                    with suppress(OSError):
                        self._file(name).unlink(missing_ok=True)
                    what = f"a table of this trace was dropped from the cache, and is made anew: {told(error)}"
                    print(f"aisp-prof: {what}", file=sys.stderr)
                    return None
            return self._known[name]

    def table(self, name: str, make: Callable[[], Table]) -> Table:
        """The table of this name, made where none was kept; `name` says all that it depends on besides the trace."""
        known = self.get(name)
        if known is None:
            known = make()
            self.keep(name, known)
        return known

    def keep(self, name: str, table: Table) -> None:
        """Keep a table; a full or read-only disk is no error, nor a trace that is not in the cache any more."""
        content = _packed(table)
        if len(content) > LARGEST or not self._folder.is_dir():
            return
        with suppress(OSError):
            older = sorted(self._folder.glob(f"{_PREFIX}*"), key=lambda file: file.stat().st_mtime)
            for file in older[: max(0, len(older) - MOST + 1)]:
                file.unlink(missing_ok=True)
            write_whole(self._file(name), hashlib.sha256(content).hexdigest().encode() + b"\n" + content)

    def _file(self, name: str) -> Path:
        by = (name, code_fingerprint(PROFILER), str(core() is not None), np.__version__)
        return self._folder / f"{_PREFIX}{hashlib.sha256(os.fsencode(chr(0).join(by))).hexdigest()}"


def _checked(content: bytes) -> memoryview:
    said, rest = content[:64], memoryview(content)[65:]
    if said.decode("ascii", "replace") != hashlib.sha256(rest).hexdigest():
        raise ValueError("it is not the one that was written")
    return rest


def _packed(table: Table) -> bytes:
    """What each column is, and their elements one column behind the other."""
    how, parts = [], []
    for name, column in table.items():
        stored, base = _narrowed(np.ascontiguousarray(column))
        how.append([name, column.dtype.str, stored.dtype.str, len(stored), base])
        parts.append(stored.tobytes())
    return b"".join([json.dumps(how).encode(), b"\n", *parts])


def _narrowed(column: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """A long column of integers as what is above its least value, in the narrowest integers that hold that; and this value."""
    if column.dtype != np.int64 or len(column) < _SLOW:
        return column, 0
    low, high = int(column.min()), int(column.max())
    kind = next((kind for kind in _NARROW if high - low <= np.iinfo(kind).max), None)
    return (column, 0) if kind is None else ((column - low).astype(kind), low)


def _unpacked(content: memoryview) -> Table:
    """
    Raises:
        ValueError, KeyError, TypeError: it is not of the form that `_packed` makes.
    """
    end = bytes(content[: 1 << 20]).index(b"\n")
    table, at = {}, end + 1
    for name, kind, stored, length, base in json.loads(bytes(content[:end])):
        if np.dtype(kind).kind not in _KINDS or np.dtype(stored).kind not in _KINDS:
            raise ValueError("its columns are of an unknown kind")
        column = np.frombuffer(content, np.dtype(stored), length, at)
        at += column.nbytes
        whole = kind == stored  # copied, as it lies anywhere in the file, and the compiled core reads whole numbers
        table[name] = column.copy() if whole else np.add(column, base, dtype=np.dtype(kind), casting="unsafe")
    if at != len(content):
        raise ValueError("it is longer than its columns")
    return table
