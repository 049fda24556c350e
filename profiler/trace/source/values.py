"""Values of a column from their serial types and positions: integers, reals and text, for many rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays.growing import constant
from ...arrays.types import Int64
from .pages import Unusual, Words
from .records import BLOB, FLOAT, NULL, ONE, ZERO, Records
from .scan import Integers

# By serial type: how far to shift eight loaded bytes down, which bits to keep, and what to add.
_SHIFT = np.array([0, 56, 48, 40, 32, 16, 0, 0, 0, 0], np.int64)
_KEEP = np.array([0, -1, -1, -1, -1, -1, -1, 0, 0, 0], np.int64)
_ADD = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], np.int64)
_LONG = 512
"""Texts of more bytes than this are handled one by one."""


def integers(records: Records, column: int) -> Integers:
    """An integer column.

    Raises:
        Unusual: it holds a real, text or a blob.
    """
    types = records.types(column)
    low, high = records.bounds(column)
    if high > ONE or (low <= FLOAT <= high and (types == FLOAT).any()):
        raise Unusual("a value that is no integer")
    null = None if low != NULL else constant(True, len(types), bool) if high == NULL else types == NULL
    if low == high and low in (NULL, ZERO, ONE):
        return Integers(constant(low == ONE, len(types), np.int64), null)
    if low > FLOAT:
        return Integers((types == ONE).astype(np.int64), null)
    loaded = records.batch.words[records.positions(column)].byteswap().view(np.int64)
    if low == high:
        return Integers(loaded >> _SHIFT[low], null)
    value = loaded >> _SHIFT[types]
    if low == NULL or high > FLOAT:
        value = (value & _KEEP[types]) + _ADD[types]
    return Integers(value, null)


def reals(records: Records, column: int) -> NDArray[np.float64]:
    """A real column; SQLite stores whole numbers in it as integers.

    Raises:
        Unusual: text or a blob in it.
    """
    types = records.types(column)
    high = records.bounds(column)[1]
    if high > ONE:
        raise Unusual("a value that is no number")
    if high == NULL:
        return constant(np.nan, len(types), np.float64)
    loaded = records.batch.words[records.positions(column)].byteswap()
    whole = ((loaded.view(np.int64) >> _SHIFT[types]) & _KEEP[types]) + _ADD[types]
    value = np.where(types == FLOAT, loaded.view(np.float64), whole.astype(np.float64))
    return np.where(types == NULL, np.nan, value)


def texts(records: Records, column: int) -> tuple[Int64, list[bytes]]:
    """A text column as codes into a list of distinct values, -1 for NULL.

    Raises:
        Unusual: a number in it.
    """
    if records.bounds(column)[1] == NULL:
        return constant(-1, len(records.types(column)), np.int64), []
    types = records.types(column).astype(np.int64)
    code = np.full(len(types), -1, np.int64)
    here = np.flatnonzero(types != NULL)
    if int(types[here].min()) < BLOB:
        raise Unusual("a number in a text column")
    at, length = records.positions(column)[here], (types[here] - BLOB) >> 1
    kept: dict[bytes, int] = {}
    first, group = _distinct(records.batch.words, at, np.minimum(length, _LONG + 1))
    content = records.batch.content
    codes = [kept.setdefault(content[a : a + n].tobytes(), len(kept)) for a, n in _spans(at, length, first)]
    code[here] = np.array(codes, np.int64)[group]
    for i in np.flatnonzero(length > _LONG).tolist():
        a, n = int(at[i]), int(length[i])
        code[here[i]] = kept.setdefault(content[a : a + n].tobytes(), len(kept))
    return code, list(kept)


def _spans(at: Int64, length: Int64, which: Int64) -> list[tuple[int, int]]:
    return list(zip(at[which].tolist(), length[which].tolist(), strict=True))


def _distinct(loads: Words, at: Int64, length: Int64) -> tuple[Int64, Int64]:
    """Rows of equal bytes: the index of the first of each group, and each row's group.

    Rows are grouped by a 64-bit hash, and every row is then compared, word by word, with the first of its group.

    Raises:
        Unusual: two different texts of one hash.
    """
    hashed = length.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    columns: list[tuple[Int64, NDArray[np.uint64]]] = []
    for offset in range(0, int(length.max()), 8):
        rows = np.flatnonzero(length > offset)
        word = _word(loads, at[rows] + offset, length[rows] - offset)
        mixed = (hashed[rows] ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        hashed[rows] = mixed ^ (mixed >> np.uint64(32))
        columns.append((rows, word))
    _, first, group = np.unique(hashed, return_index=True, return_inverse=True)
    same = first[group]
    if (length != length[same]).any() or not all(_agree(rows, word, same) for rows, word in columns):
        raise Unusual("two texts of one hash")
    return first, group


def _agree(rows: Int64, word: NDArray[np.uint64], same: Int64) -> bool:
    """Whether these rows hold the same word as the first of their group, which has the same length and is therefore
    among them."""
    place = np.empty(len(same), np.int64)
    place[rows] = np.arange(len(rows))
    return bool((word == word[place[same[rows]]]).all())


def _word(loads: Words, at: Int64, left: Int64) -> NDArray[np.uint64]:
    """Eight bytes from each position, zero-padded at the end."""
    short = np.uint64(8) * np.minimum(left, 8).astype(np.uint64) % np.uint64(64)
    mask = np.where(left >= 8, ~np.uint64(0), (np.uint64(1) << short) - np.uint64(1))
    return loads[at] & mask
