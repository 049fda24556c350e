"""NVTX ranges: push/pop and start/end, in all the forms in which an export writes their text and payload."""

from __future__ import annotations

import sqlite3

import numpy as np

from .columns import NONE, Columns, Int64, read_integers
from .model import Ranges, process_of
from .nesting import nesting
from .schema import NVTX, Schema, quote
from .strings import Strings
from .validity import Invalid

CATEGORY, MARK, PUSH_POP, START_END, DOMAIN = 33, 34, 59, 60, 75
IMPORTED_PUSH_POP, IMPORTED_START_END = 70, 71
_RANGES = (PUSH_POP, START_END, IMPORTED_PUSH_POP, IMPORTED_START_END)
_INTEGER_PAYLOADS = ("uint64Value", "int64Value", "uint32Value", "int32Value")
_FLOAT_PAYLOADS = ("doubleValue", "floatValue")


def read_ranges(
    connection: sqlite3.Connection,
    schema: Schema,
    strings: Strings,
    trace_end: int,
    invalid: Invalid,
) -> Ranges:
    """All ranges of NVTX_EVENTS. The event type decides what a row is, before its NULLs are looked at.

    Ranges that were never closed get `trace_end`, or their own start where that is later.
    """
    where = f"eventType IN ({', '.join(map(str, _RANGES))})"
    optional = {"end": NONE, "globalTid": 0, "endGlobalTid": NONE, "domainId": 0, "category": NONE, "textId": NONE}
    c = read_integers(connection, schema, NVTX, ("start", "eventType"), optional, where)
    never_closed = c["end"] == NONE
    c["end"] = np.where(never_closed, np.maximum(trace_end, c["start"]), c["end"])
    text = _texts(connection, schema, strings, where, c)
    payload, has_payload = _integer_payload(connection, schema, where, len(text))
    floats = _float_payload(connection, schema, where, len(text))
    keep = c["end"] >= c["start"]
    if not keep.all():
        invalid["reversed_times", NVTX] = int((~keep).sum())
    start_end = np.isin(c["eventType"], (START_END, IMPORTED_START_END))
    process = process_of(c["globalTid"])
    whole = Ranges(
        row=c["row"],
        start=c["start"],
        end=c["end"],
        is_open=never_closed,
        start_end=start_end,
        process=process,
        thread=c["globalTid"],
        end_thread=np.where(c["endGlobalTid"] == NONE, c["globalTid"], c["endGlobalTid"]),
        domain=_named(connection, schema, strings, DOMAIN, process, c["domainId"], c["domainId"]),
        text=text,
        category=_named(connection, schema, strings, CATEGORY, process, c["domainId"], c["category"]),
        level=np.full(len(text), -1, np.int64),
        parent=np.full(len(text), -1, np.int64),
        payload=payload,
        has_payload=has_payload,
        payload_float=floats,
    ).take(keep)
    _nest(whole, c["domainId"][keep])
    return whole


def _nest(ranges: Ranges, domain_id: Int64) -> None:
    """Fill in `level` and `parent` of the push/pop ranges."""
    inner = np.flatnonzero(~ranges.start_end)
    keys = np.stack([ranges.thread[inner], domain_id[inner]], axis=1)
    group = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1) if len(inner) else np.empty(0, np.int64)
    level, parent = nesting(group, ranges.start[inner], ranges.end[inner], ranges.row[inner])
    ranges.level[inner] = level
    ranges.parent[inner] = np.where(parent >= 0, inner[parent], -1) if len(inner) else parent


def _texts(connection: sqlite3.Connection, schema: Schema, strings: Strings, where: str, c: Columns) -> Int64:
    """`text`, else the registered string of `textId`; either, both or none may be there."""
    by_id = strings.of_ids(c["textId"])
    if not schema.has(NVTX, "text"):
        return by_id
    query = f"SELECT text FROM {quote(schema.tables[NVTX])} WHERE {where}"
    written = strings.of_texts(None if text is None else str(text) for (text,) in connection.execute(query))
    return np.where(written >= 0, written, by_id)


def _named(
    connection: sqlite3.Connection,
    schema: Schema,
    strings: Strings,
    event_type: int,
    process: Int64,
    domain: Int64,
    number: Int64,
) -> Int64:
    """Names of domains or categories: rows of the same process (and domain) that declare the number.

    -1 for the default domain, for no category, and for what was created before the capture began.
    """
    key = "domainId" if event_type == DOMAIN else "category"
    found: dict[tuple[int, int, int], int] = {}
    if schema.has(NVTX, "globalTid", "domainId", key):
        text = "text" if schema.has(NVTX, "text") else "NULL"
        text_id = "textId" if schema.has(NVTX, "textId") else "NULL"
        query = f"SELECT globalTid, domainId, {key}, {text}, {text_id} FROM {quote(schema.tables[NVTX])} WHERE eventType = ?"
        for thread, domain_id, value, written, string in connection.execute(query, (event_type,)):
            if thread is None or value is None:
                continue
            index = (
                strings.add(str(written)) if written is not None else int(strings.of_ids(np.array([string or NONE]))[0])
            )
            found[int(process_of(np.int64(thread))), int(domain_id or 0), int(value)] = index  # type: ignore[arg-type]
    return np.array(
        [found.get(k, -1) for k in zip(process.tolist(), domain.tolist(), number.tolist(), strict=True)], np.int64
    )


def _integer_payload(connection: sqlite3.Connection, schema: Schema, where: str, n: int) -> tuple[Int64, np.ndarray]:
    columns = [column for column in _INTEGER_PAYLOADS if schema.has(NVTX, column)]
    if not columns or not n:
        return np.zeros(n, np.int64), np.zeros(n, bool)
    term = f"COALESCE({', '.join([*columns, 'NULL'])})"
    query = f"SELECT COALESCE({term}, 0), {term} IS NOT NULL FROM {quote(schema.tables[NVTX])} WHERE {where}"
    values = np.array(connection.execute(query).fetchall(), np.int64).reshape(-1, 2)
    return values[:, 0], values[:, 1].astype(bool)


def _float_payload(connection: sqlite3.Connection, schema: Schema, where: str, n: int) -> np.ndarray:
    columns = [column for column in _FLOAT_PAYLOADS if schema.has(NVTX, column)]
    if not columns or not n:
        return np.full(n, np.nan)
    query = f"SELECT COALESCE({', '.join([*columns, 'NULL'])}) FROM {quote(schema.tables[NVTX])} WHERE {where}"
    return np.array([np.nan if v is None else float(v) for (v,) in connection.execute(query)], np.float64)
