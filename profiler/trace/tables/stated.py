"""What libraries say of communication: the payloads of NCCL's NVTX ranges decoded, and what PyTorch says beside its kernels.

An export with `--include-blobs=true` holds a payload in `binaryData`: the count of parts (1), then the number of a schema, the size
and the offset of the part, 64 bits each, then its bytes, which NVTX_PAYLOAD_SCHEMA_ENTRIES describes (nsys 2025.3). Others write
`jsonText`. A scrubbed trace holds the decoded integers in a table of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays.types import Int64
from ..model import Operations, Ranges, Stated
from ..schema import METADATA, NVTX, TORCH_RANK, Schema
from ..source.scan import Source, Wanted
from .columns import NONE
from .strings import Strings

DECODED = "AISP_NCCL_PAYLOADS"
"""The table of a scrubbed trace: a row for each NVTX event with a payload of NCCL, integers only."""
DECODED_COLUMNS = ("nvtxRow", "communicator", "bytes", "root", "peer", "size", "rank")
COLLECTIVES = "KINETO_COLLECTIVES"

RANK_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
"""Variables by which launchers (torchrun, Open MPI, PMIx, MPICH, Slurm) tell a process its rank, the most specific first."""

_LONGEST_RANK = 10
PAYLOADS = "NVTX_PAYLOAD_SCHEMA_ENTRIES"
"""The table that says how payloads are to be read."""
DOMAIN = "domainId"
_FIELDS: Mapping[str, str] = {
    "NCCL communicator ID": "communicator",
    "Message size [bytes]": "bytes",
    "Root": "root",
    "Peer rank": "peer",
    "No. of ranks": "size",
    "Rank": "rank",
}
"""NCCL's labels (src/include/nvtx_payload_schemas.h, 2.18 to 2.30) of what is read."""
_HEADER = 32
_WIDTH: Mapping[int, int] = dict.fromkeys((5, 6, 15, 16), 4) | dict.fromkeys((7, 8, 9, 10, 17, 18, 22), 8)
"""Bytes of an entry by NVTX's number of its type (nvToolsExtPayload.h): int to unsigned long long, int32 to uint64, size_t."""
_BYTES_OF = {"Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Double": 8, "Long": 8, "Byte": 1, "Char": 1, "Bool": 1}
_UNEVEN = frozenset({"all_to_allv", "send", "recv", "allgatherv"})
"""Of these collectives of PyTorch each rank has its own count of elements."""

Payload = dict[str, int]
"""The fields of a payload that are there."""


@dataclass(frozen=True, slots=True)
class _Entry:
    field: str
    at: int
    width: int


def read_stated(source: Source, schema: Schema, strings: Strings, ranges: Ranges, operations: Operations) -> Stated:
    """What a trace says of its communication; no rows where it says nothing."""
    if schema.kineto:
        return _of_torch(source, schema, strings, operations)
    rows, payloads = payloads_of(source, schema)
    place = np.searchsorted(ranges.row, rows) if len(ranges) else np.zeros(0, np.int64)
    there = [i for i, at in enumerate(place.tolist()) if at < len(ranges) and ranges.row[at] == rows[i]]
    at = place[there].astype(np.int64)
    chosen = [payloads[i] for i in there]
    return Stated(
        row=ranges.row[at],
        process=ranges.process[at],
        thread=ranges.thread[at],
        start=ranges.start[at],
        end=ranges.end[at],
        of_kernel=np.zeros(len(at), bool),
        name=ranges.text[at],
        **{name: _column(chosen, name) for name in DECODED_COLUMNS[1:]},
    )


def _column(payloads: list[Payload], name: str) -> Int64:
    missing = 0 if name == "communicator" else NONE
    return np.array([one.get(name, missing) for one in payloads], np.int64)


def payloads_of(source: Source, schema: Schema) -> tuple[Int64, list[Payload]]:
    """The rows of NVTX_EVENTS with a payload that names a communicator of NCCL, ascending, and the payloads. Signed 64 bits."""
    if schema.has(DECODED, *DECODED_COLUMNS):
        scan = source.scan(schema.tables[DECODED], Wanted(DECODED_COLUMNS))
        columns = [scan.integers[name].filled(NONE) for name in DECODED_COLUMNS]
        order = np.argsort(columns[0], kind="stable")
        listed = zip(*(column[order].tolist() for column in columns[1:]), strict=True)
        return columns[0][order], [dict(zip(DECODED_COLUMNS[1:], row, strict=True)) for row in listed]
    form = _Form.read(source, schema)
    texts = tuple(name for name in ("binaryData", "jsonText") if schema.has(NVTX, name))
    if not texts or not (form.entries or "jsonText" in texts):
        return np.empty(0, np.int64), []
    scan = source.scan(schema.tables[NVTX], Wanted(form.domain, (), texts))
    domain = scan.integers[DOMAIN].filled(0) if form.domain else np.zeros(len(scan.row), np.int64)
    found: dict[int, Payload] = {}
    for name in texts:
        column, known = scan.texts[name], dict[tuple[int, int], Payload]()
        decode = form.of_blob if name == "binaryData" else lambda raw, domain: of_json(raw)
        there = np.flatnonzero(column.codes >= 0)
        for i, code, of in zip(there.tolist(), column.codes[there].tolist(), domain[there].tolist(), strict=True):
            if (code, of) not in known:
                known[code, of] = decode(column.values[code], of)
            if payload := known[code, of]:
                found.setdefault(int(scan.row[i]), payload)
    rows = sorted(found)
    return np.array(rows, np.int64), [found[row] for row in rows]


