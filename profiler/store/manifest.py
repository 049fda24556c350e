"""manifest.json as text: read from a folder and decoded, encoded and written, with the hash of every file."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import msgspec

from ...errors import UsageError
from ...machine.records import parsed
from ..manifest import FILE_NAME, File, Manifest

MOST_BYTES = 16 << 20
"""The largest manifest that is read; those of 40 sampled iterations have 150 kB. It is written by others: untrusted."""


def decode(text: str | bytes, where: str) -> Manifest:
    """A manifest from its JSON text.

    Raises:
        UsageError: the text is no JSON, or no manifest; it is too large, too deep, or names a field twice.
    """
    if len(text) > MOST_BYTES:
        raise UsageError(f"{where}: {len(text):,} bytes; a manifest has at most {MOST_BYTES:,}")
    return Manifest.from_json(parsed(text, where), where)


class _Pair(msgspec.Struct):
    chapter: str
    name: str


class _Stated(msgspec.Struct):
    declaration: _Pair


_STATED = msgspec.json.Decoder(_Stated)


def stated_pair(text: bytes) -> str | None:
    """The pair that a manifest says it is of, a hundred times faster than by reading all of it; None where it does not say."""
    try:
        found = _STATED.decode(text).declaration
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return f"{found.chapter}.{found.name}"


LINE = 200
"""Characters that a line of a manifest may have before it is broken up: a sample of conditions fits."""


def encode(manifest: Manifest) -> str:
    """The manifest as JSON text, as `encode_json` writes it."""
    return encode_json(manifest.to_json())


def encode_json(value: Any) -> str:
    """JSON text with sorted keys; what is short, or holds no further dict or list, stands on one line. One value, one text."""
    return lines_of(value) + "\n"


_ON_A_LINE = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
_BY_LINES = json.JSONEncoder(ensure_ascii=False, separators=("\n", ": ")).encode
"""No text of JSON holds a line's end."""
_HOLDS = (dict, list, tuple)


def lines_of(value: Any, indent: str = "") -> str:
    """A value as JSON text in the form of `encode`; lines after the first begin with `indent`."""
    named = isinstance(value, dict)
    keys = sorted(value) if named else ()
    inner = [value[key] for key in keys] if named else value if isinstance(value, _HOLDS) else ()
    bare = [one for one in inner if not isinstance(one, _HOLDS)]
    if len(bare) == len(inner):
        return _ON_A_LINE(value)
    deeper, told = indent + " ", iter(_BY_LINES(bare)[1:-1].split("\n"))
    parts = [lines_of(one, deeper) if isinstance(one, _HOLDS) else next(told) for one in inner]
    if named:
        parts = [f"{_ON_A_LINE(key)}: {part}" for key, part in zip(keys, parts, strict=True)]
    if sum(map(len, parts)) + 2 * len(parts) <= LINE and not any("\n" in part for part in parts):
        return _ON_A_LINE(value)
    opening, closing = "{}" if named else "[]"
    return opening + "\n" + ",\n".join(deeper + part for part in parts) + "\n" + indent + closing


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a capture's folder.

    Raises:
        UsageError: it cannot be read, is no JSON, or no manifest.
    """
    path = folder / FILE_NAME
    try:
        data = read_bounded(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return decode(data, str(path))


def read_bounded(path: Path) -> bytes:
    """The bytes of a manifest, of one too large only as many as show that. A pipe or a link would be somebody's trick.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError("no regular file")
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest into a capture's folder and to the disk below it."""
    with (folder / FILE_NAME).open("w", encoding="utf-8") as file:
        file.write(encode(manifest))
        file.flush()
        os.fsync(file.fileno())


def file_facts(path: Path) -> File:
    """What a manifest says of a file."""
    with path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def folder_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """`file_facts` of every file of a capture's folder but its manifest, as plain JSON types."""
    names = sorted(path.name for path in folder.iterdir() if path.name != FILE_NAME)
    return {name: msgspec.to_builtins(file_facts(folder / name)) for name in names}
