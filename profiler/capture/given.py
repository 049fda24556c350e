"""A trace that somebody has, or two of them, as a capture: what its file tells goes into a manifest, with what is asked of it."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from ...declaration import VARIANTS
from ...errors import AispError, UsageError
from ...version import __version__
from ..manifest import ALL, FILE_NAME, ONE_TRACE, TWO_TRACES, Manifest
from ..store.captures import SECOND_NAMES, TRACE_NAMES, Capture
from ..store.manifest import file_facts, folder_facts, read_manifest
from ..trace.model import Trace
from ..trace.reader import read_trace
from ..trace.source.copied import copy_tables
from ..trace.source.file import Export, is_json, open_source, plain_file, unpacked_once
from ..tracer.product import PRODUCT, title
from .asked import Asked, name_of

_DRIVER = ("TARGET_INFO_SYSTEM_ENV", "NvDriverVersion")
"""Where an export tells the driver's version, among the environment of what was traced."""
_VERSION = re.compile(r"\d[\d.]{0,30}")


@dataclass(frozen=True, slots=True)
class _Given:
    """One trace: where it lay, and what it tells."""

    source: Path
    trace: Trace
    driver: str | None
    clock: float | None

    @property
    def gpus(self) -> list[dict[str, Any]]:
        told = [{"name": gpu.name, "uuid": gpu.uuid, "sm_count": gpu.sm_count or None} for gpu in self.trace.gpus]
        return [{**gpu, "driver": self.driver} for gpu in told]

    @property
    def ended(self) -> datetime | None:
        """When the last operation ended, by the clock of the machine that traced."""
        operations, start = self.trace.operations, self.trace.start_utc_ns
        if start is None or not len(operations):
            return None
        with suppress(OverflowError, ValueError, OSError):
            return datetime.fromtimestamp((start + int(operations.end.max())) / 1e9, UTC)
        return None


@dataclass(frozen=True, slots=True)
class Made:
    """A capture of traces that were given, and these as they were read, so that nobody needs to read them again."""

    capture: Capture
    traces: tuple[Trace, ...]


def given_capture(
    traces: Sequence[Path],
    asked: Asked,
    folder: Path,
    command: Sequence[str],
    hardware_key: Callable[[str], str],
    export: Export | None = None,
) -> Made:
    """Make a capture of one trace, or of the traces of two runs, in the empty `folder`. The same traces and the same question give the
    same capture.

    Args:
        command: as the user typed it.
        hardware_key: the key of a GPU by its name.
        export: makes an SQLite export of a report.

    Raises:
        UsageError: the question cannot be read.
        TraceError: a trace cannot be read.
        EnvironmentLacks: a report, and no nsys to export it; Parquet, and no pyarrow.
    """
    kind = ONE_TRACE if len(traces) == 1 else TWO_TRACES
    declaration = asked.declaration(kind, _name(asked.title, traces[-1]))
    names = (TRACE_NAMES[0], SECOND_NAMES[0])
    given = [_given(path, folder / name, export) for path, name in zip(traces, names, strict=False)]
    keys = dict(zip(VARIANTS if len(given) > 1 else (ALL,), given, strict=True))
    origin = {
        "kind": kind,
        "ranges": asked.named(),
        "domain": asked.domain,
        "sources": {key: _facts(one.source) for key, one in keys.items()},
        "drivers": {key: one.driver for key, one in keys.items() if one.driver},
        "clocks": {key: one.clock for key, one in keys.items() if one.clock},
    }
    gpus = {str(gpu): gpu for one in given for gpu in one.gpus}
    ended = max((one.ended for one in given if one.ended), default=datetime.now(UTC))
    first = next(iter(gpus.values()), {"name": ""})
    drivers = {one.driver for one in given}
    manifest = Manifest.of(
        id=f"{declaration.key}-{ended:%Y%m%dT%H%M%SZ}-{_mark(origin, declaration.claims)}",
        created_utc=ended.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        declaration=declaration.to_json(),
        hardware_key=hardware_key(first["name"]) if first["name"] else "unknown",
        size="default",
        sizes={},
        gpus=list(gpus.values()),
        versions={
            "aisp_prof": __version__,
            "driver": drivers.pop() if len(drivers) == 1 else None,
            **_traced_by(given),
        },
        command=list(command),
        commit=None,
        conditions=None,
        runs={},
        files=folder_facts(folder),
        origin=origin,
    )
    return Made(Capture(folder, manifest), tuple(one.trace for one in given))


