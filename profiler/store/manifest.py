"""The manifest of a capture: everything about it that the trace does not say, with the hash of every file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import msgspec

from ...declaration import Declaration
from ...errors import UsageError
from ...machine.records import convert, parsed
from .shape import ManifestShape

SCHEMA = 1
FILE_NAME = "manifest.json"
MOST_BYTES = 16 << 20
"""The largest manifest that is read; those of 40 sampled iterations have 150 kB. It is written by others: untrusted."""
RUNS = ("untraced", "traced", "counted")

Record = Mapping[str, Any]
"""What the harness of a pair writes: validation, warmup, order, and per iteration its variant and CUDA-event time in ns."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A capture's description.

    created_utc   ISO 8601 with microseconds and Z: captures sort by it
    hardware_key  "h200", …: which sizes and expectations apply
    gpus          facts of conditions.Gpu.facts; empty without NVML
    versions      aisp_prof, python, torch, triton, nvtx, cuda, driver, nsys, ncu; None where not known
    command       as the user typed it
    commit        {"sha", "dirty"} of the aisp-prof checkout, None when it is not one
    conditions    {"before": sample, "during": [samples], "after": sample}, None without NVML
    runs          "untraced", "traced" (under nsys), "counted" (under ncu) -> harness record; absent are those that the profile
                  does not have, and all after the one whose outputs were invalid
    files         name -> {"sha256", "bytes"} of every file of the folder but the manifest
    profile       what the capture was asked to hold: "none", "minimal", "roofline", "deep"
    counters      what became of counting, as `capture.counting.Counted.to_json`; None where it was not asked for
    ceilings      what `aisp-prof calibrate` measured before the capture (docs/json.md); None where it was not asked for
    """

    id: str
    created_utc: str
    declaration: Declaration
    hardware_key: str
    size: str
    sizes: Mapping[str, int]
    gpus: tuple[Mapping[str, Any], ...]
    versions: Mapping[str, str | None]
    command: tuple[str, ...]
    commit: Mapping[str, Any] | None
    conditions: Mapping[str, Any] | None
    runs: Mapping[str, Record]
    files: Mapping[str, Mapping[str, Any]]
    profile: str = "minimal"
    counters: Mapping[str, Any] | None = None
    ceilings: Mapping[str, Any] | None = None

    @property
    def pair(self) -> str:
        return self.declaration.key

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, which the manifest shares: they are not to be changed."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"schema": SCHEMA, **values, "declaration": self.declaration.to_json()}

    @classmethod
    def from_json(cls, data: Any, where: str = "manifest") -> Self:
        """Read what `to_json` wrote; `where` names the source in messages.

        Raises:
            UsageError: no object, another schema, a field missing, unknown or of a wrong type.
        """
        values = _checked(data, {field.name for field in fields(cls)}, _LATER, where)
        convert(values, ManifestShape, where)
        try:
            values["declaration"] = Declaration.from_json(values["declaration"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{where}: the declaration is damaged: {error}") from error
        values["command"], values["gpus"] = tuple(values["command"]), tuple(values["gpus"])
        if odd := set(values["runs"]) - set(RUNS):
            raise UsageError(f"{where}: unknown run: {', '.join(sorted(odd))}")
        _check_names(values, where)
        return cls(**values)


_LATER = {"profile", "counters", "ceilings"}
"""Fields that manifests of the first captures do not have."""


def _checked(data: Any, names: set[str], optional: set[str], where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UsageError(f"{where}: not a manifest: no JSON object")
    if data.get("schema") != SCHEMA:
        raise UsageError(
            f"{where}: manifest schema {data.get('schema')!r}; this version reads {SCHEMA}", "upgrade aisp-prof"
        )
    values = {name: value for name, value in data.items() if name != "schema"}
    if odd := (set(values) | optional) ^ names:
        raise UsageError(f"{where}: missing or unknown fields: {', '.join(sorted(odd))}")
    return values


_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,254}", re.ASCII)
_TIME = re.compile(r"[12]\d{3}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z)?)?)?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _check_names(values: Mapping[str, Any], where: str) -> None:
    """Ids and names of files are parts of paths, and must lead nowhere else."""
    for field in ("id", "hardware_key", "size"):
        if not _PLAIN_NAME.fullmatch(values[field]):
            raise UsageError(f"{where}: field {field} is no plain name: {values[field][:80]!r}")
    if not _TIME.fullmatch(values["created_utc"]):
        raise UsageError(f"{where}: field created_utc is no time in UTC: {values['created_utc'][:80]!r}")
    for name, facts in values["files"].items():
        if not _PLAIN_NAME.fullmatch(name) or name == FILE_NAME:
            raise UsageError(f"{where}: no file of a capture is called {name[:80]!r}")
        digest, size = (facts.get("sha256"), facts.get("bytes")) if isinstance(facts, dict) else (None, None)
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest) or type(size) is not int or len(facts) != 2:
            raise UsageError(f"{where}: file {name}: sha256 and bytes are wanted, and no more")
    counted = (values.get("counters") or {}).get("files", ())
    if not set(counted) <= set(values["files"]):
        raise UsageError(f"{where}: counters name a file that the capture does not hold")


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


def lines_of(value: Any, indent: str = "") -> str:
    """A value as JSON text in the form of `encode`; lines after the first begin with `indent`."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    if len(line) <= LINE or not any(isinstance(one, Mapping | list | tuple) for one in inner):
        return line
    deeper = indent + " "
    if isinstance(value, Mapping):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {lines_of(value[key], deeper)}" for key in sorted(value)]
    else:
        parts = [lines_of(one, deeper) for one in value]
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
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


def file_facts(path: Path) -> dict[str, Any]:
    """{"sha256": hex digest, "bytes": size} of a file."""
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def folder_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """`file_facts` of every file of a capture's folder but its manifest."""
    return {path.name: file_facts(path) for path in sorted(folder.iterdir()) if path.name != FILE_NAME}
