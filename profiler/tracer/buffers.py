"""The files that traced processes wrote, one a process, as arrays; format.h states their layout."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AispError

SUFFIX = ".trace"
VERSION = 3
_MAGIC, _FRAME = b"AISPTRC\0", 0x4D524641
_HEADER, _HEAD, _TEXT = struct.Struct("=8sIIQQ"), struct.Struct("=IHHII"), struct.Struct("=II")
TEXT, NVTX, KERNEL, COPY, MEMSET, CALL, DEVICE, CONTEXT, PROBLEM, CLOSE, STARTED, NODE, ENTRY = range(1, 14)
NO_TEXT, WRITTEN_HERE, NUMBERED = range(3)
EXTENDED = 9
"""The type of a payload that lies behind the rows."""

Rows = NDArray[np.void]


def _row(wide: str, narrow: str = "", bytes_: str = "") -> np.dtype[np.void]:
    """A row of 64-bit, then 32-bit, then 8-bit fields, as the C compiler lays them out."""
    forms = ((wide, "u8"), (narrow, "u4"), (bytes_, "u1"))
    return np.dtype([(name, form) for names, form in forms for name in names.split()])


ROWS: Mapping[int, np.dtype[np.void]] = {
    NVTX: _row(
        "time range payload text",
        "thread domain category color text_length",
        "event text_is payload_type has_color",
    ),
    KERNEL: _row(
        "start end graph_node grid",
        "device context stream correlation name grid_x grid_y grid_z block_x block_y block_z "
        "static_shared dynamic_shared local registers launch",
    ),
    COPY: _row(
        "start end bytes graph_node copies",
        "device context stream correlation from_device from_context to_device to_context kind from_kind to_kind peer",
    ),
    MEMSET: _row("start end bytes graph_node", "device context stream correlation value unused"),
    CALL: _row("start end", "thread correlation name driver result unused"),
    DEVICE: np.dtype(
        [
            *((name, "u8") for name in ("memory", "bandwidth")),
            ("uuid", "V16"),
            *((name, "u4") for name in ("id", "multiprocessors", "major", "minor", "clock_khz", "name")),
        ]
    ),
    CONTEXT: _row("", "context device null_stream unused"),
    CLOSE: np.dtype(
        [
            *((name, "u8") for name in ("ended", "handed")),
            ("rows", "u8", 14),
            *((name, "u8") for name in ("dropped", "asked", "returned", "at_end", "calls", "nodes")),
            ("clock_off", "i8"),
        ]
    ),
    STARTED: _row("", "cupti unused"),
    NODE: _row("time node original", "thread unused"),
    ENTRY: _row("schema type flags detail offset", "domain index name unused"),
}
COUNTED = (KERNEL, COPY, MEMSET, CALL)
"""The kinds that Nsight Systems counts as CUDA events."""


@dataclass(slots=True)
class Process:
    """What one process recorded. Times are ns of CLOCK_MONOTONIC, `began_utc` ns since 1970.

    close    the closing record; None where the process did not end in order, or its file could not be written
    problem  why it refused to be recorded, "" where it did not
    texts    by number; those of NVTX events that lie beside them are in `beside`, their payloads in `blobs`, by row of NVTX
    """

    path: Path
    pid: int
    began: int
    began_utc: int
    frames: dict[int, list[Rows]] = field(default_factory=dict)
    texts: dict[int, bytes] = field(default_factory=dict)
    beside: list[bytes | None] = field(default_factory=list)
    blobs: list[bytes | None] = field(default_factory=list)
    close: Any = None
    problem: str = ""

    def rows(self, kind: int) -> Rows:
        found = self.frames.get(kind, [])
        return np.concatenate(found) if found else np.empty(0, ROWS[kind])

    @property
    def cupti(self) -> int:
        """The API version of the CUPTI that was started in it, 0 where none was."""
        return int(self.rows(STARTED)["cupti"].max(initial=0))


@dataclass(frozen=True)
class Recording:
    """The processes of one recording, the first one first; `missing`: one could not even make its file."""

    processes: tuple[Process, ...]
    missing: bool

    @cached_property
    def began(self) -> int:
        return min((one.began for one in self.processes), default=0)

    @property
    def cupti(self) -> str:
        """The version of CUPTI, "" where no process started it."""
        told = max((one.cupti for one in self.processes), default=0)
        return version_text(told) if told else ""


WHOLE = "whole"
"""A file that is made beforehand, and removed by a process that cannot make its own."""


def read_recording(folder: Path) -> Recording:
    """All files of a folder.

    Raises:
        AispError: a file is of another version of the tracer.
    """
    found = [one for path in sorted(folder.glob(f"*{SUFFIX}")) if (one := read_process(path)) is not None]
    return Recording(tuple(sorted(found, key=lambda one: one.began)), not (folder / WHOLE).exists())


def read_process(path: Path) -> Process | None:
    """One file, as far as it is whole; None for one that ends within its header, of which nothing can be said.

    Raises:
        AispError: another version of the tracer wrote it.
    """
    data = path.read_bytes()
    if len(data) < _HEADER.size:
        return Process(path, int(path.name.partition("-")[0]), 0, 0) if data else None
    magic, version, pid, began, began_utc = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != VERSION:
        raise AispError(f"{path}: no file of this tracer, or of another version of it", "record again")
    process = Process(path, pid, began, began_utc)
    for kind, count, body, is_last in _frames(data, path):
        _take(process, kind, count, body, is_last)
    return process


def _frames(data: bytes, path: Path) -> Iterator[tuple[int, int, bytes, bool]]:
    """Kind, rows and bytes of every whole frame, and whether the file ends with it."""
    at = _HEADER.size
    while at + _HEAD.size <= len(data):
        magic, kind, row_size, count, size = _HEAD.unpack_from(data, at)
        begin, at = at + _HEAD.size, at + _HEAD.size + size
        if magic != _FRAME or at > len(data) or count * row_size > size:
            return
        if kind in ROWS and row_size != ROWS[kind].itemsize:
            raise AispError(f"{path}: rows of another version of the tracer", "record again")
        yield kind, count, data[begin:at], at == len(data)


def _take(process: Process, kind: int, count: int, body: bytes, is_last: bool) -> None:
    if kind in (TEXT, PROBLEM):
        number, length = _TEXT.unpack_from(body)
        text = body[_TEXT.size : _TEXT.size + length]
        if kind == PROBLEM:
            process.problem = text.decode("utf-8", "replace")
        else:
            process.texts[number] = text
    elif kind in ROWS:
        rows = np.frombuffer(body, ROWS[kind], count)
        process.frames.setdefault(kind, []).append(rows)
        if kind == NVTX:
            process.beside += _beside(rows, body[rows.nbytes :])
            process.blobs += _blobs(rows, body[rows.nbytes :])
        if kind == CLOSE and is_last:
            process.close = rows[0]


def _beside(rows: Rows, texts: bytes) -> Iterator[bytes | None]:
    columns = (rows[name].tolist() for name in ("text_is", "text", "text_length"))
    for form, at, length in zip(*columns, strict=True):
        yield texts[at : at + length] if form == WRITTEN_HERE else None


def _blobs(rows: Rows, behind: bytes) -> Iterator[bytes | None]:
    for form, place in zip(rows["payload_type"].tolist(), rows["payload"].tolist(), strict=True):
        at, size = place >> 32, place & 0xFFFFFFFF
        yield behind[at : at + size] if form == EXTENDED else None


def version_text(number: int) -> str:
    """ "13.0" of CUPTI_API_VERSION 130001; before 13.0 it counted releases, which cupti_version.h lists."""
    if number >= 130000:
        return f"{number // 10000}.{number // 100 % 100}"
    return _RELEASES.get(number, f"API {number}")


_RELEASES = {19: "12.0", 20: "12.2", 21: "12.3", 22: "12.4", 23: "12.5", 24: "12.6", 26: "12.8", 27: "12.9", 28: "12.9"}
