"""What a page rests on, read from a capture's manifest: the pair, the machine, the versions, the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...profiler.evidence import Evidence
from ...profiler.manifest import Commit, Manifest
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


def facts(evidence: Evidence, say: Catalog) -> tuple[Fact, ...]:
    """GPU, size, versions, date, commit and conditions; a dash for what the manifest does not say."""
    manifest = evidence.manifest
    told = [
        ("gpu", ", ".join(str(gpu.get("name") or NOTHING) for gpu in manifest.gpus)),
        ("size", _size(manifest)),
        *((name, manifest.versions.get(name)) for name in _versions(manifest)),
        *([("ncu", ncu)] if (ncu := manifest.versions.get("ncu")) else []),
        ("captured", manifest.created_utc.partition(".")[0].removesuffix("Z").replace("T", " ")),
        ("commit", _commit(manifest, say)),
        *((name, _sampled(evidence.conditions, name, unit, say)) for name, unit in _SAMPLED),
    ]
    return tuple(Fact(say(f"identity.{name}"), value or NOTHING) for name, value in told)


def _versions(manifest: Manifest) -> tuple[str, ...]:
    """What another tracer than Nsight Systems recorded has that one's name in its place."""
    return tuple("tracer" if name == "nsys" and manifest.versions.get("tracer") else name for name in _VERSIONS)


def stored_files(manifest: Manifest) -> tuple[StoredFile, ...]:
    """Every file of the capture with its sha256, by name; then those that a pair outside this package was made of."""
    own = (StoredFile(name, manifest.sources[name]) for name in sorted(manifest.sources))
    return (*(StoredFile(name, manifest.files[name].sha256) for name in sorted(manifest.files)), *own)


def trace_file(manifest: Manifest, second: bool = False) -> str:
    """The name of the capture's trace, which may be compressed; of two runs that of the second where it is asked for."""
    found = trace_files(manifest)
    return found[-1 if second else 0] if found else "trace.sqlite"


def trace_files(manifest: Manifest) -> list[str]:
    """The names of its traces, of two runs that of the baseline first."""
    names = sorted(manifest.files)
    return [name for stem in ("trace.sqlite", "trace-optimized.sqlite") for name in names if name.startswith(stem)]


def _size(manifest: Manifest) -> str:
    listed = ", ".join(f"{name} {sensible(value)}" for name, value in manifest.sizes.items())
    return f"{manifest.size}: {listed}" if listed else ""


def _commit(manifest: Manifest, say: Catalog) -> str:
    commit = manifest.commit or Commit()
    sha = (commit.sha or "")[:12]
    return say("identity.dirty", value=sha) if sha and commit.dirty else sha


def _sampled(conditions: Mapping[str, tuple[float, float]], name: str, unit: str, say: Catalog) -> str:
    """Lowest and highest of a condition during the measured runs; "" when it was not sampled."""
    if name not in conditions:
        return ""
    low, high = (fixed(value, 0) for value in conditions[name])
    key = "identity.steady" if low == high else "identity.range"
    return say(key, value=low, low=low, high=high, unit=unit)
