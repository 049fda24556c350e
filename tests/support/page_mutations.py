"""What may be wrong in a page of SQLite without its being noise: one field of a b-tree's, a cell's or a record's changed.

Source of every offset: "Database File Format" of SQLite's documentation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

INTERIOR, LEAF = 5, 13
Random = np.random.Generator


@dataclass(slots=True)
class Page:
    """A page of a table's b-tree: where it begins, where its header does (page 1 has the file's first), its cells."""

    table: str
    base: int
    header: int
    kind: int
    cells: list[int]


@dataclass(slots=True)
class Database:
    """The pages of every table, and those on which values overflow."""

    content: bytes
    size: int
    pages: list[Page] = field(default_factory=list)
    overflow: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, content: bytes) -> Database:
        size = int.from_bytes(content[16:18], "big")
        found = cls(content, 65536 if size == 1 else size)
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(content)
            tables = connection.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'").fetchall()
        for name, root in (("", 1), *tables):
            found._walk(name, root)
        trees = {page.base // found.size for page in found.pages}
        found.overflow = [number for number in range(len(content) // found.size) if number not in trees]
        return found

    def touched(self, broken: bytes) -> frozenset[str] | None:
        """The tables on whose pages something differs; None where it may be any."""
        if len(broken) != len(self.content):
            return None
        places = range(0, len(broken), self.size)
        differing = [at for at in places if self.content[at : at + self.size] != broken[at : at + self.size]]
        owners = {page.base: page.table for page in self.pages}
        found = frozenset(owners.get(at, "") for at in differing)
        return None if "" in found else found

    def _walk(self, table: str, number: int) -> None:
        base = (number - 1) * self.size
        header = base + (100 if number == 1 else 0)
        kind = self.content[header]
        if kind not in (INTERIOR, LEAF):
            return
        count = self.word(header + 3)
        first = header + (12 if kind == INTERIOR else 8)
        cells = [base + self.word(first + 2 * k) for k in range(count)]
        self.pages.append(Page(table, base, header, kind, cells))
        if kind == INTERIOR:
            for cell in (*cells, header + 8):
                self._walk(table, int.from_bytes(self.content[cell : cell + 4], "big"))

    def word(self, at: int) -> int:
        return int.from_bytes(self.content[at : at + 2], "big")

    def some_page(self, random: Random, kind: int | None = None) -> Page:
        fitting = [page for page in self.pages if page.cells and kind in (None, page.kind)]
        return fitting[int(random.integers(len(fitting)))]


def varint(content: bytes | bytearray, at: int) -> tuple[int, int]:
    """A varint's value and how many bytes it takes."""
    value = 0
    for k in range(8):
        value = value << 7 | content[at + k] & 0x7F
        if not content[at + k] & 0x80:
            return value, k + 1
    return value << 8 | content[at + 8], 9


def spelled(value: int, width: int) -> bytes:
    """A varint of so many bytes (1 to 8), cut where it does not fit."""
    parts = [value >> (7 * k) & 0x7F | 0x80 for k in range(width)]
    parts[0] &= 0x7F
    return bytes(reversed(parts))


def _pick(random: Random, *values: int) -> int:
    return int(values[int(random.integers(len(values)))])


def _number(random: Random, old: int, most: int) -> int:
    """A number that may be tried in the place of another."""
    near = old + _pick(random, -3, -2, -1, 1, 2, 3)
    return max(0, min(most, _pick(random, 0, 1, near, near, near, most, int(random.integers(0, most + 1)))))


def _put(broken: bytearray, at: int, value: int, width: int) -> None:
    broken[at : at + width] = value.to_bytes(width, "big")


def cell_pointer(db: Database, random: Random, broken: bytearray) -> None:
    """To another cell, exchanged with another, near its own, or anywhere."""
    page = db.some_page(random)
    first = page.header + (12 if page.kind == INTERIOR else 8)
    at, other = (first + 2 * int(random.integers(len(page.cells))) for _ in range(2))
    match _pick(random, 0, 1, 2):
        case 0:
            broken[at : at + 2] = broken[other : other + 2]
        case 1:
            broken[at : at + 2], broken[other : other + 2] = broken[other : other + 2], broken[at : at + 2]
        case _:
            _put(broken, at, _number(random, db.word(at), db.size), 2) if db.size < 65536 else None


