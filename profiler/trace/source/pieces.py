"""Columns of a batch of rows, and how those of many batches become the columns of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays.growing import Growing, constant, is_constant, same
from ...arrays.types import Bools, Int64
from .scan import Integers, Scan, Texts, Wanted


@dataclass(slots=True)
class Piece:
    """One batch's columns. `spilled` holds the positions of rows that SQLite's library has yet to read."""

    row: Int64
    spilled: Int64
    integers: dict[str, Integers] = field(default_factory=dict)
    reals: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    texts: dict[str, tuple[Int64, list[bytes]]] = field(default_factory=dict)


def together(row: Int64, spilled: Int64, parts: list[tuple[Int64, Piece]], wanted: Wanted) -> Piece:
    """One piece for all rows of a batch, from pieces that each hold some of its rows and their positions. Rows in no
    piece (`spilled`) are NULL for now."""
    whole, n = Piece(row, spilled), len(row)
    for name in wanted.integers:
        columns = [(which, part.integers[name]) for which, part in parts]
        value = _spread([(which, column.values) for which, column in columns], n, 0, np.int64)
        nulls = [(which, constant(False, len(which), bool) if c.null is None else c.null) for which, c in columns]
        whole.integers[name] = Integers(value, _spread(nulls, n, True, bool))
    for name in wanted.reals:
        whole.reals[name] = _spread([(which, part.reals[name]) for which, part in parts], n, np.nan, np.float64)
    for name in wanted.texts:
        index: dict[bytes, int] = {}
        codes = [(which, merged_codes(*part.texts[name], index)) for which, part in parts]
        whole.texts[name] = (_spread(codes, n, -1, np.int64), list(index))
    return whole


def _spread(parts: list[tuple[Int64, NDArray[Any]]], length: int, absent: Any, kind: Any) -> NDArray[Any]:
    """A column with every part at its positions and `absent` elsewhere; a constant if all of it is."""
    values = [part[0] if is_constant(part) else None for _, part in parts]
    if parts and sum(len(which) for which, _ in parts) < length:
        values.append(absent)
    first: Any = values[0] if values else absent
    if first is not None and all(value is not None and same(value, first) for value in values):
        return constant(first, length, kind)
    column = np.full(length, absent, kind)
    for which, part in parts:
        column[which] = part
    return column


def merged_codes(codes: Int64, values: list[bytes], index: dict[bytes, int]) -> Int64:
    """Codes of one list of texts as codes of another, which grows by what is new."""
    if not values:
        return codes
    known = np.array([*(index.setdefault(value, len(index)) for value in values), -1], np.int64)
    return known[codes]


def assembled(pieces: Iterator[Piece], wanted: Wanted, expected: int) -> tuple[Scan, Int64]:
    row, spilled = Growing(np.int64, expected), [np.empty(0, np.int64)]
    integers = {name: (Growing(np.int64, expected), Growing(np.bool_, expected)) for name in wanted.integers}
    reals = {name: Growing(np.float64, expected) for name in wanted.reals}
    codes = {name: Growing(np.int64, expected) for name in wanted.texts}
    index: dict[str, dict[bytes, int]] = {name: {} for name in wanted.texts}
    for piece in pieces:
        spilled.append(piece.spilled + len(row))
        row.add(piece.row)
        for name, (whole, null) in integers.items():
            whole.add(piece.integers[name].values)
            mask = piece.integers[name].null
            null.add(constant(False, len(piece.row), bool) if mask is None else mask)
        for name, real in reals.items():
            real.add(piece.reals[name])
        for name, code in codes.items():
            codes_here, values = piece.texts[name]
            code.add(merged_codes(codes_here, values, index[name]) if values else codes_here)
    scan = Scan(
        row.array(),
        {name: Integers(whole.array(), _mask(null)) for name, (whole, null) in integers.items()},
        {name: real.array() for name, real in reals.items()},
        {name: by_appearance(code.array(), list(index[name])) for name, code in codes.items()},
    )
    return scan, np.concatenate(spilled)


def by_appearance(codes: Int64, values: list[bytes]) -> Texts:
    """Texts numbered in the order in which the rows first have them, as the compiled core numbers them."""
    if is_constant(codes) or not len(codes):
        return Texts(codes, values)
    first = np.full(len(values) + 1, len(codes), np.int64)  # the last is NULL's, code -1
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    order = np.argsort(first[:-1], kind="stable")
    number = np.append(np.empty_like(order), -1)
    number[order] = np.arange(len(order))
    return Texts(number[codes], [values[i] for i in order.tolist()])


def _mask(null: Growing) -> Bools | None:
    mask = null.array()
    return mask if mask.any() else None
