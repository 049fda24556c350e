"""NVTX events of a process as the rows that Nsight Systems makes of them: a range is one row, from its push to its pop."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from .buffers import NVTX, Process

MARK, THREAD, CATEGORY, DOMAIN, DOMAIN_ENDED = 34, 39, 33, 75, 76
PUSH, POP, START, END = 1, 2, 3, 4
PUSH_POP, START_END = 59, 60
"""The numbers of Nsight Systems, and those of the tracer for the two halves of a range."""

COLUMNS = (
    *("start", "end", "eventType", "rangeId", "category", "color", "text", "globalTid", "endGlobalTid", "textId"),
    *("domainId", "uint64Value", "int64Value", "doubleValue", "uint32Value", "int32Value", "floatValue", "binaryData"),
)
_START, _END, _THREAD, _END_THREAD, _BLOB = (
    COLUMNS.index(name) for name in ("start", "end", "globalTid", "endGlobalTid", "binaryData")
)
_PAYLOADS = {1: (11, "q"), 2: (12, "q"), 3: (13, "d"), 4: (14, "I"), 5: (15, "i"), 6: (16, "f")}
"""NVTX's type of a payload -> its column, and how its 8 bytes are read; SQLite has no unsigned 64 bits."""

Row = list[Any]


def nvtx_rows(process: Process, key: int, zero: int, duration: int) -> list[Row]:
    """The rows of NVTX_EVENTS, by their start; texts are bytes, `textId` is the process's number of the text.

    What was never closed ends with the session, as Nsight Systems has it. A pop without a push, and an end without a start, are no
    rows there, and none here; an empty name is no name, and a range that ends on the thread where it began names that one once.

    Args:
        key: the process as globalPid. zero: the session's start, duration: its length, ns.
    """
    rows: list[Row] = []
    pushed: dict[tuple[int, int], list[Row]] = {}
    started: dict[int, Row] = {}
    for event, thread, domain, number, time, row in _events(process, key, zero):
        if event == POP:
            if stack := pushed.get((thread, domain)):
                _ends(stack.pop(), time, row)
            continue
        if event == END:
            if (begun := started.pop(number, None)) is not None:
                _ends(begun, time, row)
                begun[_END_THREAD] = None if begun[_THREAD] == key | thread else key | thread
            continue
        rows.append(row)
        if event == PUSH:
            pushed.setdefault((thread, domain), []).append(row)
        elif event == START:
            started[number] = row
    for row in (*started.values(), *(one for stack in pushed.values() for one in stack)):
        row[_END] = duration
    return sorted(rows, key=lambda row: row[_START])


def _ends(begun: Row, time: int, last: Row) -> None:
    """A payload may come with a range's end, as NCCL's do that tell a rank."""
    begun[_END] = time
    begun[_BLOB] = begun[_BLOB] or last[_BLOB]


_TYPES = {PUSH: PUSH_POP, START: START_END}


def _events(process: Process, key: int, zero: int) -> Iterator[tuple[int, int, int, int, int, Row]]:
    """Event, thread, domain, range, time and the row that it begins, in the order in which each thread came."""
    rows = process.rows(NVTX)
    names = ("time", "range", "payload", "text", "thread", "domain", "category", "color")
    columns = [rows[name].tolist() for name in (*names, "event", "text_is", "payload_type", "has_color")]
    for beside, blob, one in zip(process.beside, process.blobs, zip(*columns, strict=True), strict=True):
        time, number, payload, text, thread, domain, category, color, event, form, payload_type, has_color = one
        row: Row = [None] * len(COLUMNS)
        row[:10] = (
            time - zero,
            None,
            _TYPES.get(event, event),
            number if event == START else None,
            category if category and event != THREAD else None,
            color if has_color else None,
            beside or None,
            key | (category if event == THREAD else thread),
            None,
            text if form == 2 else None,
        )
        row[10], row[_BLOB] = domain, blob
        if payload_type in _PAYLOADS:
            at, how = _PAYLOADS[payload_type]
            row[at] = struct.unpack_from(f"={how}", payload.to_bytes(8, "little"))[0]
        yield event, thread, domain, number, time - zero, row
