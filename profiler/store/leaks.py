"""Look for private things in the bytes of a file: what a profiler stores about the machine and its user."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from urllib.parse import quote

from ..trace.source.file import plain_file
from ..trace.source.scan import told
from .leak_forms import KEYS, RULES, TEXT_KEYS, TEXT_RULES, Form
from .leak_texts import MAGIC, decoded, texts

_SECRET = re.compile(r"token|secret|passw|api_?key|credential", re.IGNORECASE)
_IDENTITY = re.compile(r"HOST(?:NAME)?|USER(?:NAME)?|LOGNAME|MAIL|EMAIL|\w*_USER(?:NAME)?|\w*_HOST(?:NAME)?")
_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")
_TELLS_NOTHING = re.compile(r"[A-Za-z_]+|[\d.,:+\- ]+")
_ASSIGNED = re.compile(rb"([A-Za-z_]\w*)=(.+)", re.DOTALL)
_SHOWN = 3
Known = tuple[str, tuple[bytes, ...]]
"""A variable's name, and its value as it may be written."""


def leaks(path: Path, names: Iterable[str] = (), values: Mapping[str, str] | None = None) -> list[str]:
    """What in a file (.xz is unpacked first) should not leave this machine, as sentences; empty when nothing was found.

    Searched in the raw bytes, so that rows deleted without VACUUM are found too, and in the texts one by one, as they are and
    as what they spell (`leak_texts`): absolute paths, environment variables, e-mail addresses, keys and tokens, this
    process's own environment, secrets, host and folders, tables known to leak, `names` (a user's, a host's), and `values` of
    variables by their name, as `environment_values` gives them.
    """
    known = [
        (name, _spellings(name, value))
        for name, value in (*_secrets(), *((name, value.encode()) for name, value in (values or {}).items()))
    ]
    names = [socket.gethostname(), *names]
    with _content(path) as data:
        if data[:16] == MAGIC and data[59:60] not in (b"\0", b"\1"):
            return [f"{path.name}: a database in UTF-16, which is not searched"]
        found = list(_of_bytes(data, names, known))
        already = "\n".join(found)
        try:
            found += [what for what in _of_texts(data, names, known) if what.partition(" in ")[0] not in already]
        except sqlite3.Error as error:
            found.append(f"a database whose texts cannot be read: {told(error)}")
        return [f"{path.name}: {what}" for what in dict.fromkeys(found)]


def _of_bytes(data: bytes | mmap, names: Iterable[str], known: Iterable[Known]) -> Iterator[str]:
    """What is found in bytes, whatever they are."""
    for form in (*RULES, *_of_this_machine(data), *_words("a name", names)):
        yield from (f"{form.what}: {_shown(match)} at byte {match.start()}" for match in _found(form, data))
    for form in KEYS:
        yield from (f"{form.what} at byte {match.start()}" for match in _found(form, data))
    yield from (f"the value of {name}" for name, forms in known if _told(forms, data))


def _of_texts(data: bytes | mmap, names: Iterable[str], known: Sequence[Known]) -> Iterator[str]:
    """What is found in texts that stand by themselves, and in what they spell."""
    rules = [*RULES, *TEXT_RULES, *(form._replace(pattern=b"(?i)" + form.pattern) for form in _words("a name", names))]
    keys = [*KEYS, *TEXT_KEYS]
    for where, text in texts(data):
        place = f" in {where}" if where else ""
        for view in (text, *decoded(text)):
            spelled, lower = "" if view is text else ", spelled otherwise", view.lower()
            for form in (*rules, *_of_this_machine(view)):
                yield from (f"{form.what}: {_shown(match)}{place}{spelled}" for match in _found(form, view, lower))
            yield from (f"{form.what}{place}{spelled}" for form in keys if any(_found(form, view, lower)))
            yield from (f"the value of {name}{place}{spelled}" for name, forms in known if _told(forms, view))


def _spellings(name: str, value: bytes) -> tuple[bytes, ...]:
    return tuple(_disguises(value)) if _SECRET.search(name) else (value,)


def _told(forms: Iterable[bytes], data: bytes | mmap) -> bool:
    return any(data.find(one) >= 0 for one in forms)


def _disguises(value: bytes) -> Iterator[bytes]:
    """A text as it is, and as programs write texts otherwise: in UTF-16, percent-encoded, as JSON, in hex, in base64 at any
    place."""
    yield value
    text = value.decode("utf-8", "replace")
    yield from (text.encode(kind) for kind in ("utf-16-le", "utf-16-be"))
    encoded = quote(value, safe="")
    escaped = json.dumps(text)[1:-1]
    for other in (encoded, encoded.replace("%2F", "%2f"), escaped, escaped.replace("/", "\\/")):
        if other.encode() != value:
            yield other.encode()
    yield value.hex().encode()
    yield value.hex().upper().encode()
    for before in range(3):  # each letter of base64 tells six bits: those that neighbours share are cut off
        letters = b64encode(bytes(before) + value)
        part = letters[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]
        yield part
        if (urlsafe := part.translate(_TO_URLSAFE)) != part:
            yield urlsafe


@contextmanager
def _content(path: Path) -> Iterator[bytes | mmap]:
    """The bytes to search, mapped and not read: of an .xz, what it is unpacked."""
    with plain_file(path) if path.suffix == ".xz" else nullcontext(path) as plain:
        if plain.stat().st_size == 0:
            yield b""
            return
        with plain.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
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


def _found(form: Form, data: bytes | mmap, lower: bytes = b"") -> Iterator[re.Match[bytes]]:
    """The first few places, looked for where one of what it must hold was found; `lower` is the data in lower case, if made."""
    if form.words and lower:
        there = any(one in lower for one in form.words)
        there = there and (not form.near or any(re.search(one, lower) for one in form.near))
    else:
        there = not form.first or any(re.search(one, data) for one in form.first)
    if there:
        yield from islice(re.finditer(form.pattern, data), _SHOWN)


def _shown(match: re.Match[bytes]) -> str:
    return repr(match[0][:60].decode("ascii", "backslashreplace"))


def _secrets() -> Iterator[tuple[str, bytes]]:
    """Names and values of what may not even be shown in a message."""
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 8:
            yield name, os.fsencode(value)


def _of_this_machine(data: bytes | mmap) -> Iterator[Form]:
    """Of this process's variables only those whose last two letters stand before an "=" of what is searched: few do."""
    ends = set(re.findall(rb"=(?<=(..)=)", data, re.DOTALL))
    for name, value in ((os.fsencode(name), os.fsencode(value[:40])) for name, value in os.environ.items()):
        if len(name) > 2 and len(value) > 2 and name[-2:] in ends:
            yield Form("a variable of this process", re.escape(name + b"=") + rb"(?=" + re.escape(value) + rb")")
    for folder in {str(Path.home()), str(Path.cwd())}:
        if len(folder) > 3:
            yield Form("a folder of this machine", re.escape(os.fsencode(folder)))


def _words(what: str, names: Iterable[str]) -> Iterator[Form]:
    """Names of under six letters ("vm", "root", "h200") are everyday words of a trace: found, they would tell nothing.

    Found inside a word too: a row of SQLite stores its texts without anything between them.
    """
    for name in dict.fromkeys(part for whole in names for part in (whole, whole.partition(".")[0])):
        if len(name) >= 6 and name != "localhost":
            forms = tuple(_disguises(name.encode()))
            spelled = tuple(map(re.escape, forms))
            yield Form(what, b"|".join(spelled), spelled, tuple(one.lower() for one in forms))
