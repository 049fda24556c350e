"""What every source gives: a table's columns as arrays, exact to the last bit, NULLs in masks of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...arrays.types import Bools, Int64


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns to read from one table, by how their values are to be interpreted."""

    integers: tuple[str, ...] = ()
    reals: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        return (*self.integers, *self.reals, *self.texts)


@dataclass(slots=True)
class Integers:
    """`values` of shape (n,), int64, 0 where NULL; `null` marks the NULLs, None when there is none."""

    values: Int64
    null: Bools | None = None

    def filled(self, value: int) -> Int64:
        """The column with `value` in place of NULL; may be the column itself, not a copy."""
        return self.values if self.null is None else np.where(self.null, np.int64(value), self.values)

    @property
    def is_null(self) -> Bools:
        return np.zeros(len(self.values), bool) if self.null is None else self.null


@dataclass(slots=True)
class Texts:
    """`codes` of shape (n,), int64: indices into `values`, -1 for NULL. Equal bytes have equal codes."""

    codes: Int64
    values: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Scan:
    """Columns of one table in the order of its rowids. A REAL is NaN where NULL: SQLite itself cannot hold a NaN."""

    row: Int64
    integers: dict[str, Integers] = field(default_factory=dict)
    reals: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    texts: dict[str, Texts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.row)


class Source(Protocol):
    """One opened trace. Every method raises TraceError for what is damaged, naming the file and, where known, the row."""

    @property
    def path(self) -> Path:
        """The file as the user named it."""

    def tables(self) -> Mapping[str, tuple[str, ...]]:
        """Ordinary tables (no views, no virtual tables) and their columns."""

    def count(self, table: str) -> int:
        """The number of rows."""

    def scan(self, table: str, wanted: Wanted) -> Scan:
        """These columns of a table.

        Raises:
            TraceError: a non-integer in an integer column, or a non-number in a real one.
        """

    def records(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """All rows of a small table as Python values; text is decoded, with U+FFFD for what is not UTF-8."""


def told(name: object, longest: int = 120) -> str:
    """A name from a file, for a message: one line of ASCII whatever it holds, shortened if long."""
    text = str(name)
    return ascii(text if len(text) <= longest else f"{text[:longest]}...")[1:-1]


def decoded(raw: bytes) -> str:
    """NVTX text may be any bytes."""
    return raw.decode("utf-8", "replace")


def all_decoded(raw: Iterable[bytes]) -> list[str]:
    """Likewise, of many: without a call of Python's for each."""
    return list(map(bytes.decode, raw, repeat("utf-8"), repeat("replace")))
