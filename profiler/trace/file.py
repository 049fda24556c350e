"""Open a trace's SQLite file without ever writing to it or beside it."""

from __future__ import annotations

import gzip
import lzma
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

from ...errors import TraceError

MAGIC = b"SQLite format 3\x00"
_OPENERS: Mapping[str, Callable[[Path], IO[bytes]]] = {
    ".xz": lambda path: lzma.open(path, "rb"),
    ".gz": lambda path: cast(IO[bytes], gzip.open(path, "rb")),
}


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to an exported trace, plain or compressed with xz or gz.

    The file is opened `immutable`: SQLite then takes no lock and makes no journal. A compressed one is unpacked into the
    system's temporary folder for the time being.

    Raises:
        TraceError: no such file, not SQLite, truncated, or damaged.
    """
    if not path.is_file():
        raise TraceError(f"{path}: no such file")
    opener = _OPENERS.get(path.suffix)
    if opener is None:
        with _readonly(path, path) as connection:
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="aisp-trace-") as folder:
        plain = Path(folder) / "trace.sqlite"
        try:
            with opener(path) as packed, plain.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
        except (lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
            raise TraceError(f"{path}: cannot be unpacked: {error}") from error
        with _readonly(plain, path) as connection:
            yield connection


@contextmanager
def _readonly(path: Path, shown: Path) -> Iterator[sqlite3.Connection]:
    _check_header(path, shown)
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")  # NVTX text may be any bytes
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        yield connection
    except sqlite3.DatabaseError as error:
        raise TraceError(f"{shown}: a damaged SQLite file: {error}", "export the report again: nsys export") from error
    finally:
        connection.close()


def _check_header(path: Path, shown: Path) -> None:
    """Refuse early what SQLite would refuse late or, being truncated, perhaps not at all.

    Source of the offsets: SQLite's file format, "The Database Header".
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(100)
    if size == 0:
        raise TraceError(f"{shown}: the file is empty", "export the report again: nsys export --type sqlite")
    if not header.startswith(MAGIC):
        mend = "a .nsys-rep becomes one by: nsys export --type sqlite REPORT" if shown.suffix != ".sqlite" else ""
        raise TraceError(f"{shown}: not an SQLite file", mend)
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    if len(header) < 100 or page * pages > size:
        wanted = f"{page * pages} bytes by its header, {size} bytes here"
        raise TraceError(f"{shown}: truncated: {wanted}", "export the report again: nsys export --type sqlite")
