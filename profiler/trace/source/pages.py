"""Pages of an SQLite file and the leaves of its table b-trees, read without SQLite.

Source of every offset: "Database File Format" of SQLite's documentation, sections "The Database Header" and "B-tree Pages".
Whatever differs from a plain table raises `Unusual`, and the caller asks SQLite's library instead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...arrays.types import Int64

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

INTERIOR, LEAF = 0x05, 0x0D  # of table b-trees; those of indices and of tables WITHOUT ROWID are 0x02 and 0x0A
_UTF8 = 1
DEEPEST = 20  # SQLite's own limit on the depth of a cursor
_LEAST_CELL = 6
"""Bytes of the smallest cell and its pointer."""
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
CONTINUES = np.uint64(0x8080808080808080)
PAD = 16
"""Bytes of zero after a batch, so that eight bytes can be loaded even from its last one."""


class Unusual(Exception):
    """Not the plain case that the fast reader handles; never shown to a user."""


class Impossible(Unusual):
    """What no genuine SQLite file contains: what the library would follow forever, or find one way and miss another."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """An open SQLite file: `size` bytes per page, of which the first `usable` hold content."""

    descriptor: int
    size: int
    usable: int
    count: int

    def read(self, numbers: Int64) -> Bytes:
        """Pages by number (the first is 1), one after the other, and PAD zeroes: shape (n * size + PAD,).

        Raises:
            Unusual: a page outside the file.
        """
        if len(numbers) and (int(numbers.min()) < 1 or int(numbers.max()) > self.count):
            raise Unusual("a page outside the file")
        content = np.empty(len(numbers) * self.size + PAD, np.uint8)
        content[-PAD:] = 0
        view = content.data
        runs = np.flatnonzero(np.diff(numbers) != 1) + 1
        bounds = [0, *runs.tolist(), len(numbers)]
        for low, high in pairwise(bounds):
            if high > low:
                self._fill(view[low * self.size : high * self.size], (int(numbers[low]) - 1) * self.size)
        return content

    def _fill(self, part: memoryview, offset: int) -> None:
        while part:
            got = os.preadv(self.descriptor, [part], offset)
            if not got:
                raise Unusual("the file became shorter")
            part, offset = part[got:], offset + got


def open_pages(path: Path) -> PageFile:
    """Open for reading; close `descriptor` when done.

    Raises:
        Unusual: text that is not UTF-8, an odd page size.
    """
    descriptor = os.open(path, os.O_RDONLY)
    header = os.pread(descriptor, 100, 0)
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    usable = size - header[20] if len(header) == 100 else 0
    if usable < 480 or size & (size - 1) or int.from_bytes(header[56:60], "big") != _UTF8:
        os.close(descriptor)
        raise Unusual("not the usual header")
    return PageFile(descriptor, size, usable, _count(header, os.fstat(descriptor).st_size // size))


def _count(header: bytes, there: int) -> int:
    """How many pages belong to the database: the header's count, if the program that last wrote the file maintained
    that field."""
    says = int.from_bytes(header[28:32], "big")
    return min(says, there) if says and header[24:28] == header[92:96] else there


def words(content: Bytes) -> Words:
    """Eight bytes starting at every position, least significant first: shape (n - 7,), without a copy."""
    return np.ndarray((len(content) - 7,), "<u8", buffer=content, strides=(1,))


def big_endian(content: Bytes, at: Int64, width: int) -> Int64:
    """Unsigned numbers of 1 to 4 bytes at these positions."""
    value = content[at].astype(np.int64)
    for k in range(1, width):
        value = (value << 8) | content[at + k]
    return value


def varints(loads: Words, at: Int64, size: int) -> tuple[Int64, Int64]:
    """The varints at these positions, up to 8 bytes long, and the positions after them.

    Raises:
        Unusual: a varint of 9 bytes: a negative number, or one above 2^56.
    """
    if len(at) and int(at.max()) > size - 8:
        raise Unusual("a varint at the end of the content")
    raw = loads[at]
    stops = ~raw & CONTINUES
    if (stops == 0).any():
        raise Unusual("a varint of nine bytes")
    lowest = stops & (~stops + np.uint64(1))  # the top bit of the varint's last byte
    length = np.ones(len(at), np.int64)
    longest = 1
    while longest < 8 and (more := lowest > np.uint64(1 << (8 * longest - 1))).any():
        length += more
        longest += 1
    aligned = raw.byteswap() >> (64 - 8 * length).astype(np.uint64)
    value = aligned & np.uint64(0x7F)
    for k in range(1, longest):
        value |= (aligned >> np.uint64(k)) & np.uint64(0x7F << (7 * k))
    return value.astype(np.int64), at + length


def cells(file: PageFile, content: Bytes, kind: int) -> tuple[Int64, Int64]:
    """All cells of pages of one kind, in the order of their keys.

    Returns:
        page  index of the page within the content, shape (cells,)
        at    position of the cell in the content, shape (cells,)

    Raises:
        Unusual: a page of another kind, more cells than SQLite reads, or a pointer out of its page.
    """
    base = np.arange(len(content) // file.size, dtype=np.int64) * file.size
    if (content[base] != kind).any():
        raise Unusual("a page of another kind")
    header = 12 if kind == INTERIOR else 8
    counts = big_endian(content, base + 3, 2)
    if int(counts.max(initial=0)) > (file.size - 8) // _LEAST_CELL:
        raise Unusual("more cells than a page holds")
    page = np.repeat(np.arange(len(base)), counts)
    number = np.arange(len(page)) - np.repeat(np.cumsum(counts) - counts, counts)
    pointer = big_endian(content, base[page] + header + 2 * number, 2)
    least = 5 if kind == INTERIOR else 4
    if len(pointer) and ((pointer < header + 2 * counts[page]) | (pointer > file.usable - least)).any():
        raise Unusual("a cell outside its page")
    return page, base[page] + pointer


@dataclass(frozen=True, slots=True)
class Leaves:
    """Leaf pages in the order of rowids, and the rowids that lie between them: `above[i]` is below every one of leaf i,
    `upto[i]` is at least its last; shape (leaves,) each."""

    numbers: Int64
    above: Int64
    upto: Int64

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, some: slice) -> Leaves:
        return Leaves(self.numbers[some], self.above[some], self.upto[some])


def leaves(file: PageFile, root: int) -> Leaves:
    """The leaf pages under a table's root.

    Raises:
        Unusual: not a table b-tree, or one whose leaves lie at different depths.
        Impossible: it leads to a page twice.
    """
    level, between = np.array([root], np.int64), np.empty(0, np.int64)
    for _ in range(DEEPEST):
        if len(np.unique(level)) != len(level):
            raise Impossible("a page is reached twice: its pages form a loop")
        first = int(file.read(level[:1])[0])
        if first == LEAF:
            return Leaves(level, np.insert(between, 0, _LEAST), np.append(between, _MOST))
        level, between = _children(file, level, between)
    raise Unusual("too deep")


def _children(file: PageFile, level: Int64, between: Int64) -> tuple[Int64, Int64]:
    """The pages under interior pages: each cell's left child, and the right-most one from the header; and the rowids
    between them, of which `between` has those between the interior pages."""
    content = file.read(level)
    page, at = cells(file, content, INTERIOR)
    base = np.arange(len(level), dtype=np.int64) * file.size
    last = np.searchsorted(page, np.arange(len(level)), "right")
    if (np.diff(last, prepend=0) == 0).any():
        raise Unusual("an interior page without a cell")
    key, after = varints(words(content), at + 4, len(content))
    if (after > base[page] + file.usable).any():
        raise Unusual("a cell that leaves its page")
    pages = np.insert(big_endian(content, at, 4), last, big_endian(content, base + 8, 4))
    return pages, np.insert(key, last[:-1], between)
