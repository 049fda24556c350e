"""What an export holds: its tables and columns, its version, and what it was told to trace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import TraceError
from .source.scan import Source
from .source.sqlite import quote

__all__ = ["METADATA", "Schema", "quote", "read_schema"]

NVTX = "NVTX_EVENTS"
RUNTIME = "CUPTI_ACTIVITY_KIND_RUNTIME"
KERNEL = "CUPTI_ACTIVITY_KIND_KERNEL"
MEMCPY = "CUPTI_ACTIVITY_KIND_MEMCPY"
MEMSET = "CUPTI_ACTIVITY_KIND_MEMSET"
GRAPH_TRACE = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"
SYNCHRONIZATION = "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION"
CUDA_EVENT = "CUPTI_ACTIVITY_KIND_CUDA_EVENT"

KNOWN_MAJOR = (2, 3)
"""Major versions of the export schema that were checked; others are read by their columns, with a finding."""

METADATA: Mapping[str, tuple[str, ...]] = {
    kind: (f"META_DATA_{kind}", f"{kind}_META_DATA") for kind in ("CAPTURE", "EXPORT")
}
"""The tables of metadata; Nsight Systems 2022 writes EXPORT_META_DATA."""

KINETO, KNOWN_KINETO = "Kineto", ("1",)
"""What a trace of torch.profiler says made it, and the versions of its events that were read and checked."""

TORCH_RANK = "TORCH_RANK"
"""The entry of the metadata that holds the rank which a trace of torch.profiler states."""

_EVENTS: Mapping[str, str] = {
    KERNEL: "traceEvents kernel",
    MEMCPY: "traceEvents gpu_memcpy",
    MEMSET: "traceEvents gpu_memset",
    RUNTIME: "traceEvents cuda_runtime",
}

_SUFFIX = re.compile(r"_V([0-9]{1,4})\Z")
_CAPABILITIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "gpu identity": ("TARGET_INFO_CUDA_DEVICE", ("gpuId", "cudaId", "pid")),
    "gpu uuid": ("TARGET_INFO_GPU", ("id", "uuid")),
    "graph nodes of kernels": (KERNEL, ("graphNodeId",)),
    "graphs traced as a whole": (GRAPH_TRACE, ("correlationId",)),
    "kinds of memory": (MEMCPY, ("srcKind", "dstKind")),
    "nvtx domains": (NVTX, ("domainId",)),
    "nvtx payloads": (NVTX, ("int64Value",)),
    "ranges across threads": (NVTX, ("endGlobalTid",)),
    "event counts": ("DIAGNOSTIC_EVENT", ("severity", "text")),
    "wall time": ("TARGET_INFO_SESSION_START_TIME", ("utcEpochNs",)),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables by their plain name (an export may suffix them with _V2, _V3), columns in lower case, and metadata.

    `capture` and `export` hold META_DATA_CAPTURE and META_DATA_EXPORT; a name may have several values.
    """

    path: Path
    tables: Mapping[str, str]
    columns: Mapping[str, frozenset[str]]
    capture: Mapping[str, tuple[str, ...]]
    export: Mapping[str, tuple[str, ...]]

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table exists, with all these columns."""
        return table in self.tables and all(column.lower() in self.columns[table] for column in columns)

    @property
    def version(self) -> str:
        """`major.minor.micro` of the export's schema, "" when it does not say."""
        return self.export.get("EXPORT_SCHEMA_VERSION", ("",))[0]

    @property
    def kineto(self) -> bool:
        """Whether torch.profiler recorded it, and not Nsight Systems."""
        return self.export.get("EXPORT_PRODUCT_NAME") == (KINETO,)

    def called(self, table: str) -> str:
        """What anyone who looks a row up calls a table: an export may have suffixed it, and a trace of torch.profiler has
        one list of events, where row n is the nth."""
        return _EVENTS.get(table, table) if self.kineto else self.tables.get(table, table)

    @property
    def known(self) -> bool:
        if self.kineto:
            return self.version in KNOWN_KINETO
        return self.version.partition(".")[0] in {str(major) for major in KNOWN_MAJOR}

    @property
    def graph_nodes(self) -> str:
        """The table of graph nodes' creation by its plain name, "" without one: CUDA_GRAPH_EVENTS held nodes in 2023 and
        holds graphs since 2024, when the nodes moved to CUDA_GRAPH_NODE_EVENTS; its columns show which."""
        tables = ("CUDA_GRAPH_NODE_EVENTS", "CUDA_GRAPH_EVENTS")
        return next((table for table in tables if self.has(table, "graphNodeId")), "")

    @property
    def capabilities(self) -> Mapping[str, bool]:
        """What this export can tell, judged by its tables and columns, not by its version."""
        return {name: self.has(table, *columns) for name, (table, columns) in _CAPABILITIES.items()}


def read_schema(source: Source) -> Schema:
    """Look at what is there.

    Raises:
        TraceError: Nsight Systems did not write this file.
    """
    there = source.tables()
    tables = by_plain_name(there)
    columns = {plain: frozenset(column.lower() for column in there[name]) for plain, name in tables.items()}
    if not {"StringIds", *METADATA["EXPORT"]} & set(tables):
        raise TraceError(
            f"{source.path}: no export of Nsight Systems (neither StringIds nor META_DATA_EXPORT is in it)",
            "make one with: nsys export --type sqlite REPORT.nsys-rep",
        )
    schema = Schema(source.path, tables, columns, {}, {})
    metadata = [_metadata(source, schema, kind) for kind in ("CAPTURE", "EXPORT")]
    return Schema(source.path, tables, columns, *metadata)


def by_plain_name(names: Iterable[str]) -> dict[str, str]:
    """A table's name without its suffix -> what the export calls it; if there are several, the one with the highest
    suffix."""
    tables: dict[str, str] = {}
    for name in names:
        plain = _SUFFIX.sub("", name)
        if plain not in tables or _number(name) > _number(tables[plain]):
            tables[plain] = name
    return tables


def _number(table: str) -> int:
    """The suffix of a table's name: 3 for KERNEL_V3, 0 for none."""
    suffix = _SUFFIX.search(table)
    return int(suffix[1]) if suffix else 0


def _metadata(source: Source, schema: Schema, kind: str) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for table in (table for table in METADATA[kind] if schema.has(table, "name", "value")):
        for name, value in source.records(schema.tables[table], ("name", "value")):
            if str(name).endswith("ENVIRONMENT_VARIABLE"):
                continue  # the profiled process's environment is nobody's business, and nothing here needs it
            values[str(name)] = (*values.get(str(name), ()), "" if value is None else str(value))
    return values
