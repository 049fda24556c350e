"""Open a trace without ever writing to it or next to it: SQLite, packed or not, or a folder of Parquet files."""

from __future__ import annotations

import shlex
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from ....errors import TraceError
from .fast import FastSource
from .integrity import faults
from .limits import VALUE_BYTES, unpacked_bytes
from .scan import Source, decoded, told
from .sqlite import SqliteSource
from .unpack import SUFFIXES, unpack

JSON = ".json"
MAGIC = b"SQLite format 3\x00"
Export = Callable[[Path, Path], Any]
"""Makes an SQLite export (second path) of a report (first path); raises EnvironmentLacks without nsys."""


@contextmanager
def open_source(path: Path, export: Export | None = None) -> Iterator[Source]:
    """A trace's tables.

    Args:
        path: an `.sqlite` file, a `.nsys-rep`, or torch.profiler's `.json`, plain or packed with xz, gz or zst, or a folder of
            Parquet files.
        export: exports a `.nsys-rep`; without it such a file is refused.

    Raises:
        TraceError: no such file, not SQLite, truncated, or damaged.
        EnvironmentLacks: what the format needs is not installed.
    """
    if path.is_dir():
        from .parquet import ParquetSource

        yield ParquetSource(path)
        return
    if is_json(path):
        from .kineto import KinetoSource

        with plain_file(path) as plain:
            yield KinetoSource(plain, path)
        return
    with plain_file(path, export) as plain, readonly(plain, path) as connection:
        yield FastSource(SqliteSource(connection, path), plain)


def is_json(path: Path) -> bool:
    """Whether a file is, by its name, torch.profiler's: `.json`, packed or not."""
    return (path.stem if path.suffix in SUFFIXES else path.name).endswith(JSON)


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to an exported trace, plain or packed.

    The file is opened `immutable`: SQLite then takes no lock and makes no journal. A packed one is unpacked into the
    system's temporary folder meanwhile.

    Raises:
        TraceError: no such file, not SQLite, truncated, or damaged.
    """
    with plain_file(path) as plain, readonly(plain, path) as connection:
        yield connection


def damage(path: Path) -> list[str]:
    """What SQLite's own integrity check finds wrong with a trace, plain or packed: its pages, its rows, every index.

    Raises:
        TraceError: as `connect`.
    """
    with connect(path) as connection:
        return faults(connection)


@contextmanager
def plain_file(path: Path, export: Export | None = None) -> Iterator[Path]:
    """The path of an unpacked file, of a report its SQLite export, that exists as long as the context.

    Raises:
        TraceError, EnvironmentLacks: as `open_source`.
    """
    if not path.is_file():
        raise TraceError(f"{path}: no such file")
    refuse_unfinished(path)
    packed = path.suffix in SUFFIXES
    kept = _KEPT.get()
    if packed and kept is not None and not path.stem.endswith(".nsys-rep"):
        yield kept.plain(path)
        return
    name = path.stem if packed else path.name
    report = name.endswith(".nsys-rep") and export is not None
    if not packed and not report:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="aisp-trace-") as folder:
        plain = path
        if packed:
            plain = Path(folder) / f"unpacked{'.nsys-rep' if report else '.sqlite'}"
            unpack(path, plain)
        if report and export is not None:
            exported = Path(folder) / "exported.sqlite"
            export(plain, exported)
            plain = exported
        yield plain


class Unpacked:
    """Packed traces, kept unpacked for as long as several questions are asked of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[Path, tuple[int, ...]], Path] = {}

    def plain(self, path: Path) -> Path:
        """The unpacked trace. If its packed file has changed since, it is unpacked anew.

        Raises:
            TraceError, EnvironmentLacks, AispError: as `unpack`.
        """
        key = path, state_of(path)
        if key not in self._known:
            plain = self._new()
            unpack(path, plain)
            self._known[key] = plain
        return self._known[key]

    def fill(self, path: Path, write: Callable[[IO[bytes]], None]) -> None:
        """Let a caller that unpacks a trace for its own purposes `write` the contents here, so that it is unpacked only once.

        Raises:
            AispError: there is no space for it; and whatever `write` raises.
        """
        key, plain = (path, state_of(path)), self._new()
        with plain.open("wb") as out:
            write(out)
        if plain.stat().st_size <= unpacked_bytes():
            self._known[key] = plain

    def copied(self, path: Path, to: Path) -> None:
        """A packed trace that was unpacked here has been copied: its copy needs no unpacking."""
        if (plain := self._known.get((path, state_of(path)))) is not None:
            self._known[to, state_of(to)] = plain

    def _new(self) -> Path:
        return self._folder / f"{len(list(self._folder.iterdir()))}.sqlite"


