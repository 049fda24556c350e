"""Columns of few distinct values as small codes: a byte or two per row instead of eight, and no sorting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import each_block, gathered
from .groups import combined_codes, distinct_codes, few_codes
from .growing import constant, is_constant
from .types import Int64

_TABLE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """`values[code]` is the column.

    code    shape (n,), unsigned, in as few bytes as hold the codes
    values  shape (m,), ascending; some may occur in no row
    """

    code: NDArray[Any]
    values: Int64

    @classmethod
    def of(cls, column: NDArray[Any]) -> Codes:
        """The codes of an integer column."""
        if is_constant(column):
            return cls(constant(0, len(column), np.uint8), column[:1].astype(np.int64))
        if column.dtype == np.int8 and not (column < 0).any():
            return cls(column.view(np.uint8), np.arange(int(column.max(initial=0)) + 1))
        whole = column if column.dtype == np.int64 else column.astype(np.int64)
        if (few := few_codes(whole)) is not None:
            return cls(*few)
        code, values = distinct_codes(whole)
        return cls(code.astype(narrowest(len(values))), values)

    def take(self, chosen: NDArray[Any]) -> Codes:
        """The codes of some rows, by their indices."""
        if is_constant(self.code):
            return Codes(constant(0, len(chosen), self.code.dtype), self.values)
        return Codes(gathered(self.code, chosen), self.values)

    def counts(self) -> Int64:
        """How often each value occurs, shape (m,)."""
        return counted(self.code, len(self.values))


def narrowest(codes: int) -> np.dtype[Any]:
    """The narrowest type for codes below this number."""
    return np.min_scalar_type(max(codes - 1, 0))


def counted(code: NDArray[Any], codes: int) -> Int64:
    """How often each code occurs, shape (codes,)."""
    parts = each_block(len(code), lambda block: np.bincount(code[block], minlength=codes))
    return np.add.reduce(parts, initial=0) if parts else np.zeros(codes, np.int64)


def summed(code: NDArray[Any], codes: int, values: Int64) -> Int64:
    """The exact sum of the values of each code, shape (codes,)."""

    def add(block: slice) -> Int64:
        total = np.zeros(codes, np.int64)
        np.add.at(total, code[block].astype(np.intp), values[block])
        return total

    parts = each_block(len(code), add) if codes <= _TABLE >> 6 else [add(slice(0, len(code)))]
    return np.add.reduce(parts) if parts else np.zeros(codes, np.int64)


def joined(columns: Sequence[Codes]) -> tuple[NDArray[Any], int]:
    """One code for each distinct row of several columns, ascending in the order of the rows' values, every one of them in
    use; and how many there are."""
    several = [column for column in columns if len(column.values) > 1]
    size = int(np.prod([float(len(column.values)) for column in several]))
    length = len(columns[0].code)
    if size > _TABLE:
        code = combined_codes([column.values[column.code] for column in several])
        return code, int(code.max(initial=-1)) + 1
    key, seen = np.empty(length, narrowest(size)), np.zeros(size, bool)

    def join(block: slice) -> None:
        combined: Int64 = np.zeros(block.stop - block.start, np.int64)
        for column in several:
            combined *= len(column.values)
            combined += column.code[block]
        key[block] = combined
        seen[combined] = True

    each_block(length, join)
    number = np.cumsum(seen) - 1
    if seen.all():
        return key, size if length else 0
    number = number.astype(key.dtype)

    def renumber(block: slice) -> None:
        key[block] = number[key[block]]

    each_block(length, renumber)
    return key, int(seen.sum())