def _name(title: str, trace: Path) -> str:
    """After the title, else the trace; that of a capture is called after what its manifest calls it."""
    if not title and (beside := _manifest_beside(trace)) is not None:
        return beside.declaration.name
    return name_of(title or trace.name.partition(".")[0])


def _mark(origin: Mapping[str, Any], claims: Sequence[str]) -> str:
    """Six digits that tell this question to this trace from others."""
    return sha256(msgspec.json.encode([origin, claims], order="sorted")).hexdigest()[:6]


def _traced_by(given: Sequence[_Given]) -> dict[str, str | None]:
    """The version of Nsight Systems, or what else wrote the traces, where all are of one."""
    exports = [one.trace.schema.export for one in given]
    told = {one.get("EXPORT_PRODUCT_VERSION", ("",))[0] for one in exports}
    version = told.pop() or None if len(told) == 1 else None
    if {one.get("EXPORT_PRODUCT_NAME") for one in exports} == {(PRODUCT,)}:
        return {"nsys": None, "tracer": title(version or "")}
    return {"nsys": version}


def _given(path: Path, plain: Path, export: Export | None) -> _Given:
    if path.is_dir() or is_json(path):
        return _copied(path, plain)
    with unpacked_once(), plain_file(path, export) as unpacked:
        exported = ".nsys-rep" in path.suffixes
        trace = None if exported else read_trace(path)  # messages name the file that the user named
        try:
            shutil.copyfile(unpacked, plain)
        except OSError as error:
            raise AispError(
                f"no room to copy {path} to {plain.parent}: {error.strerror}", "name another folder: TMPDIR=…"
            ) from error
        driver, clock = session_of(path, unpacked)
    return _Given(path, read_trace(plain) if trace is None else trace, driver, clock)


def _copied(path: Path, plain: Path) -> _Given:
    """A folder of Parquet files, or torch.profiler's JSON. What it tells is read from the copy, as whoever verifies it will."""
    with open_source(path) as source:
        try:
            copy_tables(source, plain)
        except (OSError, sqlite3.Error) as error:
            raise AispError(
                f"no room to copy {path} to {plain.parent}: {error}", "name another folder: TMPDIR=…"
            ) from error
    driver, clock = session_of(path, plain)
    return _Given(path, read_trace(plain), driver, clock)


def _facts(source: Path) -> str:
    """The hash of a file; of a folder, that of the names and hashes of its Parquet files."""
    if not source.is_dir():
        return file_facts(source).sha256
    each = [(one.name, file_facts(one).sha256) for one in sorted(source.glob("*.parquet"))]
    return sha256(msgspec.json.encode(each)).hexdigest()


def session_of(path: Path, plain: Path | None = None) -> tuple[str | None, float | None]:
    """The version of the driver, and the median SM clock in MHz, of the session of a trace; None where nobody wrote them down.

    Args:
        plain: the unpacked export of `path`, where it is known.
    """
    beside = _manifest_beside(path)
    exported = plain is None and (path.is_dir() or is_json(path) or ".nsys-rep" in path.suffixes)
    driver = None if exported else _driver(plain or path)
    return driver or (beside.versions.get("driver") if beside else None), _clock(beside)


def _driver(plain: Path) -> str | None:
    table, wanted = _DRIVER
    with open_source(plain) as source:
        if table not in source.tables():
            return None
        told = [value for name, value in source.records(table, ("name", "value")) if name == wanted]
    return next((value for value in told if isinstance(value, str) and _VERSION.fullmatch(value)), None)


def _manifest_beside(path: Path) -> Manifest | None:
    """That of a capture of which the trace is a file: it knows what the trace does not tell."""
    if not (path.parent / FILE_NAME).is_file():
        return None
    try:
        found = read_manifest(path.parent)
    except UsageError:
        return None
    return found if path.name in found.files and found.files[path.name] == file_facts(path) else None


def _clock(manifest: Manifest | None) -> float | None:
    """The median of the SM clock that was sampled during the runs, MHz."""
    clocks = [sample.sm_mhz for sample in manifest.during if sample.sm_mhz] if manifest else []
    return float(median(clocks)) if clocks else None
