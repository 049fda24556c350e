"""From what the processes recorded to an SQLite file with the tables, columns, ids and units of Nsight Systems' exports."""

from __future__ import annotations

import platform
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .buffers import CALL, CONTEXT, COPY, DEVICE, ENTRY, KERNEL, MEMSET, NODE, Process, Recording
from .names import demangled, short
from .product import PRODUCT, product_version
from .ranges import COLUMNS as NVTX_COLUMNS
from .ranges import nvtx_rows
from .said import Message, of_the_whole, said

SCHEMA_VERSION = "3.20.3"
"""Of the exports whose tables these are; NVIDIA's exporter did not write them, as the product's name says."""

_HOST = 1 << 48
_NOT_STATED = 0xFFFFFFFF
_NODE_MADE = 77
"""The class of events that Nsight Systems gives these."""
_UNKNOWN_MEMORY = 7
"""What Nsight Systems calls memory of an unknown kind; it counts the others from 0, CUPTI from 1."""
DRIVER = Path("/proc/driver/nvidia/version")

_OPERATION = "start end deviceId contextId streamId correlationId globalPid"
_TABLES = {
    "CUPTI_ACTIVITY_KIND_KERNEL": f"{_OPERATION} demangledName shortName mangledName launchType registersPerThread gridX gridY "
    "gridZ blockX blockY blockZ staticSharedMemory dynamicSharedMemory localMemoryPerThread gridId graphNodeId",
    "CUPTI_ACTIVITY_KIND_MEMCPY": f"{_OPERATION} bytes copyKind srcKind dstKind srcDeviceId srcContextId dstDeviceId dstContextId "
    "graphNodeId copyCount",
    "CUPTI_ACTIVITY_KIND_MEMSET": f"{_OPERATION} value bytes graphNodeId",
    "CUPTI_ACTIVITY_KIND_RUNTIME": "start end eventClass globalTid correlationId nameId returnValue",
    "CUDA_GRAPH_NODE_EVENTS": "start end eventClass globalTid nameId graphNodeId originalGraphNodeId",
    "NVTX_EVENTS": " ".join(NVTX_COLUMNS),
    "NVTX_PAYLOAD_SCHEMA_ENTRIES": "domainId schemaId idx flags type name arrayOrUnionDetail offset",
    "DIAGNOSTIC_EVENT": "timestamp timestampType source severity text globalPid",
    "TARGET_INFO_GPU": "vmId id name totalMemory memoryBandwidth clockRate smCount uuid computeMajor computeMinor",
    "TARGET_INFO_CUDA_DEVICE": "gpuId cudaId pid",
    "TARGET_INFO_CUDA_CONTEXT_INFO": "nullStreamId hwId vmId processId deviceId contextId",
    "TARGET_INFO_SESSION_START_TIME": "utcEpochNs utcTime",
    "TARGET_INFO_SYSTEM_ENV": "name value",
    "ENUM_CUDA_MEMCPY_OPER": "id name label",
    "ENUM_CUDA_MEM_KIND": "id name label",
    "ANALYSIS_DETAILS": "globalVid duration startTime stopTime",
    "META_DATA_CAPTURE": "name value",
    "META_DATA_EXPORT": "name value",
    "StringIds": "id value",
}
_LAZY = (
    "CUPTI_ACTIVITY_KIND_",
    "CUDA_GRAPH_",
    "NVTX_",
    "TARGET_INFO_GPU",
    "TARGET_INFO_CUDA",
    "TARGET_INFO_SYSTEM",
)
"""Tables that are there only where they have a row, as in an export of Nsight Systems."""
_REALS = frozenset({"doubleValue", "floatValue"})
_TEXTS = frozenset({"text", "name", "label", "uuid", "utcTime"})
_TEXT_VALUES = ("META_DATA_", "StringIds", "TARGET_INFO_SYSTEM_ENV")
"""Tables whose `value` is a text."""


def write_trace(recording: Recording, target: Path) -> None:
    """Write the export, a file that does not exist yet; it is whole only once this returns.

    Raises:
        OSError, sqlite3.Error: it cannot be written.
    """
    with closing(sqlite3.connect(target)) as database:
        database.execute("pragma journal_mode = off")
        database.execute("pragma synchronous = off")
        with database:
            _Writer(database, recording).write()


