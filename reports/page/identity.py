"""What a page rests on, read from a capture's manifest: the pair, the machine, the versions, the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    return tuple(Fact(say(f"identity.{name}"), value or NOTHING) for name, value in _told(evidence, say))


def _told(evidence: Evidence, say: Catalog) -> list[tuple[str, str | None]]:
    manifest = evidence.manifest
    return [
        ("gpu", ", ".join(str(gpu.get("name") or NOTHING) for gpu in manifest.gpus)),
        ("size", _size(manifest)),
        *((name, manifest.versions.get(name)) for name in _versions(manifest)),
        *([("ncu", ncu)] if (ncu := manifest.versions.get("ncu")) else []),
        ("captured", manifest.created_utc.partition(".")[0].removesuffix("Z").replace("T", " ")),
        ("commit", _commit(manifest, say)),
        *((name, _sampled(evidence.conditions, name, unit, say)) for name, unit in _SAMPLED),
    ]


def shared_facts(told: Sequence[Sequence[Fact]]) -> tuple[Fact, ...]:
    """The facts that several captures have in common; none of a single one."""
    return tuple(fact for fact in told[0] if all(fact in one for one in told)) if len(told) > 1 else ()


_RAN = (
    *("gpu", "driver", "cuda", "torch", "triton", "nsys", "ncu"),
    *("captured", "commit", "aisp_prof"),
)
"""The facts of a first page: what ran where and when."""


def what_ran(evidences: Sequence[Evidence], say: Catalog) -> tuple[Fact, ...]:
    """What ran where and when, over all captures: each value once, dates as the first and the last day."""
    told = [dict(_told(evidence, say)) for evidence in evidences]
    return tuple(Fact(say(f"identity.{name}"), _together(name, [one.get(name) for one in told], say)) for name in _RAN)


_RAN_HERE = ("gpu", "driver", "cuda", "captured", "commit")


def ran(evidence: Evidence, say: Catalog) -> tuple[Fact, ...]:
    """The same of one capture, as short as it fits beside its claim; what the manifest does not say is left out."""
    told = dict(_told(evidence, say))
    return tuple(Fact(say(f"identity.{name}"), value) for name in _RAN_HERE if (value := told.get(name)))


def _together(name: str, values: Iterable[str | None], say: Catalog) -> str:
    known = list(dict.fromkeys(value for value in values if value))
    if name == "captured":
        days = sorted({value.partition(" ")[0] for value in known})
        return say("claims.between", low=days[0], high=days[-1]) if len(days) > 1 else "".join(days) or NOTHING
    shown = [*known[:_MOST_SHOWN], *([say("identity.more", n=len(known) - _MOST_SHOWN)] if known[_MOST_SHOWN:] else [])]
    return ", ".join(shown) or NOTHING


_MOST_SHOWN = 3


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
