"""Look for private things in the bytes of a file: what a profiler stores about the machine and its user."""

from __future__ import annotations

import lzma
import os
import re
import socket
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from urllib.parse import quote

_RULES = (
    (
        "an absolute path",
        rb"/(?:home\d*|root|work|tmp|Users|workspace|scratch|mnt|media|srv|nfs|lustre|gpfs|fsx|var/folders)/[\w.@/-]+",
    ),
    # what may also be a word of a range's name, only where no word stands before it
    (
        "an absolute path",
        (
            rb"(?<![\w.)\]>-])/(?:users|data\d*|datasets?|projects?|proj|export|homes|gscratch|storage|raid\d*|nvme\d*|dev/shm|Volumes"
            rb"|private|afs|cluster|global|lus)/[\w.@/-]+"
        ),
    ),
    ("an absolute path, percent-encoded", rb"%2[Ff](?:home\d*|root|work|tmp|Users|mnt|scratch|data\d*)%2[Ff][\w.%-]+"),
    (
        "an absolute path in UTF-16",
        rb"/\0(?:h\0o\0m\0e\0|r\0o\0o\0t\0|w\0o\0r\0k\0|t\0m\0p\0|U\0s\0e\0r\0s\0)/\0(?:[\w./-]\0)+",
    ),
    ("a folder of Windows", rb"\b[A-Za-z]:\\{1,4}\w[\w. -]*\\|\\\\[\w.-]+\\+\w+"),
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

_KEYS = (
    ("an e-mail address", rb"@(?<=[\w.%+-]{2}@)[A-Za-z0-9-]{2,63}(?:\.[A-Za-z0-9-]{1,63}){0,6}\.[a-z]{2,24}(?![\w-])"),
    ("a private key", rb"-----BEGIN [A-Z ]*PRIVATE KEY"),
    ("a key of AWS", rb"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    ("a token of GitHub", rb"gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}"),
    ("a token of GitLab", rb"glpat-[\w-]{20}"),
    ("a token of Hugging Face", rb"hf_[A-Za-z0-9]{30}"),
    ("a token of Slack", rb"xox[abeoprs]-[0-9A-Za-z-]{10}"),
    ("an API key", rb"sk-[A-Za-z0-9_-]{20}|AIza[\w-]{35}"),
    ("a JSON Web Token", rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    ("a password in a URL", rb"[a-z]{2,10}://[^\s/:@\0]{1,64}:[^\s/@\0]{1,128}@"),
)
"""What is private wherever it stands; shown in a message by its place alone."""

_SECRET = re.compile(r"token|secret|passw|api_?key|credential", re.IGNORECASE)
_IDENTITY = re.compile(r"HOST(?:NAME)?|USER(?:NAME)?|LOGNAME|MAIL|EMAIL|\w*_USER(?:NAME)?|\w*_HOST(?:NAME)?")
_TELLS_NOTHING = re.compile(r"[A-Za-z_]+|[\d.,:+\- ]+")
_ASSIGNED = re.compile(rb"([A-Za-z_]\w*)=(.+)", re.DOTALL)
_SHOWN = 3


def leaks(path: Path, names: Iterable[str] = (), values: Mapping[str, str] | None = None) -> list[str]:
    """What in a file (.xz is unpacked first) should not leave this machine, as sentences; empty when nothing was found.

    Searched in the raw bytes, so that rows deleted without VACUUM are found too: absolute paths, environment variables,
    e-mail addresses, keys and tokens, this process's own environment, secrets, host and folders, tables known to leak,
    `names` (a user's, a host's), and `values` of variables by their name, as `environment_values` gives them.
    """
    with _content(path) as data:
        if data[:16] == b"SQLite format 3\0" and data[59:60] not in (b"\0", b"\1"):
            return [f"{path.name}: a database in UTF-16, which is not searched"]
        patterns = [*_RULES, *_of_this_machine(), *_words("a name", names)]
        found = [f"{path.name}: {what}: {text}" for what, pattern in patterns for text in _found(pattern, data)]
        found += [f"{path.name}: {what} {place}" for what, pattern in _KEYS for place in _places(pattern, data)]
        known = [*_secrets(), *((name, value.encode()) for name, value in (values or {}).items())]
        return found + [f"{path.name}: the value of {name}" for name, value in known if _told(name, value, data)]


def _told(name: str, value: bytes, data: bytes | mmap) -> bool:
    return any(data.find(one) >= 0 for one in (_disguises(value) if _SECRET.search(name) else [value]))


def _disguises(value: bytes) -> Iterator[bytes]:
    """A text as it is, and as programs write texts otherwise: in UTF-16, percent-encoded, in hex, in base64 at any place."""
    yield value
    yield value.decode("utf-8", "replace").encode("utf-16-le")
    if (encoded := quote(value, safe="").encode()) != value:
        yield encoded
    yield value.hex().encode()
    for before in range(3):  # each letter of base64 tells six bits: those that neighbours share are cut off
        encoded = b64encode(bytes(before) + value)
        whole = (before + len(value)) * 8 // 6
        yield encoded[-(-before * 8 // 6) : whole]


@contextmanager
def _content(path: Path) -> Iterator[bytes | mmap]:
    """The bytes to search; a large file is mapped and not read."""
    if path.suffix == ".xz":
        yield lzma.decompress(path.read_bytes())
    elif path.stat().st_size == 0:
        yield b""
    else:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            yield mapped


def environment_values(text: bytes) -> Iterator[tuple[str, str]]:
    """(name, value) of what `NAME=VALUE` assigns, separated by NUL or line ends, where the value tells something.

    A secret's and an identity's count from six characters on. Of others short ones, plain words and bare numbers do not:
    "true", "nvidia" or "13.0.1" in a trace say nothing of whose it is.
    """
    for line in re.split(rb"[\0\n]", text):
        assigned = _ASSIGNED.match(line)
        if assigned:
            name, value = (part.decode("utf-8", "replace") for part in assigned.groups())
            value = value.strip("\"'")
            telling = _SECRET.search(name) or _IDENTITY.fullmatch(name)
            if len(value) >= 6 and (telling or (len(value) >= 8 and not _TELLS_NOTHING.fullmatch(value))):
                yield name, value


def _places(pattern: bytes, data: bytes | mmap) -> Iterator[str]:
    for match in islice(re.finditer(pattern, data), _SHOWN):
        yield f"at byte {match.start()}"


def _found(pattern: bytes, data: bytes | mmap) -> Iterator[str]:
    for match in islice(re.finditer(pattern, data), _SHOWN):
        yield f"{match[0][:60].decode('ascii', 'backslashreplace')!r} at byte {match.start()}"


def _secrets() -> Iterator[tuple[str, bytes]]:
    """Names and values of what may not even be shown in a message."""
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 8:
            yield name, os.fsencode(value)


def _of_this_machine() -> Iterator[tuple[str, bytes]]:
    for name, value in os.environ.items():
        if len(name) > 2 and len(value) > 2:
            yield (
                "a variable of this process",
                re.escape(os.fsencode(f"{name}=")) + rb"(?=" + re.escape(os.fsencode(value[:40])) + rb")",
            )
    yield from _words("this machine's name", [socket.gethostname()])
    for folder in {str(Path.home()), str(Path.cwd())}:
        if len(folder) > 3:
            yield "a folder of this machine", re.escape(os.fsencode(folder))


def _words(what: str, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Names of under six letters ("vm", "root", "h200") are everyday words of a trace: found, they would tell nothing.

    Found inside a word too: a row of SQLite stores its texts without anything between them.
    """
    for name in names:
        if len(name) >= 6 and name != "localhost":
            yield what, b"|".join(re.escape(one) for one in _disguises(name.encode()))
