"""NVTX ranges and marks, in all the forms in which an export writes their text and payload."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays.groups import any_of, combined_codes
from ...arrays.growing import constant, is_constant
from ...arrays.types import Bools, Int64
from ..model import Marks, Ranges, process_of
from ..schema import NVTX, Schema
from ..source.scan import Source
from .columns import NONE, Invalid, Table, Wish, picked, read_table
from .nesting import nesting
from .strings import Strings
from .validity import LATEST, timely

CATEGORY, MARK, PUSH_POP, START_END, DOMAIN = 33, 34, 59, 60, 75
IMPORTED_PUSH_POP, IMPORTED_START_END = 70, 71
_RANGES = (PUSH_POP, START_END, IMPORTED_PUSH_POP, IMPORTED_START_END)
_INTEGER_PAYLOADS = ("uint64Value", "int64Value", "uint32Value", "int32Value")
_FLOAT_PAYLOADS = ("doubleValue", "floatValue")
_WISH = Wish(
    required=("start", "eventType"),
    optional={"domainId": 0, "category": NONE, "textId": NONE},
    nullable=("end", "globalTid", "endGlobalTid", *_INTEGER_PAYLOADS),
    reals=_FLOAT_PAYLOADS,
    texts=("text",),
)


@dataclass(frozen=True, slots=True)
class Ends:
    """Where ranges that were never closed may end.

    trace     the end of the last operation or call
    sessions  the ends of the sessions by ANALYSIS_DETAILS: nsys writes them as the end of a range that was never closed
    """

    trace: int
    sessions: tuple[int, ...] = ()


def read_nvtx(source: Source, schema: Schema, strings: Strings, ends: Ends, invalid: Invalid) -> tuple[Ranges, Marks]:
    """All ranges and marks of NVTX_EVENTS. The event type decides what a row is, whatever is NULL in it.

    A range that was never closed ends with the session, as nsys writes it, or, where its end is NULL, with the last operation,
    call or range.
    """
    events = read_table(source, schema, NVTX, _WISH, invalid)
    kind = events.columns["eventType"].clip(-1, 127).astype(np.int8)
    text = _texts(strings, events)
    names = {event: _declared(events, text, np.flatnonzero(kind == event)) for event in (DOMAIN, CATEGORY)}
    marks = _marks(events, text, names, np.flatnonzero(kind == MARK))
    chosen = np.flatnonzero(any_of(kind, _RANGES))
    ranges, domain = _ranges(events, text, names, chosen, ends, invalid)
    del events, text
    _nest(ranges, domain)
    return ranges, marks


def _ranges(
    events: Table, text: Int64, names: dict[int, Names], chosen: Int64, ends: Ends, invalid: Invalid
) -> tuple[Ranges, Int64]:
    """The ranges, not yet nested, and the number of each one's domain. Columns leave `events` as they are taken."""
    events.columns.pop("textId")
    c = {name: picked(events.columns.pop(name), chosen) for name in list(events.columns)}
    null = {name: picked(mask, chosen) for name, mask in events.null.items()}
    end = _ends(c["start"], c["end"], null["end"], ends.trace)
    keep = timely(c["start"], end, NVTX, invalid, zero=False) & ~null["globalTid"]
    if null["globalTid"].any():
        invalid["missing_values", NVTX] = invalid.get(("missing_values", NVTX), 0) + int(null["globalTid"].sum())
    payload, has_payload = _integer_payload(c, null)
    process = process_of(c["globalTid"])
    whole = Ranges(
        row=c["row"],
        start=c["start"],
        end=end,
        is_open=_open(c["end"], null["end"], ends.sessions),
        start_end=(c["eventType"] == START_END) | (c["eventType"] == IMPORTED_START_END),
        process=process,
        thread=c["globalTid"],
        end_thread=c["globalTid"]
        if null["endGlobalTid"].all()
        else np.where(null["endGlobalTid"], c["globalTid"], c["endGlobalTid"]),
        domain=_named(names[DOMAIN], process, c["domainId"], c["domainId"]),
        text=text[chosen],
        category=_named(names[CATEGORY], process, c["domainId"], c["category"]),
        level=np.full(len(chosen), -1, np.int64),
        parent=np.full(len(chosen), -1, np.int64),
        payload=payload,
        has_payload=has_payload,
        payload_float=_float_payload(events, chosen),
    )
    domain = c["domainId"]
    if not keep.all():
        whole, domain = whole.take(keep), domain[keep]
    return whole, domain


