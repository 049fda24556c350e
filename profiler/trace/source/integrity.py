"""SQLite's own check of a file's structure, run such that the file cannot crash this process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.library import DEEP, TWICE, core
from .pages import DEEPEST
from .scan import told

_INDEX_INTERIOR, _TABLE_INTERIOR = 0x02, 0x05
_PREFIX = "*** in database main ***\n"
_OF_VALUES = ("NULL value in ", "CHECK constraint failed in ")
"""What the check says of rows that a column's declaration forbids: not damage, and this project judges values itself."""
_MOST = 20
_TWICE, _DEEP = "a page is reached twice", "its pages lie deeper than SQLite lays them"


def faults(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with the whole file and every index's entries.

    Raises:
        sqlite3.Error: the schema cannot be read.
    """
    loop = loops(connection)
    return [loop] if loop else _said(connection, "integrity_check")


def faults_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """What is wrong with a table's b-tree and its indices' pages, in a file without `loops`."""
    quoted = table.replace('"', '""')
    return _said(connection, f'quick_check("{quoted}")')


def loops(connection: sqlite3.Connection) -> str:
    """Why the file's pages are not trees that SQLite's check may walk; "" if they are: it recurses once per level, and a
    chain of 200,000 pages, which packs into a few kilobytes, overflows its stack.

    Raises:
        sqlite3.Error: the schema cannot be read.
    """
    roots = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE typeof(rootpage) = 'integer' AND rootpage BETWEEN 1 AND 4294967295"
    ).fetchall()
    return endless(_path(connection), [1, *(int(root) for (root,) in roots)])


def _said(connection: sqlite3.Connection, check: str) -> list[str]:
    connection.execute("PRAGMA ignore_check_constraints = ON")
    try:
        rows = connection.execute(f"PRAGMA {check}").fetchall()
    except sqlite3.DatabaseError as error:
        return [told(error)]
    said = [line for (text,) in rows for line in str(text).removeprefix(_PREFIX).splitlines()]
    return [told(line) for line in said if line != "ok" and not line.startswith(_OF_VALUES)][:_MOST]


def _path(connection: sqlite3.Connection) -> Path:
    """The file's name, as bytes: it need not be UTF-8."""
    texts = connection.text_factory
    connection.text_factory = bytes
    try:
        return Path(os.fsdecode(connection.execute("PRAGMA database_list").fetchone()[2]))
    finally:
        connection.text_factory = texts


def endless(path: Path, roots: list[int]) -> str:
    """Why the pages under these roots are not trees of a depth that SQLite makes; "" if they are."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = int.from_bytes(os.pread(descriptor, 2, 16), "big")
        size = 65536 if size == 1 else size
        if (known := _walked(descriptor, size, roots)) is not None:
            return known
        level, seen = roots, set[int]()
        for _ in range(DEEPEST):
            if len(set(level)) != len(level) or seen.intersection(level):
                return _TWICE
            seen.update(level)
            level = [child for number in level for child in _children(descriptor, number, size)]
            if not level:
                return ""
        return _DEEP
    finally:
        os.close(descriptor)


def _walked(descriptor: int, size: int, roots: list[int]) -> str | None:
    """The same by the compiled core; None where there is none, or a page lies outside the file."""
    library = core()
    if library is None or not size:
        return None
    pages = np.array(roots, np.int64)
    count = os.fstat(descriptor).st_size // size
    found = library.aisp_walk(descriptor, size, count, pages.ctypes.data, len(pages), DEEPEST)
    return {0: "", TWICE: _TWICE, DEEP: _DEEP}.get(found)


def _children(descriptor: int, number: int, size: int) -> Iterator[int]:
    """The child pages of a page; none for pages outside the file."""
    base, begin = (number - 1) * size, 100 if number == 1 else 0
    head = os.pread(descriptor, 12, base + begin) if number else b""
    if len(head) < 12 or head[0] not in (_INDEX_INTERIOR, _TABLE_INTERIOR):
        return
    yield int.from_bytes(head[8:12], "big")
    page = os.pread(descriptor, size, base)
    for at in range(begin + 12, min(begin + 12 + 2 * int.from_bytes(head[3:5], "big"), len(page) - 1), 2):
        cell = int.from_bytes(page[at : at + 2], "big")
        yield int.from_bytes(page[cell : cell + 4], "big")
