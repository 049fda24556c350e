"""Write small SQLite exports as Nsight Systems would: the same tables and columns (schema 3.20, and those of older versions), from a few readable lines.

    trace = TraceBuilder()
    gpu = trace.process(pid=100)
    gpu.range("iter", 0, 100, domain="aisp", payload=3)
    gpu.kernel("scale", launch=(10, 12), run=(20, 40), stream=7)
    gpu.copy("h2d", 1024, launch=(13, 14), run=(15, 30), stream=8)
    trace.write(tmp_path / "t.sqlite")

Times are integers in ns. A launch of None leaves the API call out, a run of None the operation.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

DDL = {
    "StringIds": "id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL",
    "META_DATA_EXPORT": "name TEXT NOT NULL, value TEXT",
    "META_DATA_CAPTURE": "name TEXT NOT NULL, value TEXT",
    "TARGET_INFO_SESSION_START_TIME": "utcEpochNs INTEGER, utcTime TEXT, localTime TEXT",
    "TARGET_INFO_GPU": "vmId INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT, smCount INTEGER, uuid TEXT",
    "TARGET_INFO_CUDA_DEVICE": "gpuId INTEGER, cudaId INTEGER NOT NULL, pid INTEGER NOT NULL",
    "DIAGNOSTIC_EVENT": "timestamp INTEGER NOT NULL, timestampType INTEGER NOT NULL, source INTEGER NOT NULL, "
    "severity INTEGER NOT NULL, text TEXT NOT NULL, globalPid INTEGER",
    "ANALYSIS_DETAILS": "globalVid INTEGER NOT NULL, duration INTEGER NOT NULL, startTime INTEGER NOT NULL, "
    "stopTime INTEGER NOT NULL",
    "NVTX_EVENTS": "start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT NULL, rangeId INTEGER, category INTEGER, "
    "color INTEGER, text TEXT, globalTid INTEGER, endGlobalTid INTEGER, textId INTEGER, domainId INTEGER, "
    "uint64Value INTEGER, int64Value INTEGER, doubleValue REAL, uint32Value INTEGER, int32Value INTEGER, floatValue REAL, "
    "jsonTextId INTEGER, jsonText TEXT, binaryData TEXT",
    "CUPTI_ACTIVITY_KIND_RUNTIME": "start INTEGER NOT NULL, end INTEGER NOT NULL, eventClass INTEGER NOT NULL, "
    "globalTid INTEGER, correlationId INTEGER, nameId INTEGER NOT NULL, returnValue INTEGER NOT NULL, callchainId INTEGER",
    "CUPTI_ACTIVITY_KIND_KERNEL": "start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, "
    "contextId INTEGER NOT NULL, greenContextId INTEGER, streamId INTEGER NOT NULL, correlationId INTEGER, "
    "globalPid INTEGER, demangledName INTEGER NOT NULL, shortName INTEGER NOT NULL, mangledName INTEGER, "
    "gridX INTEGER, gridY INTEGER, gridZ INTEGER, blockX INTEGER, blockY INTEGER, blockZ INTEGER, graphNodeId INTEGER",
    "CUPTI_ACTIVITY_KIND_MEMCPY": "start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, "
    "contextId INTEGER NOT NULL, greenContextId INTEGER, streamId INTEGER NOT NULL, correlationId INTEGER, "
    "globalPid INTEGER, bytes INTEGER NOT NULL, copyKind INTEGER NOT NULL, srcKind INTEGER, dstKind INTEGER, "
    "migrationCause INTEGER, graphNodeId INTEGER, copyCount INTEGER",
    "CUPTI_ACTIVITY_KIND_MEMSET": "start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, "
    "contextId INTEGER NOT NULL, greenContextId INTEGER, streamId INTEGER NOT NULL, correlationId INTEGER, "
    "globalPid INTEGER, value INTEGER, bytes INTEGER NOT NULL, graphNodeId INTEGER, memKind INTEGER",
    "CUDA_GRAPH_NODE_EVENTS": "start INTEGER NOT NULL, end INTEGER NOT NULL, eventClass INTEGER NOT NULL, "
    "globalTid INTEGER, nameId INTEGER NOT NULL, graphNodeId INTEGER NOT NULL, originalGraphNodeId INTEGER",
    "CUDA_GRAPH_EVENTS": "start INTEGER NOT NULL, end INTEGER NOT NULL, eventClass INTEGER NOT NULL, "
    "globalTid INTEGER, nameId INTEGER NOT NULL, graphId INTEGER NOT NULL, originalGraphId INTEGER, graphExecId INTEGER",
    "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": "start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, "
    "contextId INTEGER NOT NULL, greenContextId INTEGER, streamId INTEGER NOT NULL, correlationId INTEGER, "
    "globalPid INTEGER, graphId INTEGER NOT NULL, graphExecId INTEGER NOT NULL",
}
_SINCE = {
    # what a schema generation lacks of the newest one: {table: columns}; no columns means the whole table
    "2022": {
        "CUPTI_ACTIVITY_KIND_KERNEL": ("greenContextId", "graphNodeId"),
        "CUPTI_ACTIVITY_KIND_MEMCPY": ("greenContextId", "graphNodeId", "copyCount"),
        "CUPTI_ACTIVITY_KIND_MEMSET": ("greenContextId", "graphNodeId"),
        "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": ("greenContextId",),
        "NVTX_EVENTS": ("jsonTextId", "jsonText", "binaryData"),
        "DIAGNOSTIC_EVENT": (),
        "CUDA_GRAPH_NODE_EVENTS": (),
        "CUDA_GRAPH_EVENTS": (),
    },
    "2022.4": {
        "CUPTI_ACTIVITY_KIND_KERNEL": ("greenContextId",),
        "CUPTI_ACTIVITY_KIND_MEMCPY": ("greenContextId", "copyCount"),
        "CUPTI_ACTIVITY_KIND_MEMSET": ("greenContextId",),
        "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": ("greenContextId",),
        "NVTX_EVENTS": ("binaryData",),
        "META_DATA_CAPTURE": (),
        "DIAGNOSTIC_EVENT": (),
        "CUDA_GRAPH_NODE_EVENTS": (),
    },
    "2023.4": {
        "CUPTI_ACTIVITY_KIND_MEMCPY": ("copyCount",),
        "NVTX_EVENTS": ("binaryData",),
        "DIAGNOSTIC_EVENT": (),
        "CUDA_GRAPH_NODE_EVENTS": (),
    },
    "2024": {
        "CUPTI_ACTIVITY_KIND_KERNEL": ("greenContextId",),
        "CUPTI_ACTIVITY_KIND_MEMCPY": ("greenContextId", "copyCount"),
        "CUPTI_ACTIVITY_KIND_MEMSET": ("greenContextId",),
        "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": ("greenContextId",),
    },
    "2025.3": {},
}
GENERATIONS = {"2022": "2.7.1", "2022.4": "3.0.0", "2023.4": "3.7.2", "2024": "3.14.4", "2025.3": "3.20.3"}
"""Generation -> schema version: 2022 knows no graph nodes; it and 2022.4 write EXPORT_META_DATA; up to 2023.4
CUDA_GRAPH_EVENTS holds nodes, and nothing states how many events there are; 2024 moved the nodes to CUDA_GRAPH_NODE_EVENTS;
2025.3 is what the real captures have."""
_ALWAYS = ("StringIds", "META_DATA_EXPORT", "META_DATA_CAPTURE", "TARGET_INFO_SESSION_START_TIME")
_NAMED = {"META_DATA_EXPORT": {"2022": "EXPORT_META_DATA", "2022.4": "EXPORT_META_DATA"}}
"""What a generation calls a table."""
_RANGES = (59, 60, 70, 71)
_COPY_KIND = {"h2d": 1, "d2h": 2, "d2d": 8, "h2h": 9, "p2p": 10}
_MEMORY = {"h2d": (1, 2), "d2h": (2, 1), "d2d": (2, 2), "h2h": (1, 1), "p2p": (2, 2)}
_COUNTED = ("RUNTIME", "KERNEL", "MEMCPY", "MEMSET", "GRAPH_TRACE")

Times = tuple[int, int]


@dataclass
class TraceBuilder:
    """Collects rows; `stated` and `stated_nvtx` override how many events the profiler claims to have collected.

    A range without an end ends with the session, as every real export of 2022 to 2025 writes it; with `null_ends` its end
    is NULL, as the schema allows. `suffixes` are appended to tables' names (_V2, _V3).
    """

    generation: str = "2025.3"
    version: str = ""
    stated: int | None = None
    stated_nvtx: int | None = None
    null_ends: bool = False
    suffixes: dict[str, str] = field(default_factory=dict)
    attested: bool = True
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    strings: dict[str, int] = field(default_factory=dict)
    correlation: int = 100

    def add(self, table: str, **values: Any) -> None:
        """One row, as it is."""
        self.rows.setdefault(table, []).append(values)

    def string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings) + 1)

    def process(self, pid: int, host: int = 1) -> Process:
        """A process; `host` fills the top 16 bits of its key."""
        return Process(self, pid, host)

    def gpu(self, uuid: str, name: str = "NVIDIA H200") -> int:
        """A physical GPU; returns its id."""
        number = len(self.rows.get("TARGET_INFO_GPU", []))
        self.add("TARGET_INFO_GPU", vmId=0, id=number, name=name, uuid=uuid, smCount=132)
        return number

    def write(self, path: Path) -> Path:
        """Write the export; what was at `path` before is gone.

        It is made in memory: on a disk each CREATE TABLE would be a transaction of its own, with a journal and a sync.
        """
        collected = {table: list(rows) for table, rows in self.rows.items()}
        self._metadata()
        duration = self.rows["ANALYSIS_DETAILS"][-1]["duration"]
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.execute("BEGIN")
            for table in (t for t in (*_ALWAYS, *(t for t in self.rows if t not in _ALWAYS)) if self._has(t)):
                connection.execute(f"CREATE TABLE {self._named(table)} ({self.ddl(table)})")
            connection.executemany(
                f"INSERT INTO {self._named('StringIds')} VALUES (?, ?)", [(i, t) for t, i in self.strings.items()]
            )
            for table, rows in self.rows.items():
                self._insert(connection, table, duration, rows if self._has(table) else ())
            connection.execute("COMMIT")
            path.unlink(missing_ok=True)
            path.write_bytes(connection.serialize())
        self.rows = collected
        return path

    def _insert(
        self, connection: sqlite3.Connection, table: str, duration: int, rows: Sequence[dict[str, Any]]
    ) -> None:
        """Rows in their order, those that name the same columns together."""
        lacking = _SINCE[self.generation].get(table, ())
        for names, alike in groupby(rows, key=lambda row: [name for name in row if name not in lacking]):
            told = f"{self._named(table)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            connection.executemany(f"INSERT INTO {told}", [self._values(row, names, duration) for row in alike])

    def _values(self, row: dict[str, Any], names: Sequence[str], duration: int) -> list[Any]:
        if row.get("eventType") in _RANGES and row["end"] is None and not self.null_ends:
            return [duration if name == "end" else row[name] for name in names]
        return [row[name] for name in names]

    def _has(self, table: str) -> bool:
        return _SINCE[self.generation].get(table) != ()

    def _named(self, table: str) -> str:
        return _NAMED.get(table, {}).get(self.generation, table) + self.suffixes.get(table, "")

    def ddl(self, table: str) -> str:
        """The table's columns in this generation."""
        if table == "CUDA_GRAPH_EVENTS" and self.generation in ("2022.4", "2023.4"):
            return DDL["CUDA_GRAPH_NODE_EVENTS"]
        lacking = _SINCE[self.generation].get(table, ())
        return ", ".join(part for part in DDL[table].split(", ") if part.split()[0] not in lacking)

    def _metadata(self) -> None:
        self.add("META_DATA_EXPORT", name="EXPORT_PRODUCT_NAME", value="NVIDIA Nsight Systems")
        self.add("META_DATA_EXPORT", name="EXPORT_SCHEMA_VERSION", value=self.version or GENERATIONS[self.generation])
        self.add("TARGET_INFO_SESSION_START_TIME", utcEpochNs=1_795_209_738_000_000_000, utcTime="", localTime="")
        self.add("ANALYSIS_DETAILS", globalVid=1 << 48, duration=self._last() + 1_000, startTime=0, stopTime=0)
        if self.attested:
            tables = [f"CUPTI_ACTIVITY_KIND_{name}" for name in _COUNTED]
            count = sum(len(self.rows.get(table, [])) for table in tables) if self.stated is None else self.stated
            self.diagnostic(f"Number of CUDA events collected: \t{count:,}.")
            for process, number in self._annotated().items():
                self.diagnostic(f"Number of NVTX events collected: \t{number:,}.", process=process)

    def _annotated(self) -> dict[int, int]:
        """process -> its rows of NVTX_EVENTS, as many as it collected."""
        if self.stated_nvtx is not None:
            return {0: self.stated_nvtx}
        return Counter((row["globalTid"] or 0) & -(1 << 24) for row in self.rows.get("NVTX_EVENTS", ()))

    def _last(self) -> int:
        """The last time of any row that is one."""
        times = [row.get(name) or 0 for rows in self.rows.values() for row in rows for name in ("start", "end")]
        return max((time for time in times if isinstance(time, int) and time < 1 << 60), default=0)

    def diagnostic(self, text: str, severity: int = 1, process: int = 0) -> None:
        self.add(
            "DIAGNOSTIC_EVENT", timestamp=0, timestampType=2, source=3, severity=severity, text=text, globalPid=process
        )


