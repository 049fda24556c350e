"""The texts of a file, one by one, and what they spell in another form: a search of raw bytes sees neither.

SQLite writes a text right behind other bytes, which may be letters: whether a path begins a text, only the text tells.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from binascii import Error, a2b_base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from mmap import mmap
from pathlib import Path
from urllib.parse import quote as percent
from urllib.parse import unquote_to_bytes

from ..trace.source.sqlite import quote

MAGIC = b"SQLite format 3\0"
_AT_ONCE = 1 << 20
_HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}")
_URLSAFE = bytes.maketrans(b"-_", b"+/")
_JSON = re.compile(rb"\\u00([0-9A-Fa-f]{2})|\\([/\"\\])")
_SHORT = 256
"""What is shorter is decoded once: the same names and hashes stand in every file of a bundle."""
_PRINTABLE = re.compile(rb"[\x20-\x7e]{8,}")
"""What decoding gives by chance is seldom eight printable characters."""


def texts(data: bytes | mmap) -> Iterator[tuple[str, bytes]]:
    """(where, texts by lines): of a database every value that is text or bytes, the names of its tables and columns and
    the statements that made them; of another file all of it.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    if data[: len(MAGIC)] != MAGIC:
        yield "", bytes(data)
        return
    with _database(data) as connection:
        connection.text_factory = bytes
        rows = connection.execute("SELECT type, name, tbl_name, sql, rootpage FROM sqlite_master").fetchall()
        yield "the schema", b"\n".join(text for row in rows for text in row if isinstance(text, bytes))
        for kind, name, *_, root in rows:
            if kind == b"table" and root:
                table = name.decode("utf-8", "surrogateescape")
                for part in _joined(_values(connection, table)):
                    yield f"table {ascii(table)[1:-1][:80]}", part


@contextmanager
def _database(data: bytes | mmap) -> Iterator[sqlite3.Connection]:
    """Read where it lies, by a copy that is nobody else's: what is searched may be anybody's, and in memory only."""
    with tempfile.TemporaryDirectory(prefix="aisp-scrub-") as folder:
        path = Path(folder) / "searched.sqlite"
        path.write_bytes(data)
        with closing(sqlite3.connect(f"file:{percent(str(path))}?mode=ro&immutable=1", uri=True)) as connection:
            for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
                connection.execute(f"PRAGMA {pragma}")
            yield connection


def _values(connection: sqlite3.Connection, table: str) -> Iterator[bytes]:
    columns = [
        quote(row[1].decode("utf-8", "surrogateescape"))
        for row in connection.execute(f"PRAGMA table_info({quote(table)})")
    ]
    told = " OR ".join(f"typeof({column}) IN ('text', 'blob')" for column in columns)
    before: set[bytes] = set()
    for row in connection.execute(f"SELECT {', '.join(columns)} FROM {quote(table)} NOT INDEXED WHERE {told}"):
        for value in row:
            if isinstance(value, bytes) and value not in before:
                if len(value) < 256 and len(before) < _AT_ONCE:
                    before.add(value)
                yield value


def _joined(values: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for value in values:
        held.append(value)
        size += len(value)
        if size > _AT_ONCE:
            yield b"\n".join(held)
            held, size = [], 0
    if held:
        yield b"\n".join(held)


def decoded(text: bytes) -> Iterator[bytes]:
    """What a text spells: percent-encoded (twice, too), with the escapes of JSON, in UTF-16, in hex, in base64."""
    plain = text
    for _ in range(2):
        if b"%" in plain and (once := unquote_to_bytes(plain)) != plain:
            yield (plain := once)
    if b"\\" in text:
        yield _JSON.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], text)
    if b"\0" in text:
        yield text.replace(b"\0", b"")
    if spelled := b"\n".join(_of_runs(text)):
        yield spelled


def _of_runs(text: bytes) -> Iterator[bytes]:
    """What runs of hex and base64 spell, from each place at which a byte may begin: letters of a name may stand before it."""
    for form, spelled in ((_HEX, _of_hex), (_BASE64, _of_base64)):
        for run in form.findall(text):
            yield from spelled(run) if len(run) < _SHORT else spelled.__wrapped__(run)


@lru_cache(maxsize=1 << 15)
def _of_hex(run: bytes) -> tuple[bytes, ...]:
    starts = (run[begin:] for begin in range(2))
    spelled = (bytes.fromhex(part[: len(part) // 2 * 2].decode()) for part in starts)
    return tuple(part for one in spelled for part in _PRINTABLE.findall(one))


@lru_cache(maxsize=1 << 15)
def _of_base64(run: bytes) -> tuple[bytes, ...]:
    letters = run.translate(_URLSAFE)
    return tuple(part for begin in range(4) for part in _PRINTABLE.findall(_bytes_of(letters[begin:])))


def _bytes_of(run: bytes) -> bytes:
    whole = run[: len(run) // 4 * 4]
    try:
        return a2b_base64(whole + _rest(run))
    except Error:  # one letter over: no byte ends there
        return a2b_base64(whole)


def _rest(run: bytes) -> bytes:
    over = len(run) % 4
    return run[-over:] + b"=" * (4 - over) if over > 1 else b""
