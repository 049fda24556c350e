"""The manifest against the trace: what both know must agree, and what the manifest alone knows must be possible.

A manifest is a text that anyone can edit, and it says how long the iterations took without a tracer, of which no trace tells.
The limits are those within which all 23 captures that came with aisp-prof lie, with room (docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from ...declaration import Declaration
from ..evidence import Finding
from ..manifest import ONE_TRACE, TWO_TRACES, Facts, Manifest
from ..ranges.instances import Instances
from ..ranges.numbers import engine_times
from ..trace.model import Gpu, Trace
from .measured import Measured, bounds_of
from .sequence import sequence_findings, times_of

EVENT_SHARE, EVENT_NS = 0.001, 1_000
"""By how much a CUDA event's time may leave the bounds that the trace sets it: events are read to half a microsecond, and the
clocks of host and GPU are not one. Of 1,568 shipped iterations none leaves them; the nearest stays 3.9 us inside."""

QUEUED_RATIO, HOST_RATIO = (0.8, 1.25), (0.6, 2.0)
"""What the median of the traced times may be of the untraced one's. Where the host queued the iteration beforehand, tracing
lengthens only what the GPU does: 0.987 to 1.063 in the shipped captures. Where it did not, every call of the host's counts:
0.845 to 1.600."""

QUEUED_OF_ENGINE, HOST_OF_ENGINE = 0.85, 0.75
"""What the median of the untraced times must be of the busiest engine's time in the trace, at the least: 0.945 and 0.826 in the
shipped captures. It may be below 1, as tracing lengthens small operations."""

CLOCK_SLACK, LONGEST_CAPTURE = timedelta(minutes=1), timedelta(days=1)
"""A manifest is written once all runs are over: not before the traced one ended, nor a day after."""


@dataclass(frozen=True, slots=True)
class Held:
    """What became of it: findings about the whole capture, and about each variant. Those that block leave claims unproven."""

    whole: tuple[Finding, ...]
    each: Mapping[str, tuple[Finding, ...]]

    @property
    def all(self) -> tuple[Finding, ...]:
        return (*self.whole, *(finding for variant in self.each.values() for finding in variant))


def against_trace(manifest: Manifest, declaration: Declaration, trace: Trace | None, measured: Measured) -> Held:
    """Hold a manifest against the trace that came with it; `measured` are the runs on all GPUs together."""
    order = sequence_findings(manifest, declaration, trace, measured)
    each = {variant: tuple(order.get(variant, ())) for variant in declaration.names}
    if trace is None:
        return Held((*order.get("", ()), *_of_itself(manifest, declaration)), each)
    for variant, one in measured.items():
        each[variant] += tuple(_times(manifest, declaration, one))
    facts = _Facts(manifest, trace, measured)
    whole = (*order.get("", ()), *_of_itself(manifest, declaration), *facts.contradictions(), *facts.unknown())
    return Held(whole, each)


def _times(manifest: Manifest, declaration: Declaration, runs: Instances) -> Iterator[Finding]:
    variant, queued = runs.name, declaration.queued
    traced, untraced = (times_of(manifest, run, variant) for run in ("traced", "untraced"))
    outside = _outside(runs, traced)
    if outside:
        yield Finding("event_times_differ", {"variant": variant, "count": outside, "of": len(traced)}, "range")
    if not untraced:
        if any(times_of(manifest, "untraced", other) for other in declaration.names):
            yield Finding("no_untraced_times", {"variant": variant})
        return
    low, high = QUEUED_RATIO if queued else HOST_RATIO
    ratio = median(traced) / median(untraced) if traced and median(untraced) > 0 else None
    if ratio is not None and not low <= ratio <= high:
        values: dict[str, str | int | float] = {"variant": variant, "factor": round(ratio, 3), "low": low, "high": high}
        yield Finding("untraced_implausible", values, "range")
    engine = _busiest(runs)
    least = (QUEUED_OF_ENGINE if queued else HOST_OF_ENGINE) * engine
    if median(untraced) < least:
        told = {"ms": round(median(untraced) / 1e6, 3), "engine_ms": round(engine / 1e6, 3)}
        yield Finding("untraced_below_engine", {"variant": variant, **told}, "range")


def _outside(runs: Instances, events: Sequence[int]) -> int:
    """How many event times are shorter than what the GPU did between the events, or longer than the range that holds both."""
    if len(runs) != len(events):
        return 0  # said by `sequence_findings`
    (start, end), ranges = runs.times(), runs.trace.ranges
    spans, hosts = (end - start).tolist(), (ranges.end[runs.range] - ranges.start[runs.range]).tolist()
    return sum(not _between(*one) for one in zip(spans, hosts, events, strict=True))


def _between(span: int, host: int, ns: int) -> bool:
    slack = EVENT_NS + EVENT_SHARE * ns
    return span - slack <= ns <= max(span, host) + slack


def _busiest(runs: Instances) -> float:
    """The median over the iterations of the time that the busiest engine took: none ends before it."""
    return median(engine_times(runs)) if len(runs) else 0


def _of_itself(manifest: Manifest, declaration: Declaration) -> Iterator[Finding]:
    """What a manifest says twice."""
    size, sizes = manifest.size, manifest.sizes
    if (own := declaration.sizes.get(size)) is not None and dict(own) != sizes:
        yield _contradicts("sizes", sizes, own)
    for name, record in manifest.runs.items():
        for field, told, known in (
            ("pair", record.pair, declaration.key),
            ("size", record.size, size),
            ("sizes", record.sizes, sizes),
        ):
            if told is not None and told != known:
                yield _contradicts(f"runs.{name}.{field}", told, known)
        tolerance = record.validation.tolerance if record.validation else None
        if tolerance is not None and tolerance != declaration.tolerance:
            yield _contradicts(f"runs.{name}.validation.tolerance", tolerance, declaration.tolerance)
    yield from _of_the_id(manifest, declaration)


def _of_the_id(manifest: Manifest, declaration: Declaration) -> Iterator[Finding]:
    """An id is `<pair>-<created_utc to the second>-<mark>`."""
    pair, _, rest = manifest.id.partition("-")
    created = _time(manifest.created_utc)
    stamp = rest.partition("-")[0]
    if created is None or _stamp(stamp) is None:
        yield Finding("not_compared", {"what": "id, created_utc"})
    elif _stamp(stamp) != created.replace(microsecond=0):
        yield _contradicts("id", stamp, f"{created:%Y%m%dT%H%M%SZ}")
    if pair != declaration.key:
        yield _contradicts("id", pair, declaration.key)


def _contradicts(what: str, says: object, found: object) -> Finding:
    return Finding("manifest_contradicts", {"what": what, "says": _short(says), "found": _short(found)}, "range")


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return _short(", ".join(f"{name} {number}" for name, number in sorted(value.items())))
    return str(value)[:80]


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _stamp(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Facts:
    """Which GPU it was and when, as the trace knows it."""

    manifest: Manifest
    trace: Trace
    measured: Measured

    def contradictions(self) -> Iterator[Finding]:
        gpus = self._gpus()
        for where, told in self._told():
            if gpus and (differing := _no_such_gpu(told, gpus)):
                yield _contradicts(f"{where}.{differing[0]}", *differing[1:])
        yield from self._dates()

    def unknown(self) -> Iterator[Finding]:
        """What cannot be compared, since one of the two does not say it."""
        gpus = self._gpus()
        told = [told for _, told in self._told()]
        said = {
            "gpus.uuid": (any(gpu.uuid for gpu in gpus), any(one.get("uuid") for one in told)),
            "gpus.name": (any(gpu.name for gpu in gpus), any(one.get("name") for one in told)),
        }
        lacking = [what for what, by in said.items() if not all(by) and (any(by) or not self._of_the_trace)]
        if self._began() is None or _time(self.manifest.created_utc) is None:
            lacking.append("created_utc")
        if lacking:
            yield Finding("not_compared", {"what": ", ".join(lacking)})

    @property
    def _of_the_trace(self) -> bool:
        """Whether the manifest was made of what the trace says, so that both lack the same."""
        return self.manifest.origin is not None and self.manifest.origin.kind in (ONE_TRACE, TWO_TRACES)

    def _gpus(self) -> list[Gpu]:
        """Those on which the measured iterations ran."""
        return [runs.trace.gpus[gpu] for runs in self.measured.values() for gpu in runs.gpus()]

    def _told(self) -> Iterable[tuple[str, Facts]]:
        yield from ((f"gpus[{place}]", gpu) for place, gpu in enumerate(self.manifest.gpus))
        for run, record in self.manifest.runs.items():
            yield f"runs.{run}.gpu", record.gpu or {}

    def _began(self) -> datetime | None:
        start = self.trace.start_utc_ns
        try:
            return None if start is None else datetime.fromtimestamp(start / 1e9, UTC)
        except (OverflowError, ValueError, OSError):
            return None

    def _dates(self) -> Iterator[Finding]:
        began, created = self._began(), _time(self.manifest.created_utc)
        bounds = bounds_of(self.measured)
        if began is None or created is None or bounds is None:
            return
        ended = began + timedelta(microseconds=bounds[1] / 1e3)
        if not ended - CLOCK_SLACK <= created <= ended + LONGEST_CAPTURE:
            yield _contradicts("created_utc", f"{created:%Y-%m-%dT%H:%M:%SZ}", f"{ended:%Y-%m-%dT%H:%M:%SZ}")


def _no_such_gpu(told: Facts, gpus: Sequence[Gpu]) -> tuple[str, str, str] | None:
    """The field in which a GPU of the manifest is none of those of the trace, with both; None where it is one of them.

    A slice of a GPU (MIG) has an id of its own, which the trace does not tell.
    """
    uuid, name = str(told.get("uuid") or ""), str(told.get("name") or "")
    known = [gpu for gpu in gpus if gpu.uuid]
    sliced = uuid.startswith("MIG") or told.get("mig") is True
    if uuid and known and not sliced:
        mine = [gpu for gpu in known if _plain(gpu.uuid) == _plain(uuid)]
        if not mine:
            return "uuid", uuid, known[0].uuid
        gpus = mine
    named = [gpu.name for gpu in gpus if gpu.name]
    if name and named and not any(_same_name(name, one) for one in named):
        return "name", name, named[0]
    return None


def _plain(uuid: str) -> str:
    return uuid.lower().removeprefix("gpu-")


def _same_name(one: str, other: str) -> bool:
    """A slice's name goes on behind the GPU's: "NVIDIA H200 MIG 1g.18gb"."""
    return one == other or f"{one} MIG" == other[: len(one) + 4] or f"{other} MIG" == one[: len(other) + 4]