class _Writer:
    def __init__(self, database: sqlite3.Connection, recording: Recording) -> None:
        self._database, self._recording = database, recording
        self._strings: dict[bytes, int] = {}
        ends = [_last(one) for one in recording.processes]
        self._duration = max(ends, default=recording.began) - recording.began
        seen: Counter[int] = Counter()
        self._keys = []
        for one in recording.processes:  # a pid that came twice is a process of its own: correlation ids begin anew
            seen[one.pid] += 1
            self._keys.append(seen[one.pid] * _HOST | one.pid << 24)

    def write(self) -> None:
        for process, key in zip(self._recording.processes, self._keys, strict=True):
            self._operations(process, key)
            self._calls(process, key)
            self._nodes(process, key)
            self._nvtx(process, key)
            self._payloads(process)
        self._devices()
        self._messages()
        self._session()
        self._insert("StringIds", ((number, text) for text, number in self._strings.items()))

    def _string(self, text: bytes) -> int:
        return self._strings.setdefault(text, len(self._strings) + 1)

    def _insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Texts are bytes that need not be UTF-8: SQLite is told that they are texts."""
        columns, listed = _TABLES[table].split(), list(rows)
        if not listed and table.startswith(_LAZY):
            return
        declared = ", ".join(f"{name} {_type(table, name)}" for name in columns)
        self._database.execute(f"create table if not exists {table} ({declared})")
        places = ", ".join("cast(? as text)" if _type(table, name) == "TEXT" else "?" for name in columns)
        self._database.executemany(f"insert into {table} values ({places})", listed)

    def _columns(self, process: Process, key: int, kind: int) -> tuple[dict[str, list[int]], list[list[int]]]:
        """All columns of a kind by name, and those that every operation has, in order."""
        rows = process.rows(kind)
        c = {name: rows[name].astype(np.int64).tolist() for name in rows.dtype.names or ()}
        zero = self._recording.began
        times = [[time - zero if time else 0 for time in c[name]] for name in ("start", "end")]
        return c, [*times, *(c[name] for name in ("device", "context", "stream", "correlation")), [key] * len(rows)]

    def _operations(self, process: Process, key: int) -> None:
        c, common = self._columns(process, key, KERNEL)
        names = {number: self._kernel(process.texts.get(number, b"")) for number in set(c["name"])}
        three = zip(*(names[number] for number in c["name"]), strict=True) if c["name"] else ((), (), ())
        own = ("launch", "registers", "grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z")
        more = (*own, "static_shared", "dynamic_shared", "local", "grid")
        node = [number or None for number in c["graph_node"]]
        self._insert("CUPTI_ACTIVITY_KIND_KERNEL", zip(*common, *three, *(c[name] for name in more), node, strict=True))
        c, common = self._columns(process, key, COPY)
        kinds = [[number - 1 if number else _UNKNOWN_MEMORY for number in c[name]] for name in ("from_kind", "to_kind")]
        places = ("from_device", "from_context", "to_device", "to_context")
        ends = [[None if number == _NOT_STATED else number for number in c[name]] for name in places]
        node = [number or None for number in c["graph_node"]]
        copied = zip(*common, c["bytes"], c["kind"], *kinds, *ends, node, c["copies"], strict=True)
        self._insert("CUPTI_ACTIVITY_KIND_MEMCPY", copied)
        c, common = self._columns(process, key, MEMSET)
        node = [number or None for number in c["graph_node"]]
        self._insert("CUPTI_ACTIVITY_KIND_MEMSET", zip(*common, c["value"], c["bytes"], node, strict=True))

    def _kernel(self, mangled: bytes) -> tuple[int, int, int]:
        full = demangled(mangled.decode("utf-8", "replace"))
        return self._string(full.encode()), self._string(short(full).encode()), self._string(mangled)

    def _calls(self, process: Process, key: int) -> None:
        rows, zero = process.rows(CALL), self._recording.began
        c = {name: rows[name].tolist() for name in rows.dtype.names or ()}
        names = {number: self._string(process.texts.get(number, b"?")) for number in set(c["name"])}
        self._insert(
            "CUPTI_ACTIVITY_KIND_RUNTIME",
            zip(
                *([time - zero for time in c[name]] for name in ("start", "end")),
                c["driver"],
                [key | thread for thread in c["thread"]],
                c["correlation"],
                [names[number] for number in c["name"]],
                rows["result"].view(np.int32).tolist(),
                strict=True,
            ),
        )

    def _nodes(self, process: Process, key: int) -> None:
        rows, zero = process.rows(NODE), self._recording.began
        columns = (rows[name].tolist() for name in ("time", "thread", "node", "original"))
        name = self._string(b"Graph Node Creation") if len(rows) else 0
        self._insert(
            "CUDA_GRAPH_NODE_EVENTS",
            (
                (time - zero, time - zero, _NODE_MADE, key | thread, name, node, original or None)
                for time, thread, node, original in zip(*columns, strict=True)
            ),
        )

    def _nvtx(self, process: Process, key: int) -> None:
        rows = nvtx_rows(process, key, self._recording.began, self._duration)
        registered = NVTX_COLUMNS.index("textId")
        text = NVTX_COLUMNS.index("text")
        for row in rows:
            if row[registered] is not None:
                told = process.texts.get(row[registered], b"")
                row[registered] = self._string(told)
                if row[2] in _NAMING:  # as Nsight Systems writes names, which readers look for in `text`
                    row[registered], row[text] = None, told
        self._insert("NVTX_EVENTS", rows)

    def _payloads(self, process: Process) -> None:
        """How payloads are read. Numbers have 64 bits without a sign, which SQLite does not know; an offset of 0 is no offset there."""
        columns = ("domain", "schema", "index", "flags", "type", "name", "detail", "offset")
        rows = zip(*(process.rows(ENTRY)[name].astype(np.int64).tolist() for name in columns), strict=True)
        self._insert(
            "NVTX_PAYLOAD_SCHEMA_ENTRIES",
            (
                (*row[:3], row[3] or None, row[4], process.texts.get(row[5]), *(n or None for n in row[6:]))
                for row in rows
            ),
        )

    def _devices(self) -> None:
        gpus: dict[bytes, int] = {}
        rows: list[tuple[Any, ...]] = []
        seen: list[tuple[int, int, int]] = []
        contexts: list[tuple[int, ...]] = []
        for process, key in zip(self._recording.processes, self._keys, strict=True):
            host = key // _HOST * _HOST
            for one in process.rows(DEVICE):
                number = gpus.setdefault(host.to_bytes(8, "little") + one["uuid"].tobytes(), len(gpus))
                if number == len(rows):
                    rows.append(_gpu(one, host, number, process.texts.get(int(one["name"]), b"")))
                seen.append((number, int(one["id"]), process.pid))
            contexts += [
                (int(one["null_stream"]), 0, host, process.pid, int(one["device"]), int(one["context"]))
                for one in process.rows(CONTEXT)
            ]
        self._insert("TARGET_INFO_GPU", rows)
        self._insert("TARGET_INFO_CUDA_DEVICE", dict.fromkeys(seen))
        self._insert("TARGET_INFO_CUDA_CONTEXT_INFO", dict.fromkeys(contexts))

    def _messages(self) -> None:
        def row(message: Message, key: int) -> tuple[Any, ...]:
            return self._duration, 2, 3, message[0], message[1], key

        each = zip(self._recording.processes, self._keys, strict=True)
        rows = [row(message, key) for process, key in each for message in said(process)]
        self._insert("DIAGNOSTIC_EVENT", [*rows, *(row(message, 0) for message in of_the_whole(self._recording))])

    def _session(self) -> None:
        first = next(iter(self._recording.processes), None)
        utc = first.began_utc if first else 0
        when = datetime.fromtimestamp(utc // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._insert("TARGET_INFO_SESSION_START_TIME", [(utc, when)])
        began = self._recording.began
        self._insert("ANALYSIS_DETAILS", [(_HOST, self._duration, began, began + self._duration)])
        self._insert("TARGET_INFO_SYSTEM_ENV", _driver())
        self._insert("ENUM_CUDA_MEMCPY_OPER", _labelled("CUDA_MEMCPY_KIND_", _COPIES))
        self._insert("ENUM_CUDA_MEM_KIND", _labelled("CUDA_MEMOPR_MEMORY_KIND_", _MEMORY))
        self._insert("META_DATA_CAPTURE", _CAPTURE)
        self._insert("META_DATA_EXPORT", _export(self._recording))


_NAMING = (33, 39, 75, 76)
"""Events of NVTX that give a name to something."""

_COPIES = (
    *(
        "Unknown",
        "Host-to-Device",
        "Device-to-Host",
        "Host-to-Array",
        "Array-to-Host",
        "Array-to-Array",
        "Array-to-Device",
    ),
    *("Device-to-Array", "Device-to-Device", "Host-to-Host", "Peer-to-Peer"),
)
_MEMORY = ("Pageable", "Pinned", "Device", "Array", "Managed", "Device Static", "Managed Static", "Unknown")
"""The labels of Nsight Systems by number, without which `nsys stats` refuses to speak of copies."""


def _labelled(prefix: str, labels: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """The symbols as there: HTOD of Host-to-Device, DEVICE_STATIC of Device Static."""
    for number, label in enumerate(labels):
        first, _, last = label.partition("-to-")
        yield number, prefix + (f"{first[0]}to{last[0]}" if last else label.replace(" ", "_")).upper(), label


_CAPTURE = (
    ("CAPTURE_EVENT_TYPE", "NvtxEvents"),
    ("CAPTURE_EVENT_TYPE", "Cuda"),
    ("PROCESS_0:COLLECT_NVTX_TRACE", "true"),
    ("PROCESS_0:COLLECT_CUDA_TRACE", "true"),
    ("PROCESS_0:CUDA_GRAPH_TRACE_OPTIONS:MODE", "Node"),
    ("INCLUDE_CHILDREN", "true"),
)


def _export(recording: Recording) -> list[tuple[str, str]]:
    numbers = dict(zip(("MAJOR", "MINOR", "MICRO"), SCHEMA_VERSION.split("."), strict=True))
    return [
        ("EXPORT_PRODUCT_NAME", PRODUCT),
        ("EXPORT_PRODUCT_VERSION", product_version(recording.cupti)),
        ("EXPORT_SCHEMA_VERSION", SCHEMA_VERSION),
        *((f"EXPORT_SCHEMA_VERSION_{name}", number) for name, number in numbers.items()),
        ("EXPORT_ARCH", platform.machine()),
        ("EXPORT_CONFIG_TIME_SHIFT", "0"),
    ]


def _driver() -> Iterator[tuple[str, str]]:
    """As Nsight Systems states the driver's version."""
    told = re.search(r"Kernel Module\D*?\s(\d+\.[\d.]+)", DRIVER.read_text()) if DRIVER.is_file() else None
    if told:
        yield "NvDriverVersion", told[1]


def _gpu(one: Any, host: int, number: int, name: bytes) -> tuple[Any, ...]:
    """Bandwidth in B/s and the clock in Hz, as there; the UUID as five groups of digits."""
    text = one["uuid"].tobytes().hex()
    uuid = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    numbers = (int(one["memory"]), int(one["bandwidth"]) * 1000, int(one["clock_khz"]) * 1000)
    return (host, number, name, *numbers, int(one["multiprocessors"]), uuid, int(one["major"]), int(one["minor"]))


def _last(process: Process) -> int:
    """The process's last time on the machine's clock."""
    times = [process.rows(kind)["end"].max(initial=0) for kind in (KERNEL, COPY, MEMSET, CALL)]
    last = max(
        process.began, *map(int, times), *(int(part["time"].max(initial=0)) for part in process.frames.get(2, ()))
    )
    return last if process.close is None else max(last, int(process.close["ended"]))


def _type(table: str, column: str) -> str:
    text = column in _TEXTS or (column == "value" and table.startswith(_TEXT_VALUES))
    return "TEXT" if text else "REAL" if column in _REALS else "INTEGER"
