"""What a page rests on, read out of a capture's manifest: the pair, the machine, the versions, the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ..declaration import Declaration
from ..errors import UsageError
from .catalog import Catalog
from .units import NOTHING, fixed


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known about the machine or the capture."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the capture and its sha256, in hexadecimal."""

    name: str
    sha256: str
    bytes: int | None


_FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gpu", ("gpu.name", "device.name", "gpu")),
    ("driver", ("gpu.driver", "versions.driver", "driver")),
    ("cuda", ("versions.cuda", "gpu.cuda", "cuda")),
    ("torch", ("versions.torch", "torch")),
    ("nsys", ("versions.nsys", "nsys.version", "nsys")),
    ("python", ("versions.python", "python")),
    ("captured", ("created_utc",)),
    ("commit", ("commit.sha", "commit.id", "git.commit", "commit")),
)


def declaration(manifest: Mapping[str, Any]) -> Declaration:
    """The pair as it was declared when it was captured.

    Raises:
        UsageError: the manifest does not hold it.
    """
    for key in ("declaration", "pair"):
        if isinstance(manifest.get(key), Mapping):
            return Declaration.from_json(manifest[key])
    raise UsageError("the capture's manifest.json does not say which pair it is of", "aisp-prof capture <pair>")


def created_utc(manifest: Mapping[str, Any]) -> str:
    """When the capture was made, ISO 8601 in UTC, or "" when the manifest does not say."""
    return _text(manifest.get("created_utc")) or ""


def facts(manifest: Mapping[str, Any], say: Catalog) -> tuple[Fact, ...]:
    """GPU, driver, versions, date, commit and clocks; what the manifest does not say is shown as unknown."""
    known = [Fact(say(f"identity.{name}"), _first(manifest, paths) or NOTHING) for name, paths in _FACTS]
    return (*known, Fact(say("identity.clocks"), _clocks(manifest, say)))


def stored_files(manifest: Mapping[str, Any]) -> tuple[StoredFile, ...]:
    """Every file of the capture with its sha256, by name."""
    listed = manifest.get("files", {})
    if isinstance(listed, Mapping):
        found = [_file(str(name), entry) for name, entry in listed.items()]
    else:
        found = [_file(str(entry.get("name", entry.get("path", ""))), entry) for entry in listed]
    return tuple(sorted(found, key=lambda file: file.name))


def trace_file(manifest: Mapping[str, Any]) -> str:
    """The name of the capture's SQLite file, without a compression's suffix."""
    names = [file.name for file in stored_files(manifest)]
    found = [name for name in names if ".sqlite" in name]
    return found[0].partition(".sqlite")[0] + ".sqlite" if found else "trace.sqlite"


def _file(name: str, entry: Any) -> StoredFile:
    if isinstance(entry, Mapping):
        size = entry.get("bytes", entry.get("size"))
        return StoredFile(name, str(entry.get("sha256", "")), size if isinstance(size, int) else None)
    return StoredFile(name, str(entry), None)


def _first(manifest: Mapping[str, Any], paths: Sequence[str]) -> str | None:
    return next((text for path in paths if (text := _text(_at(manifest, path)))), None)


def _at(tree: Any, path: str) -> Any:
    return reduce(lambda node, key: node.get(key) if isinstance(node, Mapping) else None, path.split("."), tree)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "" else None


def _clocks(manifest: Mapping[str, Any], say: Catalog) -> str:
    """The lowest and highest SM clock seen in any sample of the conditions."""
    seen = sorted(_sm_clocks(manifest.get("conditions")))
    if not seen:
        return NOTHING
    if seen[0] == seen[-1]:
        return say("identity.clock_steady", mhz=fixed(seen[0], 0))
    return say("identity.clock_range", low=fixed(seen[0], 0), high=fixed(seen[-1], 0))


def _sm_clocks(tree: Any) -> list[float]:
    """Every number under a key that speaks of the SM clock, wherever the conditions keep it."""
    if isinstance(tree, Mapping):
        own = [value for key, value in tree.items() if _is_sm_clock(str(key)) and isinstance(value, (int, float))]
        return own + [clock for value in tree.values() for clock in _sm_clocks(value)]
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [clock for value in tree for clock in _sm_clocks(value)]
    return []


def _is_sm_clock(key: str) -> bool:
    return key in {"sm_mhz", "clock_sm_mhz", "sm_clock_mhz", "clocks_sm_mhz"}