@dataclass
class Process:
    """One process of the trace: its ranges, calls and operations."""

    trace: TraceBuilder
    pid: int
    host: int
    domains: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> int:
        """globalPid, signed as SQLite stores it."""
        value = self.host << 48 | self.pid << 24
        return value - (1 << 64) if value >= 1 << 63 else value

    def thread(self, tid: int) -> int:
        return self.key | tid

    def sees(self, gpu: int, ordinal: int = 0) -> None:
        """This process knows physical GPU `gpu` as CUDA device `ordinal`."""
        self.trace.add("TARGET_INFO_CUDA_DEVICE", gpuId=gpu, cudaId=ordinal, pid=self.pid)

    def domain(self, name: str) -> int:
        """The number of a domain, declared at its first use; the default domain is "" and 0."""
        if name and name not in self.domains:
            self.domains[name] = len(self.domains) + 1
            self._event(75, 0, None, text=name, domainId=self.domains[name])
        return self.domains.get(name, 0)

    def range(
        self,
        text: str,
        start: int,
        end: int | None,
        domain: str = "",
        tid: int = 1,
        payload: float | None = None,
        end_tid: int | None = None,
        start_end: bool = False,
        registered: bool = False,
        category: int | None = None,
        payload_as: str = "",
        imported: bool = False,
    ) -> None:
        """A push/pop range, or with `start_end` a start/end range that `end_tid` closes."""
        words = {"textId": self.trace.string(text)} if registered else {"text": text}
        self._event(
            (71 if start_end else 70) if imported else (60 if start_end else 59),
            start,
            end,
            tid,
            domainId=self.domain(domain),
            endGlobalTid=None if end_tid is None else self.thread(end_tid),
            category=category,
            **{payload_as or ("doubleValue" if isinstance(payload, float) else "int64Value"): payload},
            **words,
        )

    def category(self, number: int, name: str, domain: str = "") -> None:
        """Names a category of a domain."""
        self._event(33, 0, None, text=name, category=number, domainId=self.domain(domain))

    def mark(self, text: str, at: int, domain: str = "", tid: int = 1) -> None:
        self._event(34, at, None, tid, text=text, domainId=self.domain(domain))

    def _event(self, kind: int, start: int, end: int | None, tid: int = 1, **values: Any) -> None:
        self.trace.add("NVTX_EVENTS", start=start, end=end, eventType=kind, globalTid=self.thread(tid), **values)

    def call(self, name: str, times: Times, tid: int = 1, correlation: int | None = None, result: int = 0) -> int:
        """An API call; returns its correlation id."""
        if correlation is None:
            self.trace.correlation += 1
            correlation = self.trace.correlation
        self.trace.add(
            "CUPTI_ACTIVITY_KIND_RUNTIME",
            start=times[0],
            end=times[1],
            eventClass=0,
            globalTid=self.thread(tid),
            correlationId=correlation,
            nameId=self.trace.string(name),
            returnValue=result,
        )
        return correlation

    def _submit(self, name: str, launch: Times | None, tid: int, correlation: int | None) -> int:
        if launch is not None:
            return self.call(name, launch, tid, correlation)
        self.trace.correlation += 1
        return self.trace.correlation if correlation is None else correlation

    def _operation(self, table: str, run: Times, stream: int, device: int, correlation: int, **values: Any) -> None:
        self.trace.add(
            f"CUPTI_ACTIVITY_KIND_{table}",
            start=run[0],
            end=run[1],
            deviceId=device,
            contextId=values.pop("context", 1),
            streamId=stream,
            correlationId=correlation,
            globalPid=self.key,
            **values,
        )

    def kernel(
        self,
        name: str,
        launch: Times | None,
        run: Times | None,
        stream: int = 7,
        device: int = 0,
        tid: int = 1,
        correlation: int | None = None,
        api: str = "cudaLaunchKernel_v7000",
        node: int | None = None,
        context: int = 1,
        grid: tuple[int, int, int] | None = None,
        block: tuple[int, int, int] | None = None,
    ) -> int:
        """A kernel and the call that launched it; returns the correlation id."""
        correlation = self._submit(api, launch, tid, correlation)
        if run is not None:
            names = {"shortName": self.trace.string(name), "demangledName": self.trace.string(f"{name}(float *)")}
            shapes = {"grid": grid or (None,) * 3, "block": block or (None,) * 3}
            dims = {
                f"{what}{axis}": size for what, dim in shapes.items() for axis, size in zip("XYZ", dim, strict=True)
            }
            self._operation(
                "KERNEL", run, stream, device, correlation, graphNodeId=node, context=context, **names, **dims
            )
        return correlation

    def copy(
        self,
        kind: str,
        size: int,
        launch: Times | None,
        run: Times | None,
        stream: int = 7,
        device: int = 0,
        tid: int = 1,
        pageable: bool = False,
        count: int | None = None,
        api: str = "cudaMemcpyAsync_v3020",
    ) -> int:
        """A memcpy of kind h2d, d2h, d2d, h2h or p2p; with `count` one record for a batch of so many."""
        correlation = self._submit(api, launch, tid, None)
        source, target = (0 if pageable and memory == 1 else memory for memory in _MEMORY[kind])
        if run is not None:
            kinds = {"copyKind": _COPY_KIND[kind], "srcKind": source, "dstKind": target}
            batch = {} if count is None else {"copyCount": count}
            self._operation("MEMCPY", run, stream, device, correlation, bytes=size, **kinds, **batch)
        return correlation

    def migration(self, kind: int, size: int, run: Times, device: int = 0, cause: int = 2) -> None:
        """A migration of unified memory: 11 to the device, 12 to the host, 13 between devices. As seen: correlation id,
        context and stream are 0."""
        kinds = {"copyKind": kind, "srcKind": 7, "dstKind": 7, "migrationCause": cause, "context": 0}
        self._operation("MEMCPY", run, 0, device, 0, bytes=size, **kinds)

    def node(self, at: int, tid: int = 1, number: int = 1) -> None:
        """A node of a graph is made: inside the launch that a stream captures, when graphs are traced by node."""
        self.trace.add(
            "CUDA_GRAPH_NODE_EVENTS",
            start=at,
            end=at,
            eventClass=77,
            globalTid=self.thread(tid),
            nameId=self.trace.string("cudaGraphNode"),
            graphNodeId=number,
        )

    def memset(self, size: int, launch: Times | None, run: Times | None, stream: int = 7, device: int = 0) -> int:
        correlation = self._submit("cudaMemsetAsync_v3020", launch, 1, None)
        if run is not None:
            self._operation("MEMSET", run, stream, device, correlation, bytes=size, value=0)
        return correlation

    def graph(self, launch: Times, run: Times | None = None, stream: int = 7, device: int = 0, tid: int = 1) -> int:
        """A graph launch; with `run` it was traced as a whole, without its nodes."""
        correlation = self.call("cudaGraphLaunch_v10000", launch, tid)
        if run is not None:
            self._operation("GRAPH_TRACE", run, stream, device, correlation, graphId=1, graphExecId=2)
        return correlation