def page_header(db: Database, random: Random, broken: bytearray) -> None:
    """The kind of page, its first free block, the number of cells, where their content begins, fragments."""
    at = db.some_page(random).header
    match _pick(random, 0, 1, 2, 2, 3, 4):
        case 0:
            broken[at] = _pick(random, 0, 2, 5, 10, 13, int(random.integers(256)))
        case 1:
            _put(broken, at + 1, _number(random, 0, db.size - 1), 2)
        case 2:
            _put(broken, at + 3, _number(random, db.word(at + 3), 2000), 2)
        case 3:
            _put(broken, at + 5, _number(random, db.word(at + 5), 65535), 2)
        case _:
            broken[at + 7] = int(random.integers(256))


def free_block(db: Database, random: Random, broken: bytearray) -> None:
    """A free block laid over a cell, and one that leads to itself."""
    page = db.some_page(random, LEAF)
    at = page.cells[int(random.integers(len(page.cells)))] - page.base
    _put(broken, page.header + 1, at, 2)
    if random.integers(2):
        _put(broken, page.base + at, _pick(random, at, 0, 1), 2)


def child(db: Database, random: Random, broken: bytearray) -> None:
    """A pointer of an interior page: to no page, one outside, another table's, its own, an overflow page."""
    page = db.some_page(random, INTERIOR)
    at = [*page.cells, page.header + 8][int(random.integers(len(page.cells) + 1))]
    count = len(db.content) // db.size
    other = db.pages[int(random.integers(len(db.pages)))].base // db.size + 1
    wild = int(random.integers(1, count + 1))
    _put(broken, at, _pick(random, 0, 1, count, count + 1, 2**32 - 1, page.base // db.size + 1, other, other, wild), 4)


def interior_key(db: Database, random: Random, broken: bytearray) -> None:
    """The rowid that separates two children."""
    page = db.some_page(random, INTERIOR)
    _varint_changed(random, broken, page.cells[int(random.integers(len(page.cells)))] + 4)


def _varint_changed(random: Random, broken: bytearray, at: int) -> None:
    old, width = varint(broken, at)
    if random.integers(8) == 0:  # longer than it needs to be; what follows is overwritten
        width = int(random.integers(1, 9))
        broken[at : at + width] = spelled(old, width)
    elif random.integers(8) == 0:
        broken[at : at + 9] = b"\xff" * 8 + bytes([int(random.integers(256))])
    else:
        broken[at : at + min(width, 8)] = spelled(_number(random, old, (1 << (7 * width)) - 1), min(width, 8))


def rowid(db: Database, random: Random, broken: bytearray) -> None:
    at = _some_cell(db, random)
    _varint_changed(random, broken, at + varint(broken, at)[1])


def payload(db: Database, random: Random, broken: bytearray) -> None:
    """A record's length."""
    _varint_changed(random, broken, _some_cell(db, random))


def _some_cell(db: Database, random: Random) -> int:
    page = db.some_page(random, LEAF)
    return page.cells[int(random.integers(len(page.cells)))]


def record_header(db: Database, random: Random, broken: bytearray) -> None:
    """The length of a record's header, or one of its serial types: other widths, kinds, the reserved ones, long ones."""
    at = _some_cell(db, random)
    at += varint(broken, at)[1]
    at += varint(broken, at)[1]
    place = _pick(random, 0, *range(1, max(2, broken[at])))
    if not place:
        _varint_changed(random, broken, at)
        return
    if at + place < len(broken):
        broken[at + place] = _pick(
            random, *range(15), broken[at + place] + 1 & 255, 127, 128, int(random.integers(256))
        )


def value(db: Database, random: Random, broken: bytearray) -> None:
    """Bytes behind a record's header."""
    at = _some_cell(db, random)
    length, width = varint(broken, at)
    at += width + int(random.integers(2, 2 + max(1, min(length, 400))))
    if at < len(broken):
        broken[at] = int(random.integers(256))


def overflow(db: Database, random: Random, broken: bytearray) -> None:
    """Where an overflow page leads: nowhere too early, to itself, to a page of a b-tree, outside."""
    if not db.overflow:
        return
    chosen = db.overflow[int(random.integers(len(db.overflow)))]
    count = len(db.content) // db.size
    other = db.overflow[int(random.integers(len(db.overflow)))] + 1
    _put(broken, chosen * db.size, _pick(random, 0, 1, 2, chosen + 1, other, count + 1, 2**32 - 1), 4)


def copied_page(db: Database, random: Random, broken: bytearray) -> None:
    """A whole page over another one."""
    one, two = (db.pages[int(random.integers(1, len(db.pages)))].base for _ in range(2))
    broken[one : one + db.size] = db.content[two : two + db.size]


def file_header(db: Database, random: Random, broken: bytearray) -> None:
    """Page size, versions, reserved bytes, the counters by which the number of pages is believed, encoding."""
    at, width = (
        (16, 2),
        (18, 1),
        (19, 1),
        (20, 1),
        (21, 3),
        (24, 4),
        (28, 4),
        (36, 4),
        (44, 4),
        (52, 4),
        (56, 4),
        (92, 4),
    )[int(random.integers(12))]
    old = int.from_bytes(broken[at : at + width], "big")
    _put(broken, at, _number(random, old, (1 << (8 * width)) - 1), width)


_EDITS = (
    ("INTEGER NOT NULL PRIMARY KEY", "INTEGER NOT NULL"),
    ("INTEGER NOT NULL PRIMARY KEY", "INT NOT NULL PRIMARY KEY"),
    ("INTEGER NOT NULL PRIMARY KEY", "INTEGER PRIMARY KEY DESC"),
    ("start INTEGER NOT NULL", "start INTEGER PRIMARY KEY"),
    ("end INTEGER", "end REAL"),
    ("end INTEGER", "end TEXT"),
    ("end INTEGER", "end"),
    ("doubleValue REAL", "doubleValue INTEGER"),
    ("start INTEGER", "begin INTEGER"),
    (", deviceId INTEGER NOT NULL", ""),
    ("streamId INTEGER", "extra INTEGER, streamId INTEGER"),
    ("globalPid INTEGER", "globalPid INTEGER DEFAULT 7, last INTEGER DEFAULT 8"),
    ("globalPid INTEGER", "globalPid INTEGER GENERATED ALWAYS AS (1)"),
    ("text TEXT", "text TEXT COLLATE NOCASE"),
    ("text TEXT", "text BLOB"),
    ("value TEXT", "value INTEGER"),
)


def schema(db: Database, random: Random, broken: bytearray) -> None:
    """The root pages of two tables exchanged, one set anywhere, or a CREATE TABLE that says something else."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(bytes(broken))
        try:
            connection.execute("PRAGMA writable_schema = ON")
            _change_schema(connection, random, len(broken) // db.size)
            connection.commit()
            broken[:] = connection.serialize()
        except sqlite3.Error:  # broken already by a mutation before this one
            return


def _change_schema(connection: sqlite3.Connection, random: Random, pages: int) -> None:
    tables = connection.execute("SELECT rowid, rootpage FROM sqlite_master WHERE type = 'table'").fetchall()
    if not tables:
        return
    (one, first), (two, second) = (tables[int(random.integers(len(tables)))] for _ in range(2))
    setting = "UPDATE sqlite_master SET rootpage = ? WHERE rowid = ?"
    match _pick(random, 0, 1, 2, 2, 2, 2):
        case 0:
            connection.executemany(setting, [(second, one), (first, two)])
        case 1:
            connection.execute(setting, (int(random.integers(0, pages + 2)), one))
        case _:
            old, new = _EDITS[int(random.integers(len(_EDITS)))]
            connection.execute("UPDATE sqlite_master SET sql = replace(sql, ?, ?)", (old, new))


Change = Callable[[Database, Random, bytearray], None]
CHANGES: tuple[Change, ...] = (
    cell_pointer,
    page_header,
    free_block,
    child,
    interior_key,
    rowid,
    payload,
    record_header,
    value,
    overflow,
    copied_page,
    file_header,
    schema,
)


def mutations(db: Database, random: Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Mutated databases and what was done: each change in its turn, every fourth time two or three together."""
    for number in range(count):
        chosen = [CHANGES[number % len(CHANGES)]]
        if random.integers(4) == 0:
            chosen += [CHANGES[int(k)] for k in random.integers(0, len(CHANGES), int(random.integers(1, 3)))]
        broken = bytearray(db.content)
        for change in chosen:
            try:
                change(db, random, broken)
            except IndexError:  # a change before this one led it out of the file
                continue
        yield " + ".join(change.__name__ for change in chosen), bytes(broken)
