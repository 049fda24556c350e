"""The events of a Kineto trace (torch.profiler's Chrome JSON): what of them is read, decoded a batch at a time."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec

from ....errors import TraceError
from .scan import told

BATCH = 1 << 16
"""Events decoded at once: a million of them as Python objects take half a gigabyte."""
EXACT_BELOW = 2**43
"""Microseconds, 101 days: below it a double tells the thousandths apart that Kineto writes."""
_MEND = "record it again: prof.export_chrome_trace(…)"


class Arguments(msgspec.Struct, gc=False, frozen=True):
    """What Kineto says of one event, as far as it is read."""

    correlation: int | None = None
    device: int | None = None
    context: int | None = None
    stream: int | None = None
    bytes: int | None = None
    graph_node: int | None = msgspec.field(default=None, name="graph node id")
    grid: tuple[int, int, int] | None = None
    block: tuple[int, int, int] | None = None
    collective: str | None = msgspec.field(default=None, name="Collective name")
    elements_in: int | None = msgspec.field(default=None, name="In msg nelems")
    elements_out: int | None = msgspec.field(default=None, name="Out msg nelems")
    group_size: int | None = msgspec.field(default=None, name="Group size")
    dtype: str | None = None
    group: str | None = msgspec.field(default=None, name="Process Group Name")
    ranks: str | None = msgspec.field(default=None, name="Process Group Ranks")


class Event(msgspec.Struct, gc=False, frozen=True):
    """One entry of `traceEvents`; times in microseconds. Phase X has a duration, and is all that is read."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str = 0
    tid: int | str = 0
    ts: float = 0.0
    dur: float = 0.0
    args: Arguments | None = None


class _Kind(msgspec.Struct, gc=False, frozen=True):
    """What decides whether the rest is looked at: entries of other phases and categories may hold anything."""

    ph: str = ""
    cat: str = ""


class _Times(msgspec.Struct, gc=False, frozen=True):
    """Times as they are written, for those that a double does not hold."""

    ts: Decimal = Decimal(0)
    dur: Decimal = Decimal(0)


class Device(msgspec.Struct, gc=False, frozen=True):
    id: int = 0
    name: str = ""
    multiprocessors: int = msgspec.field(default=0, name="numSms")


class Distributed(msgspec.Struct, gc=False, frozen=True):
    """What PyTorch says of the job; others may write anything here."""

    rank: int | str | None = None


class Document(msgspec.Struct, gc=False, frozen=True):
    """What a trace says beside its events; `WARNING` and `ERROR` are Kineto's own messages."""

    traceEvents: list[msgspec.Raw]
    schemaVersion: int = 0
    baseTimeNanoseconds: int = 0
    deviceProperties: list[Device] = []
    distributedInfo: Distributed | None = None
    WARNING: list[str] | str = []
    ERROR: list[str] | str = []


def read_document(path: Path, shown: Path) -> Document:
    """Find the events of a trace, none of them decoded yet.

    Args:
        path: the JSON, not packed.
        shown: what messages call it.

    Raises:
        TraceError: no JSON, cut, or no list of trace events in it.
    """
    try:
        with path.open("rb") as file:  # the events keep the mapping alive
            return msgspec.json.decode(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), type=Document)
    except ValueError as error:
        raise TraceError(f"{shown}: no trace of torch.profiler, or a cut one: {told(error)}", _MEND) from error


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one table: their places in `traceEvents`, counted from 1, and the events."""

    table: str
    places: Sequence[int]
    events: Sequence[Event]
    raws: Callable[[], Sequence[msgspec.Raw]]
    """Each event as it is written."""


def batches(document: Document, tables: Mapping[str, str], shown: Path) -> Iterator[Batch]:
    """The events with a duration, by the table that their category belongs to.

    Args:
        tables: category -> table. Events of other categories are left out.

    Raises:
        TraceError: one of them has a value of the wrong kind; its place is named.
    """
    raws = document.traceEvents
    for first in range(0, len(raws), BATCH):
        some = raws[first : first + BATCH]
        events = _decoded(some, first + 1, tables, shown)
        found: dict[str, list[int]] = {}
        for i, event in enumerate(events):
            if event.ph == "X" and event.cat in tables:
                found.setdefault(tables[event.cat], []).append(i)
        for table, chosen in found.items():
            places = [first + 1 + i for i in chosen]
            yield Batch(table, places, [events[i] for i in chosen], partial(_picked, some, chosen))


def _picked(raws: Sequence[msgspec.Raw], chosen: Sequence[int]) -> list[msgspec.Raw]:
    return [raws[i] for i in chosen]


_EVENTS, _EVENT = msgspec.json.Decoder(list[Event]), msgspec.json.Decoder(Event)
_KIND, _TIMES = msgspec.json.Decoder(_Kind), msgspec.json.Decoder(_Times)
_NOTHING = Event()


def _decoded(batch: list[msgspec.Raw], first: int, categories: Collection[str], shown: Path) -> list[Event]:
    try:
        return _EVENTS.decode(b"[%b]" % b",".join(batch))
    except msgspec.DecodeError:  # perhaps of an event that nobody wants
        return [_one(raw, first + i, categories, shown) for i, raw in enumerate(batch)]


def _one(raw: msgspec.Raw, place: int, categories: Collection[str], shown: Path) -> Event:
    try:
        kind = _KIND.decode(raw)
        return _EVENT.decode(raw) if kind.ph == "X" and kind.cat in categories else _NOTHING
    except msgspec.DecodeError as error:
        raise TraceError(f"{shown}: event {place} of traceEvents: {told(error)}", _MEND) from error


def exact_nanoseconds(raws: Sequence[msgspec.Raw]) -> tuple[list[int], list[int]]:
    """Starts and durations in ns, from the digits as they are written."""
    times = [_TIMES.decode(raw) for raw in raws]
    return [int(one.ts * 1000) for one in times], [int(one.dur * 1000) for one in times]