def _open(end: Int64, null: Bools, sessions: tuple[int, ...]) -> Bools:
    """Which ranges were never closed. One that was closed in the session's last nanosecond counts as open too:
    docs/traces.md says why."""
    for session in sessions:
        if (last := end == session).any():
            null = null | last
    return null


def _ends(start: Int64, end: Int64, is_open: Bools, trace_end: int) -> Int64:
    """Where ranges end; those without an end get the trace's, which takes every valid time into account."""
    if not is_open.any():
        return end
    seen = np.concatenate([end[~is_open], start])
    last = int(seen[np.abs(seen) < LATEST].max(initial=trace_end))
    return np.where(is_open, np.int64(last), end)


def _marks(events: Table, text: Int64, names: dict[int, Names], chosen: Int64) -> Marks:
    process = process_of(events.columns["globalTid"][chosen])
    domain = events.columns["domainId"][chosen]
    return Marks(
        row=events.columns["row"][chosen],
        time=events.columns["start"][chosen],
        process=process,
        thread=events.columns["globalTid"][chosen],
        domain=_named(names[DOMAIN], process, domain, domain),
        text=text[chosen],
        category=_named(names[CATEGORY], process, domain, events.columns["category"][chosen]),
    )


def _nest(ranges: Ranges, domain_id: Int64) -> None:
    """Fill in `level` and `parent` of the push/pop ranges."""
    inner = np.flatnonzero(~ranges.start_end)
    group = combined_codes((ranges.thread[inner], domain_id[inner]))
    level, parent = nesting(group, ranges.start[inner], ranges.end[inner], ranges.row[inner])
    ranges.level[inner] = level
    ranges.parent[inner] = np.where(parent >= 0, inner[parent], -1) if len(inner) else parent


def _texts(strings: Strings, events: Table) -> Int64:
    """`text`, else the registered string of `textId`; either, both or none may be there."""
    by_id = strings.of_ids(events.columns["textId"])
    texts = events.scan.texts.get("text")
    if texts is None:
        return by_id
    written = strings.of_texts(texts)
    return np.where(written >= 0, written, by_id)


Names = dict[tuple[int, int, int], int]
"""(process, domain, number) -> text: what domains and categories are called."""


def _declared(events: Table, text: Int64, rows: Int64) -> Names:
    """Names given by the rows of one event type; what a process declares twice gets the name in the last row."""
    c = events.columns
    kind = c["eventType"][rows]
    number = np.where(kind == DOMAIN, c["domainId"][rows], c["category"][rows])
    process = process_of(c["globalTid"][rows])
    usable = ~events.null["globalTid"][rows] & (number != NONE)
    columns = (column[usable].tolist() for column in (process, c["domainId"][rows], number, text[rows]))
    return {(p, d, n): t for p, d, n, t in zip(*columns, strict=True)}


def _named(names: Names, process: Int64, domain: Int64, number: Int64) -> Int64:
    """The text of each row's domain or category, looked up once per distinct one.

    -1 for the default domain, for no category, and for what was created before the capture began.
    """
    if not names:
        return np.full(len(process), -1, np.int64)
    group = combined_codes((process, domain) if domain is number else (process, domain, number))
    first = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
    first[group] = np.arange(len(group))
    keys = zip(process[first].tolist(), domain[first].tolist(), number[first].tolist(), strict=True)
    return np.array([names.get(key, -1) for key in keys], np.int64)[group]


def _integer_payload(c: dict[str, Int64], null: dict[str, Bools]) -> tuple[Int64, Bools]:
    """The first integer payload that is not NULL. SQLite stores 64 bits signed: a uint64 from 2^63 on is negative here."""
    n = len(c["row"])
    if all(null[name].all() for name in _INTEGER_PAYLOADS):
        return constant(0, n, np.int64), constant(False, n, bool)
    value, present = np.zeros(n, np.int64), np.zeros(n, bool)
    for name in _INTEGER_PAYLOADS:
        here = ~null[name] & ~present
        if here.any():
            value[here] = c[name][here]
            present |= here
    return value, present


def _float_payload(events: Table, chosen: Int64) -> NDArray[np.float64]:
    value = constant(np.nan, len(chosen), np.float64)
    for name in _FLOAT_PAYLOADS:
        column = events.scan.reals.get(name)
        if column is not None and not is_constant(column):
            value = np.where(np.isnan(value), column[chosen], value)
    return value
