"""NCCL's payloads: as bytes that nsys 2025.3 wrote, as JSON, and as the integers of a scrubbed trace."""

from __future__ import annotations

import json
import lzma
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.profiler.store.redact import scrub_trace
from aisp_prof.profiler.trace.model import Stated
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.trace.tables.stated import DECODED, of_json

SCRUBBED = Path(__file__).parents[3] / "traces/ranks/slow-rank0.sqlite.xz"

# of the report that the scrubbed trace was made of: row, bytes; NCCL's own log calls the communicator 0x3e140f30201b8b11
INIT = (
    2,
    "01000000000000000B0000010000000018000000000000002000000000000000118B1B20300F143E02000000000000000000000000000000",
)
ALL_REDUCE = (
    6,
    "0100000000000000050000010000000018000000000000002000000000000000118B1B20300F143E00001000000000000000000000000000",
)
ALL_GATHER = 7, "0100000000000000040000010000000010000000000000002000000000000000118B1B20300F143E0000100000000000"
SEND = (
    13,
    "0100000000000000090000010000000018000000000000002000000000000000118B1B20300F143E0000100000000000010000002A040000",
)
BROADCAST = (
    9,
    "0100000000000000060000010000000018000000000000002000000000000000118B1B20300F143E00001000000000000000000000000000",
)
ENTRIES = [
    *((16777227, 18, "NCCL communicator ID", None), (16777227, 5, "No. of ranks", 8), (16777227, 5, "Rank", 12)),
    *((16777221, 18, "NCCL communicator ID", None), (16777221, 22, "Message size [bytes]", 8)),
    *((16777220, 18, "NCCL communicator ID", None), (16777220, 22, "Message size [bytes]", 8)),
    *(
        (16777225, 18, "NCCL communicator ID", None),
        (16777225, 22, "Message size [bytes]", 8),
        (16777225, 5, "Peer rank", 16),
    ),
    *(
        (16777222, 18, "NCCL communicator ID", None),
        (16777222, 22, "Message size [bytes]", 8),
        (16777222, 5, "Root", 16),
    ),
]
KEY = 0x3E140F30201B8B11
MIB = 1 << 20
EXPECTED = {  # communicator, bytes, root, peer, size, rank
    2: (KEY, -1, -1, -1, 2, 0),
    6: (KEY, MIB, -1, -1, -1, -1),
    7: (KEY, MIB, -1, -1, -1, -1),
    9: (KEY, MIB, 0, -1, -1, -1),
    13: (KEY, MIB, -1, 1, -1, -1),
}


