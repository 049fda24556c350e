"""Look for private things in the bytes of a file: what a profiler stores about the machine and its user."""

from __future__ import annotations

import lzma
import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

_RULES = (
    ("an absolute path", rb"/(?:home|root|work|tmp|Users|workspace|scratch|mnt|var/folders)/[\w.@/-]+"),
    # "=" is also page 61 of a database, written between a table's name and its CREATE TABLE
    ("an environment variable", rb"[A-Z][A-Z0-9_]{5,}=(?!CREATE (?:TABLE|INDEX) )[\x21-\x7e]{3}"),
    ("a search path", rb"PATH="),
    ("LD_PRELOAD", rb"LD_PRELOAD"),
    ("an environment, NUL-separated", rb"[A-Za-z_]\w{2,}=[\t\n\x20-\x7e]{0,4000}\0[A-Za-z_]\w{2,}="),
    (
        "a table that leaks",
        rb"CREATE TABLE \W?(?:ProcessStreams|TARGET_INFO_SYSTEM_ENV|PROCESSES|ANALYSIS_FILE)\b",
    ),
)

_SECRET = re.compile(r"token|secret|passw|api_?key|credential", re.IGNORECASE)
_SHOWN = 3


def leaks(path: Path, names: Iterable[str] = ()) -> list[str]:
    """What in a file (.xz is unpacked first) should not leave this machine, as sentences; empty when nothing was found.

    Searched in the raw bytes, so that rows deleted without VACUUM are found too: absolute paths, environment variables,
    this process's own environment, secrets, host and folders, tables known to leak, and `names` (a user's, a host's).
    """
    data = path.read_bytes()
    if path.suffix == ".xz":
        data = lzma.decompress(data)
    if data.startswith(b"SQLite format 3\0") and data[59:60] not in (b"\0", b"\1"):
        return [f"{path.name}: a database in UTF-16, which is not searched"]
    patterns = [*_RULES, *_of_this_machine(), *_words("a name", names)]
    found = [f"{path.name}: {what}: {text}" for what, pattern in patterns for text in _found(pattern, data)]
    return found + [f"{path.name}: the value of {name}" for name, value in _secrets() if value in data]


def _found(pattern: bytes, data: bytes) -> Iterator[str]:
    for count, match in enumerate(re.finditer(pattern, data)):
        if count == _SHOWN:
            return
        yield f"{match[0][:60].decode('ascii', 'backslashreplace')!r} at byte {match.start()}"


def _secrets() -> Iterator[tuple[str, bytes]]:
    """Names and values of what may not even be shown in a message."""
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 8:
            yield name, value.encode()


def _of_this_machine() -> Iterator[tuple[str, bytes]]:
    for name, value in os.environ.items():
        if len(name) > 2 and len(value) > 2:
            yield (
                "a variable of this process",
                re.escape(f"{name}=".encode()) + rb"(?=" + re.escape(value[:40].encode()) + rb")",
            )
    yield from _words("this machine's name", [socket.gethostname()])
    for folder in {str(Path.home()), str(Path.cwd())}:
        if len(folder) > 3:
            yield "a folder of this machine", re.escape(folder.encode())


def _words(what: str, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Names of under six letters ("vm", "root", "h200") are everyday words of a trace: found, they would tell nothing.

    Found inside a word too: a row of SQLite stores its texts without anything between them.
    """
    for name in names:
        if len(name) >= 6 and name != "localhost":
            yield what, re.escape(name.encode())
