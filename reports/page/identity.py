"""What a page rests on, read from a capture's manifest: the pair, the machine, the versions, the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...declaration import Declaration
from ...errors import UsageError
from ...profiler.evidence import Evidence
from ..catalog import Catalog
from ..units import NOTHING, fixed, sensible


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about the machine or the capture."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the capture and its sha256, in hexadecimal."""

    name: str
    sha256: str


_VERSIONS = ("driver", "cuda", "torch", "triton", "nsys", "python", "aisp_prof")
_SAMPLED = (("sm_mhz", "MHz"), ("temperature_c", "°C"), ("power_w", "W"))


def declaration(manifest: Mapping[str, Any]) -> Declaration:
    """The pair as it was declared when it was captured.

    Raises:
        UsageError: the manifest does not hold it.
    """
    if not isinstance(manifest.get("declaration"), Mapping):
        raise UsageError("the capture's manifest.json does not say which pair it is of", "aisp-prof capture <pair>")
    return Declaration.from_json(manifest["declaration"])


def created_utc(manifest: Mapping[str, Any]) -> str:
    """When the capture was made, ISO 8601 in UTC, or "" when the manifest does not say."""
    return str(manifest.get("created_utc") or "")


def facts(evidence: Evidence, say: Catalog) -> tuple[Fact, ...]:
    """GPU, size, versions, date, commit and conditions; a dash for what the manifest does not say."""
    manifest = evidence.manifest
    versions = manifest.get("versions") or {}
    told = [
        ("gpu", ", ".join(str(gpu.get("name") or NOTHING) for gpu in manifest.get("gpus") or ())),
        ("size", _size(manifest)),
        *((name, _text(versions.get(name))) for name in _VERSIONS),
        *([("ncu", _text(versions["ncu"]))] if versions.get("ncu") else []),
        ("captured", created_utc(manifest).partition(".")[0].removesuffix("Z").replace("T", " ")),
        ("commit", _commit(manifest, say)),
        *((name, _sampled(evidence.conditions, name, unit, say)) for name, unit in _SAMPLED),
    ]
    return tuple(Fact(say(f"identity.{name}"), value or NOTHING) for name, value in told)


def stored_files(manifest: Mapping[str, Any]) -> tuple[StoredFile, ...]:
    """Every file of the capture with its sha256, by name."""
    listed = manifest.get("files") or {}
    return tuple(StoredFile(str(name), str(facts.get("sha256", NOTHING))) for name, facts in sorted(listed.items()))


def trace_file(manifest: Mapping[str, Any]) -> str:
    """The name of the capture's trace, which may be compressed."""
    names = [file.name for file in stored_files(manifest)]
    return next((name for name in names if name.startswith("trace.sqlite")), "trace.sqlite")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _size(manifest: Mapping[str, Any]) -> str:
    sizes = manifest.get("sizes") or {}
    listed = ", ".join(f"{name} {sensible(value)}" for name, value in sizes.items())
    return f"{manifest.get('size') or NOTHING}: {listed}" if listed else ""


def _commit(manifest: Mapping[str, Any], say: Catalog) -> str:
    commit = manifest.get("commit") or {}
    sha = str(commit.get("sha") or "")[:12]
    return say("identity.dirty", value=sha) if sha and commit.get("dirty") else sha


def _sampled(conditions: Mapping[str, tuple[float, float]], name: str, unit: str, say: Catalog) -> str:
    """Lowest and highest of a condition during the measured runs; "" when it was not sampled."""
    if name not in conditions:
        return ""
    low, high = (fixed(value, 0) for value in conditions[name])
    key = "identity.steady" if low == high else "identity.range"
    return say(key, value=low, low=low, high=high, unit=unit)
