"""Whether a capture is what scrubbing made: scrubbing it once more must change nothing."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice, zip_longest
from pathlib import Path

from ...errors import AispError
from ..trace.source.file import plain_file
from ..trace.source.sqlite import quote
from .captures import Capture
from .manifest import encode
from .published import published
from .redact import copy_allowed
from .scrub import copy_counters

_PAGES, _PAGE_BYTES, _FREE_PAGES = slice(28, 32), slice(16, 18), slice(36, 40)
_HEADER = 100
_COUNTED = (*range(24, 32), *range(40, 44), *range(92, _HEADER))
"""Bytes of a database's header that count changes and pages, or name the version of SQLite."""


def leftovers(capture: Capture) -> Iterator[str]:
    """What of a capture scrubbing would have left out, as sentences that begin with the file; nothing where all is scrubbed.

    Raises:
        AispError: a file cannot be read as what it should be.
    """
    for path in capture.trace_paths:
        for what in islice(trace_leftovers(path), 1):
            yield f"{path.name}: {what}"
    yield from _odd_files(capture)
    if place := _differing(encode(capture.manifest), encode(published(capture.manifest))):
        yield f"manifest.json: {place}"


def _odd_files(capture: Capture) -> Iterator[str]:
    counted = set(capture.manifest.counters.files if capture.manifest.counters else ())
    for name in capture.manifest.files:
        path = capture.folder / name
        if name in counted and name.endswith(".csv"):
            with tempfile.TemporaryDirectory(prefix="aisp-scrub-") as folder:
                again = Path(folder) / name
                copy_counters(path, again)
                if place := _differing(path.read_text("utf-8", "replace"), again.read_text("utf-8")):
                    yield f"{name}: {place}"
        elif path not in capture.trace_paths:
            yield f"{name}: no file of a scrubbed capture"


def _differing(says: str, again: str) -> str:
    """In which line they first differ, without what it says there: it may be private."""
    lines = enumerate(zip_longest(says.split("\n"), again.split("\n")), 1)
    return next((f"line {number} holds what scrubbing leaves out" for number, (a, b) in lines if a != b), "")


def trace_leftovers(path: Path) -> Iterator[str]:
    """What of a trace, packed or plain, scrubbing it once more would change.

    Compared is what SQLite tells of either, and the header. Inside a page, bytes that belong to no row are not looked at here:
    `leaks` searches them.
    """
    with tempfile.TemporaryDirectory(prefix="aisp-scrub-") as folder, plain_file(path) as plain:
        again = Path(folder) / "again.sqlite"
        copy_allowed(plain, path, again)
        yield from _bytes(plain, again)
        with closing(sqlite3.connect(":memory:", uri=True)) as database:
            database.text_factory = bytes
            for name, one in (("says", plain), ("again", again)):
                database.execute(f"attach ? as {name}", (f"{one.absolute().as_uri()}?mode=ro&immutable=1",))
            try:
                yield from _statements(database)
                yield from _rows(database)
            except sqlite3.Error as error:
                raise AispError(f"{path}: cannot be compared: {error}") from error


def _bytes(plain: Path, again: Path) -> Iterator[str]:
    with plain.open("rb") as one, again.open("rb") as two:
        says, ours = one.read(_HEADER), two.read(_HEADER)
    page = int.from_bytes(says[_PAGE_BYTES], "big")
    if plain.stat().st_size != (65536 if page == 1 else page) * int.from_bytes(says[_PAGES], "big"):
        yield "it goes on behind its last page"
    if int.from_bytes(says[_FREE_PAGES], "big"):
        yield "it holds pages that belong to no table"
    elif odd := [at for at in range(_HEADER) if at not in _COUNTED and says[at] != ours[at]]:
        yield f"byte {odd[0]} of its header is not as scrubbing writes it"


def _statements(database: sqlite3.Connection) -> Iterator[str]:
    query = "select type, name, tbl_name, sql from {}.sqlite_master"
    for first, second, what in (
        ("says", "again", "is not as scrubbing writes it, or is left out by it"),
        ("again", "says", "is missing"),
    ):
        for kind, name, *_ in database.execute(f"{query.format(first)} except {query.format(second)}"):
            yield f"{_shown(kind)} {_shown(name)} {what}"


def _rows(database: sqlite3.Connection) -> Iterator[str]:
    for (raw,) in database.execute("select name from again.sqlite_master where type = 'table'").fetchall():
        table = quote(raw.decode())
        columns = [quote(row[1].decode()) for row in database.execute(f"pragma again.table_info({table})")]
        other = " or ".join(
            f"says.{one} is not again.{one} or typeof(says.{one}) <> typeof(again.{one})" for one in columns
        )
        found = database.execute(
            f"select min(says.rowid) from says.{table} as says not indexed left join again.{table} as again"
            f" on again.rowid = says.rowid where again.rowid is null or {other}"
        ).fetchone()[0]
        if found is not None:
            yield f"{_shown(raw)} row {found} holds what scrubbing leaves out"


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")[:80]
