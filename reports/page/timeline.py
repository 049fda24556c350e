"""Two iterations on one time axis, one lane per stream: where the time went, one against the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...profiler.evidence import Evidence, Iteration, Op, VariantEvidence
from ..catalog import Catalog
from ..hostile import shorten
from ..units import duration
from .axis import Axis, Measure, Tick
from .colours import OF_VARIANT, of_kind
from .marks import MOST_MARKS, Band, Box, bands, extent

_HEAD = 30.0
_FOOT = 24.0
_GAP = 10.0


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream: its band of the picture and the operations in it, by kind. `y` and `height` of the whole lane."""

    label: str
    y: float
    height: float
    ops: tuple[Op, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """One variant: its caption, its lanes, and the line where its iteration ends."""

    name: str
    label: str
    caption: str
    colour: str
    y: float
    bottom: float
    origin: int
    end: int
    end_x: float
    end_label: str
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Both tracks on one axis. `merged`: operations that touch were drawn as one. `sentence` says in words what the
    picture shows."""

    width: float
    height: float
    axis: Axis
    ticks: tuple[Tick, ...]
    tracks: tuple[Track, ...]
    kinds: tuple[str, ...]
    marks: int
    merged: bool
    sentence: str


def timeline(evidence: Evidence, say: Catalog, measure: Measure) -> Timeline | None:
    """The drawn iterations of both variants; None if neither has one."""
    drawn = [pair for pair in map(_drawn, (evidence.baseline, evidence.optimized)) if pair]
    if not drawn:
        return None
    axis = measure.axis(max(_length(variant, iteration) for variant, iteration in drawn))
    marks = sum(len(variant.timeline) for variant, _ in drawn)
    devices = {op.device for variant, _ in drawn for op in variant.timeline}
    captions = evidence.manifest.declaration.variants
    tracks: list[Track] = []
    y = 0.0
    for variant, iteration in drawn:
        caption = shorten(say.of(captions.get(variant.name, {"en": ""})), round(measure.width / 8))
        tracks.append(_track(variant, iteration, axis, y, say, caption, len(devices) > 1, marks > MOST_MARKS))
        y = tracks[-1].bottom + _GAP
    kinds = {op.kind for variant, _ in drawn for op in variant.timeline}
    return Timeline(
        width=measure.width,
        height=y - _GAP + _FOOT,
        axis=axis,
        ticks=axis.ticks(measure.most_ticks),
        tracks=tuple(tracks),
        kinds=tuple(sorted(kinds, key=lambda kind: (_KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind))),
        marks=marks,
        merged=marks > MOST_MARKS,
        sentence=" ".join(_in_words(track, say) for track in tracks),
    )


_KINDS = ("compute", "graph", "h2d", "d2h", "comm", "d2d", "p2p", "memset")


def _drawn(variant: VariantEvidence) -> tuple[VariantEvidence, Iteration] | None:
    if variant.median_index is None or not variant.iterations or not variant.timeline:
        return None
    return variant, variant.iterations[variant.median_index]


def _length(variant: VariantEvidence, iteration: Iteration) -> int:
    return max(iteration.end, *(op.end for op in variant.timeline)) - iteration.start


def _track(
    variant: VariantEvidence,
    iteration: Iteration,
    axis: Axis,
    y: float,
    say: Catalog,
    caption: str,
    several: bool,
    merge: bool,
) -> Track:
    by_stream = _by_stream(variant.timeline)
    pitch = min(22.0, max(4.0, 420.0 / len(by_stream)))
    lanes = tuple(
        _lane(
            _label(stream, several, say), Box(axis, iteration.start, y + _HEAD + pitch * index, pitch * 0.8), ops, merge
        )
        for index, (stream, ops) in enumerate(by_stream.items())
    )
    return Track(
        name=variant.name,
        label=say.get(f"variant.{variant.name}", variant.name),
        caption=caption,
        colour=OF_VARIANT.get(variant.name, "soft"),
        y=y,
        bottom=y + _HEAD + pitch * len(by_stream),
        origin=iteration.start,
        end=iteration.end,
        end_x=axis.x(iteration.end - iteration.start),
        end_label=duration(iteration.end - iteration.start),
        lanes=lanes,
    )


def _by_stream(ops: Sequence[Op]) -> dict[tuple[int, int], tuple[Op, ...]]:
    """Operations by (device, stream), in order of first activity."""
    streams: dict[tuple[int, int], list[Op]] = {}
    for op in sorted(ops, key=lambda op: (op.start, op.end, op.table, op.row)):
        streams.setdefault((op.device, op.stream), []).append(op)
    return {stream: tuple(operations) for stream, operations in streams.items()}


def _label(stream: tuple[int, int], several: bool, say: Catalog) -> str:
    key = "why.lane_of_device" if several else "why.lane"
    return say(key, device=stream[0], stream=stream[1])


def _lane(label: str, box: Box, ops: tuple[Op, ...], merge: bool) -> Lane:
    return Lane(label if box.height >= 7 else "", box.y, box.height, ops, bands(ops, box, merge))


def _in_words(track: Track, say: Catalog) -> str:
    ops = [op for lane in track.lanes for op in lane.ops]
    return say("why.sentence", variant=track.label, n=len(ops), streams=len(track.lanes), duration=track.end_label)


def swatch(kind: str) -> tuple[str, float, float]:
    """A kind's colour name, and the top and height (0 … 1) of its mark in a lane: for the legend."""
    top, bottom = extent(kind)
    return of_kind(kind), top, bottom - top
