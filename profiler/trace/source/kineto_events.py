"""The events of a Kineto trace (torch.profiler's Chrome JSON): what of them is read, a batch at a time."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec

from ....errors import TraceError
from .scan import told

BATCH = 1 << 16
"""Events made into columns at once, and forgotten then."""
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


class Said(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What a trace says beside its events; `WARNING` and `ERROR` are Kineto's own messages."""

    schemaVersion: int = 0
    baseTimeNanoseconds: int = 0
    deviceProperties: list[Device] = []
    distributedInfo: Distributed | None = None
    WARNING: list[str] | str = []
    ERROR: list[str] | str = []


class _Decoded(Said, gc=False, frozen=True, kw_only=True):
    traceEvents: list[Event]


class _Undecoded(Said, gc=False, frozen=True, kw_only=True):
    traceEvents: list[msgspec.Raw]


@dataclass(slots=True)
class Document:
    """A trace: what it says beside its events, and the events, decoded where all of them could be at once."""

    said: Said
    data: mmap.mmap
    events: list[Event] | None
    """Emptied by `batches`."""
    _raws: list[msgspec.Raw] | None = None

    @property
    def raws(self) -> list[msgspec.Raw]:
        """Each event as it is written; found when it is first asked for, since it costs a fifth of all reading."""
        if self._raws is None:
            self._raws = msgspec.json.decode(self.data, type=_Undecoded).traceEvents
        return self._raws


def read_document(path: Path, shown: Path) -> Document:
    """Decode a trace; its events one by one later, where one of them is not as Kineto writes them.

    Args:
        path: the JSON, not packed.
        shown: what messages call it.

    Raises:
        TraceError: no JSON, cut, or no list of trace events in it.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with suppress(msgspec.ValidationError):  # perhaps of an event that nobody wants
            whole = msgspec.json.decode(data, type=_Decoded)
            if hasattr(data, "madvise"):  # what was read need not stay in memory beside what was made of it
                data.madvise(mmap.MADV_DONTNEED)
            return Document(whole, data, whole.traceEvents)
        undecoded = msgspec.json.decode(data, type=_Undecoded)
        return Document(undecoded, data, None, undecoded.traceEvents)
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
    for first, events in _portions(document, tables, shown):
        found: dict[str, tuple[list[int], list[Event]]] = {table: ([], []) for table in tables.values()}
        of = {
            category: (places.append, some.append)
            for category, table in tables.items()
            for places, some in (found[table],)
        }
        for place, event in enumerate(events, first + 1):
            if (into := of.get(event.cat)) and event.ph == "X":
                into[0](place)
                into[1](event)
        for table, (places, some) in found.items():
            if places:
                yield Batch(table, places, some, partial(_picked, document, places))


def _portions(document: Document, categories: Collection[str], shown: Path) -> Iterator[tuple[int, list[Event]]]:
    """`BATCH` events after the other, with the place of the first, counted from 0; what was handed out is forgotten."""
    events = document.events
    if events is None:
        raws = document.raws
        for first in range(0, len(raws), BATCH):
            yield first, _decoded(raws[first : first + BATCH], first + 1, categories, shown)
        return
    for first in range(0, len(events), BATCH):
        some_events = events[first : first + BATCH]
        events[first : first + BATCH] = [_NOTHING] * len(some_events)
        yield first, some_events


def _picked(document: Document, places: Sequence[int]) -> list[msgspec.Raw]:
    raws = document.raws
    return [raws[place - 1] for place in places]


_EVENTS, _EVENT = msgspec.json.Decoder(list[Event]), msgspec.json.Decoder(Event)
_KIND, _TIMES = msgspec.json.Decoder(_Kind), msgspec.json.Decoder(_Times)
_NOTHING = Event()


def _decoded(batch: list[msgspec.Raw], first: int, categories: Collection[str], shown: Path) -> list[Event]:
    try:
        return _EVENTS.decode(b"[%b]" % b",".join(batch))
    except msgspec.DecodeError:
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
