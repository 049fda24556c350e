"""Read whatever a user names as a trace: an SQLite export, packed or not, a Parquet folder, or a report through nsys."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ...errors import UsageError
from ..trace.cache.traces import TraceCache
from ..trace.model import Trace
from ..trace.reader import read_trace

_EXPORT_S = 3600.0
_NEVER = 1 << 62
"""Bytes that no file has: below it none is kept."""


def read(path: Path, communication: Iterable[str] = ()) -> Trace:
    """Read a trace; the file is not touched.

    Args:
        path: `.sqlite` or `.nsys-rep`, also packed with xz, gz or zst, or a folder of Parquet files.
        communication: regular expressions of kernel names that count as communication, besides the known ones.

    Raises:
        UsageError: a pattern is not a regular expression.
        TraceError: the file is missing, damaged, or not a trace.
        EnvironmentLacks: a report, and no usable nsys; a format whose package is not installed.
    """
    return read_trace(path, _checked(communication), export_report)


def read_alone(path: Path, communication: Iterable[str] = ()) -> Trace:
    """As `read`, of a trace that is one of thousands: its columns are not kept in the cache.

    Raises:
        UsageError, TraceError, EnvironmentLacks: as `read`.
    """
    return read_trace(path, _checked(communication), export_report, TraceCache(least=_NEVER))


def _checked(communication: Iterable[str]) -> tuple[str, ...]:
    patterns = tuple(communication)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{pattern!r} is no regular expression: {error}") from error
    return patterns


def export_report(report: Path, sqlite: Path) -> None:
    """Have nsys export a report.

    Raises:
        EnvironmentLacks: there is no usable nsys.
        AispError: nsys made no SQLite export of it.
    """
    from ...machine.child import Watch, new_mark
    from ..capture.nsys import export, find_exporter

    nsys = find_exporter()
    with tempfile.TemporaryDirectory(prefix="aisp-export-") as folder:
        export(nsys, report, sqlite, Watch(Path(folder) / "nsys.log", _EXPORT_S, new_mark()))