@dataclass(frozen=True, slots=True)
class _Form:
    """Where the fields lie in payloads, by the domain that declared their schema, and its number there: a library chooses its own
    numbers. `domain` is the column that tells it; without it all of one number are one."""

    entries: Mapping[tuple[int, int], tuple[_Entry, ...]]
    domain: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Source, schema: Schema) -> _Form:
        if not schema.has(PAYLOADS, "schemaId", "type", "name", "offset"):
            return cls({})
        entries: dict[tuple[int, int], dict[str, _Entry]] = {}  # each process declares them anew
        columns = ("schemaId", "type", "name", "offset")
        domain = (DOMAIN,) if schema.has(PAYLOADS, DOMAIN) and schema.has(NVTX, DOMAIN) else ()
        for number, kind, name, offset, *of in source.records(schema.tables[PAYLOADS], (*columns, *domain)):
            if name in _FIELDS and kind in _WIDTH and isinstance(offset or 0, int) and (offset or 0) >= 0:
                entry = _Entry(_FIELDS[name], offset or 0, _WIDTH[kind])
                entries.setdefault((of[0] or 0 if of else 0, number), {})[entry.field] = entry
        return cls({key: tuple(some.values()) for key, some in entries.items()}, domain)

    def of_blob(self, raw: bytes, domain: int) -> Payload:
        """The fields of one payload; none of what has another form."""
        if len(raw) < _HEADER:
            return {}
        count, number, size, offset = (int.from_bytes(raw[at : at + 8], "little") for at in range(0, _HEADER, 8))
        part = raw[offset : offset + size]
        if count != 1 or len(part) != size:
            return {}
        fields = (one for one in self.entries.get((domain, number), ()) if one.at + one.width <= size)
        said = {one.field: _signed(part[one.at : one.at + one.width]) for one in fields}
        return said if "communicator" in said else {}


def _signed(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def of_json(raw: bytes) -> Payload:
    """The fields of a payload that was written as JSON, wherever they lie in it; none of what is none of NCCL's."""
    try:
        data = json.loads(raw)
    except ValueError:
        return {}
    said = {_FIELDS[name]: number for name, value in _members(data) if (number := _whole(value)) is not None}
    return said if "communicator" in said else {}


def _members(data: Any, depth: int = 4) -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        yield from ((name, value) for name, value in data.items() if name in _FIELDS)
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    for one in inner if depth else ():
        yield from _members(one, depth - 1)


def _whole(value: Any) -> int | None:
    """A number of 64 bits as a signed one, also where it stands as text."""
    try:
        number = int(value, 0) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not -(1 << 63) <= number < 1 << 64:
        return None
    return number - (1 << 64) if number >= 1 << 63 else number


def said_rank(source: Source, schema: Schema) -> int | None:
    """The rank that the environment of the profiled program gave it, or that PyTorch states; None where there is none."""
    if schema.kineto:
        said = schema.export.get(TORCH_RANK, ())
    else:
        tables = [table for table in METADATA["CAPTURE"] if schema.has(table, "name", "value")]
        rows = [row for table in tables for row in source.records(schema.tables[table], ("name", "value"))]
        variables = [str(value).partition("=") for name, value in rows if str(name).endswith("ENVIRONMENT_VARIABLE")]
        known = {name: value.strip('"') for name, _, value in variables if name in RANK_VARIABLES}
        said = tuple(known[name] for name in RANK_VARIABLES if name in known)
    return int(said[0]) if said and said[0].isdecimal() and len(said[0]) < _LONGEST_RANK else None


def _of_torch(source: Source, schema: Schema, strings: Strings, operations: Operations) -> Stated:
    """PyTorch's process groups: their names are the same on every rank, and so are their lists of ranks."""
    wanted = ("row", "collective", "group", "ranks", "group_size", "dtype", "elements_in")
    records = source.records(COLLECTIVES, wanted) if COLLECTIVES in schema.tables else []
    said = [dict(zip(wanted, record, strict=True)) for record in records]
    rows = np.array([one["row"] for one in said], np.int64)
    zeros, rank = np.zeros(len(said), np.int64), said_rank(source, schema)
    return Stated(
        row=rows,
        process=np.full(len(said), int(operations.process[0]) if len(operations) else 0),
        thread=zeros,
        start=zeros,
        end=zeros,
        of_kernel=np.ones(len(said), bool),
        name=np.array([strings.add(str(one["collective"])) for one in said], np.int64),
        communicator=np.array([_number_of(str(one["group"]), str(one["ranks"])) for one in said], np.int64),
        bytes=np.array([_size(one) for one in said], np.int64),
        root=np.full(len(said), NONE),
        peer=np.full(len(said), NONE),
        size=np.array([NONE if one["group_size"] is None else one["group_size"] for one in said], np.int64),
        rank=np.array([_place(str(one["ranks"]), rank) for one in said], np.int64),
    )


def _number_of(group: str, ranks: str) -> int:
    """64 bits for a process group, never 0."""
    return _signed(hashlib.sha256(f"{group}\0{ranks}".encode()).digest()[:8]) or 1


def _size(said: Mapping[str, Any]) -> int:
    """Bytes that a rank gives, where that is the same on every rank."""
    width, count = _BYTES_OF.get(str(said["dtype"])), said["elements_in"]
    return NONE if width is None or count is None or said["collective"] in _UNEVEN else width * int(count)


def _place(ranks: str, rank: int | None) -> int:
    """The place of a rank in the list of a group's ranks, `[0, 2, 4]`; NONE where that was shortened."""
    numbers = [text.strip() for text in ranks.strip("[] ").split(",")]
    return numbers.index(str(rank)) if str(rank) in numbers else NONE