_KEPT: ContextVar[Unpacked | None] = ContextVar("kept", default=None)


@contextmanager
def unpacked_once() -> Iterator[Unpacked]:
    """Within this, each packed trace is unpacked once, however often it is opened; at the end of the outermost all is removed."""
    if (outer := _KEPT.get()) is not None:
        yield outer
        return
    with tempfile.TemporaryDirectory(prefix="aisp-trace-") as folder:
        kept = Unpacked(Path(folder))
        token = _KEPT.set(kept)
        try:
            yield kept
        finally:
            _KEPT.reset(token)


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file does. Its ctime cannot be set back, as its mtime can."""
    with suppress(OSError):
        stat = path.stat()
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
    return ()


def refuse_unfinished(path: Path) -> None:
    """A database that something was writing is more than its file: the last commits may lie in a log beside it, or
    uncommitted data in the file itself. SQLite would consult the log, but a file opened `immutable` is read alone.

    Raises:
        TraceError: such a log is there and not empty.
    """
    for suffix, what, least in (("-wal", "write-ahead log", _WAL_HEADER), ("-journal", "rollback journal", 0)):
        beside = path.with_name(path.name + suffix)
        if beside.is_file() and beside.stat().st_size > least and (suffix == "-wal" or _is_hot(beside)):
            raise TraceError(
                f"{path}: a {what} lies beside it ({beside.name}): the file alone is not the whole trace",
                f"""make a whole copy: sqlite3 {shlex.quote(str(path))} "vacuum into 'whole.sqlite'" """.rstrip(),
            )


_WAL_HEADER = 32
"""Bytes before the first frame; a log without a frame adds nothing."""


def _is_hot(journal: Path) -> bool:
    """Whether a journal is waiting to be rolled back: SQLite ends a transaction by deleting it, truncating it, or
    zeroing its header."""
    with journal.open("rb") as file:
        return file.read(8) == b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"


@contextmanager
def readonly(path: Path, shown: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes nothing and runs nothing from the file; `shown` is its name in messages.

    Raises:
        TraceError: as `connect`.
    """
    _check_header(path, shown)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.text_factory = decoded
    try:
        _harden(connection)
        yield connection
    # UnicodeDecodeError: a garbled table or column name. MemoryError: SQLite met a record with a garbled length.
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        raise TraceError(
            f"{shown}: a damaged SQLite file: {told(error) or type(error).__name__}",
            "export the report again: nsys export",
        ) from error
    finally:
        connection.close()


_CONFIG = {"DEFENSIVE": True, "TRUSTED_SCHEMA": False, "ENABLE_TRIGGER": False, "ENABLE_VIEW": False}


def _harden(connection: sqlite3.Connection) -> None:
    """What SQLite's "Defense Against The Dark Arts" advises for untrusted files. Extensions cannot be loaded by default."""
    for switch, value in _CONFIG.items():
        number = getattr(sqlite3, f"SQLITE_DBCONFIG_{switch}", None)  # Python 3.12, if its SQLite has the switch
        if number is not None:
            connection.setconfig(number, value)  # type: ignore[attr-defined,unused-ignore]
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")


def _check_header(path: Path, shown: Path) -> None:
    """Refuse early what SQLite would refuse late or, for a truncated file, perhaps not at all.

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