def told(stated: Stated) -> dict[int, tuple[int, ...]]:
    names = ("communicator", "bytes", "root", "peer", "size", "rank")
    columns = [getattr(stated, name).tolist() for name in ("row", *names)]
    return {row: tuple(values) for row, *values in zip(*columns, strict=True)}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The trace as nsys exported it, as far as these rows go."""
    path = tmp_path / "raw.sqlite"
    path.write_bytes(lzma.decompress(SCRUBBED.read_bytes()))
    with sqlite3.connect(path) as database:
        database.execute(f"drop table {DECODED}")
        database.execute(
            "create table NVTX_PAYLOAD_SCHEMA_ENTRIES (domainId INTEGER, schemaId INTEGER, idx INTEGER, flags INTEGER, "
            "type INTEGER, name TEXT, description TEXT, arrayOrUnionDetail INTEGER, offset INTEGER)"
        )
        database.executemany(
            "insert into NVTX_PAYLOAD_SCHEMA_ENTRIES (domainId, schemaId, type, name, offset) values (1, ?, ?, ?, ?)",
            ENTRIES,
        )
        for row, blob in (INIT, ALL_REDUCE, ALL_GATHER, SEND, BROADCAST):
            database.execute("update NVTX_EVENTS set binaryData = ? where rowid = ?", (bytes.fromhex(blob), row))
    return path


def test_the_bytes_that_nsys_wrote(raw: Path) -> None:
    trace = read_trace(raw)
    assert told(trace.stated) == EXPECTED
    names = [trace.text(name) for name in trace.stated.name.tolist()]
    assert names == ["ncclCommInitRankConfig", "ncclAllReduce", "ncclAllGather", "ncclBroadcast", "ncclSend"]
    with sqlite3.connect(raw) as database:
        query = f"select start, end, globalTid from NVTX_EVENTS where rowid in ({', '.join(map(str, EXPECTED))})"
        times = database.execute(query).fetchall()
    columns = (trace.stated.start, trace.stated.end, trace.stated.thread)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == times


def test_a_number_of_a_form_is_its_domains_own(raw: Path) -> None:
    """Libraries choose them, NCCL 16777218 and on: the payload of another domain's form of this number is none of NCCL's."""
    with sqlite3.connect(raw) as database:
        database.execute(
            "insert into NVTX_PAYLOAD_SCHEMA_ENTRIES (domainId, schemaId, type, name) values (9, 16777221, 18, 'of theirs')"
        )
        other = "select rowid from NVTX_EVENTS where eventType = 59 and binaryData is null limit 1"
        changed = f"update NVTX_EVENTS set domainId = 9, binaryData = ? where rowid in ({other})"
        assert database.execute(changed, (bytes.fromhex(ALL_REDUCE[1]),)).rowcount == 1
    assert told(read_trace(raw).stated) == EXPECTED


def test_scrubbing_keeps_the_integers_and_nothing_else(raw: Path, tmp_path: Path) -> None:
    scrub_trace(raw, tmp_path / "scrubbed.sqlite")
    assert told(read_trace(tmp_path / "scrubbed.sqlite").stated) == EXPECTED
    with sqlite3.connect(tmp_path / "scrubbed.sqlite") as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        assert [name for name in tables if "PAYLOAD" in name] == [DECODED]
        left = "select count(*) from NVTX_EVENTS where binaryData is not null or jsonText is not null"
        assert database.execute(left).fetchone() == (0,)
        kinds = {kind for row in database.execute(f"select * from {DECODED}") for kind in map(type, row)}
        assert kinds == {int}


def test_scrubbing_twice_keeps_them(tmp_path: Path) -> None:
    scrub_trace(SCRUBBED, tmp_path / "again.sqlite")
    assert told(read_trace(tmp_path / "again.sqlite").stated) == told(read_trace(SCRUBBED).stated)


def test_payloads_as_json(raw: Path) -> None:
    with sqlite3.connect(raw) as database:
        database.execute("drop table NVTX_PAYLOAD_SCHEMA_ENTRIES")
        text = json.dumps({"NCCL": {"NCCL communicator ID": KEY, "Message size [bytes]": 8, "Root": "0x1"}, "x": [1]})
        database.execute("update NVTX_EVENTS set jsonText = ? where rowid = 9", (text,))
        database.execute('update NVTX_EVENTS set jsonText = \'{"name": "theirs"}\' where rowid = 6')
    assert told(read_trace(raw).stated) == {9: (KEY, 8, 1, -1, -1, -1)}


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1, 2]", b'{"Root": 1}', b'{"NCCL communicator ID": "x"}', b"null", b'{"NCCL communicator ID": 1e3}'],
)
def test_json_that_is_none_of_nccls_says_nothing(text: bytes) -> None:
    assert of_json(text) == {}


def test_a_communicator_above_63_bits_is_a_negative_number_everywhere() -> None:
    assert of_json(b'{"NCCL communicator ID": 18446744073709551615}') == {"communicator": -1}


@pytest.mark.parametrize("at", [0, 16, 24, 7])
def test_blobs_of_another_form_say_nothing(raw: Path, at: int) -> None:
    """Another count, a size or an offset beyond the end: what cannot be read is not guessed."""
    blob = bytearray.fromhex(ALL_REDUCE[1])
    blob[at] = 0xFF
    with sqlite3.connect(raw) as database:
        database.execute("update NVTX_EVENTS set binaryData = ? where rowid = 6", (bytes(blob),))
        database.execute("update NVTX_EVENTS set binaryData = ? where rowid = 7", (bytes(blob[:20]),))
    assert set(told(read_trace(raw).stated)) == {2, 9, 13}


def test_a_trace_without_payloads_states_nothing() -> None:
    trace = read_trace(SCRUBBED.parents[1] / "two-gpus-node.sqlite.xz")
    assert len(trace.stated) == 0
    assert trace.said_rank is None


def test_what_is_stated_comes_back_from_the_cache(tmp_path: Path) -> None:
    from aisp_prof.profiler.trace.cache.traces import TraceCache

    cache = TraceCache(tmp_path, least=0)
    first, second = (read_trace(SCRUBBED, cache=cache).stated for _ in range(2))
    assert told(first) == told(second)
    assert len(second) > 100
    assert np.array_equal(first.start, second.start)
