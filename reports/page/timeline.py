"""The iterations of all variants on one time axis, one lane per stream: where the time went, one against the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...profiler.evidence import Evidence, Iteration, Op, VariantEvidence
from ..catalog import Catalog
from ..units import duration
from .axis import Axis, Measure, Tick
from .colours import of_kind, of_variant
from .labels import width, wrapped
from .lanes import Ops, Pattern, Stream, patterns
from .marks import MOST_MARKS, Band, Box, bands, extent

_LINE = 14.0
_MOST_LINES = 3
_FOOT = 24.0
_TALL, _FLAT, _ROOM = 22.0, 10.2, 270.0
"""The highest and the lowest lane that is drawn in full, with the gap under it, and what all tracks should take: of a staged pair a
page has room for no more beside its claims and runs."""

_FEW = 3
_LOOSE, _DENSE = (30.0, 10.0), (23.0, 6.0)
"""The height above a track's lanes and the gap under them: of at most `_FEW` tracks, and of more."""

_SQUEEZED, _FOLD, _THIN = 4.0, 48.0, 0.4
"""A lane inside a fold, the height that a fold should take, and the lowest lane inside one."""

_RULES = {"order": "why.folded_order", "kinds": "why.folded_kinds"}
_SIZE = 11.0
_NARROW = 500.0
"""Of picture and gutter together; in a narrower one the captions begin at the left edge."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream: its band of the picture and the operations in it, by kind. `y` and `height` of the whole lane; `label` is "" and
    `name` not where the lane is folded."""

    label: str
    name: str
    y: float
    height: float
    ops: tuple[Op, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """The lanes `first` to `first + count - 1` of a track, squeezed together between `y` and `y + height`."""

    label: str
    first: int
    count: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Track:
    """One variant: its caption in lines, its lanes, and the line where its iteration ends. `top` is where its lanes begin."""

    name: str
    label: str
    caption: tuple[str, ...]
    colour: str
    y: float
    top: float
    bottom: float
    origin: int
    end: int
    end_x: float
    end_label: str
    lanes: tuple[Lane, ...]
    folds: tuple[Fold, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """All tracks on one axis. `merged`: operations that touch were drawn as one. `rule` says what the lanes that are folded
    have in common, `head` how high the caption above a track's lanes is. `sentence` says in words what the picture shows."""

    width: float
    height: float
    axis: Axis
    ticks: tuple[Tick, ...]
    tracks: tuple[Track, ...]
    kinds: tuple[str, ...]
    marks: int
    merged: bool
    rule: str
    head: float
    sentence: str


def timeline(evidence: Evidence, say: Catalog, measure: Measure) -> Timeline | None:
    """The drawn iterations of all variants, the steps of a staged pair among them; None if none has one."""
    drawn = [pair for pair in map(_drawn, evidence.variants) if pair]
    if not drawn:
        return None
    axis = measure.axis(max(_length(variant, iteration) for variant, iteration in drawn))
    layout = _Layout(evidence, say, measure, axis)
    tracks = tuple(layout.tracks(drawn))
    kinds = {op.kind for variant, _ in drawn for op in variant.timeline}
    return Timeline(
        width=measure.width,
        height=tracks[-1].bottom + _FOOT,
        axis=axis,
        ticks=axis.ticks(measure.most_ticks),
        tracks=tracks,
        kinds=tuple(sorted(kinds, key=lambda kind: (_KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind))),
        marks=layout.marks,
        merged=layout.merge,
        rule=say(_RULES[layout.rule]) if layout.rule else "",
        head=layout.head,
        sentence=" ".join(_in_words(track, say) for track in tracks),
    )


_KINDS = ("compute", "graph", "h2d", "d2h", "comm", "d2d", "p2p", "memset")


def _drawn(variant: VariantEvidence) -> tuple[VariantEvidence, Iteration] | None:
    if variant.median_index is None or not variant.iterations or not variant.timeline:
        return None
    return variant, variant.iterations[variant.median_index]


def _length(variant: VariantEvidence, iteration: Iteration) -> int:
    return max(iteration.end, *(op.end for op in variant.timeline)) - iteration.start


class _Layout:
    """Places the tracks of one picture, one under the other."""

    def __init__(self, evidence: Evidence, say: Catalog, measure: Measure, axis: Axis) -> None:
        shown = [variant.timeline for variant in evidence.variants if _drawn(variant)]
        self.say, self.measure, self.axis = say, measure, axis
        self.captions = evidence.manifest.declaration.variants
        self.marks = sum(map(len, shown))
        self.merge = self.marks > MOST_MARKS
        self.several = len({op.device for ops in shown for op in ops}) > 1
        self.rule, self.patterns = patterns(shown)
        self.head, self.gap = _LOOSE if len(shown) <= _FEW else _DENSE
        groups = [one for track in self.patterns for one in track]
        full = sum(len(one.streams) - one.folded for one in groups)
        taken = len(shown) * (self.head + self.gap) + sum(_squeezed(one.folded) * one.folded for one in groups)
        self.pitch = round(min(_TALL, max(_FLAT, (_ROOM - taken) / full)), 2)

    def tracks(self, drawn: Sequence[tuple[VariantEvidence, Iteration]]) -> Iterator[Track]:
        y = 0.0
        for (variant, iteration), groups in zip(drawn, self.patterns, strict=True):
            track = self._track(variant, iteration, groups, y)
            yield track
            y = track.bottom + self.gap

    def _track(self, variant: VariantEvidence, iteration: Iteration, groups: Sequence[Pattern], y: float) -> Track:
        label = self.say.get(f"variant.{variant.name}", variant.name)
        caption = self._caption(variant.name, label)
        top = y + self.head + _LINE * (len(caption) - 1)
        lanes, folds, bottom = self._lanes(groups, iteration.start, top)
        return Track(
            name=variant.name,
            label=label,
            caption=caption,
            colour=of_variant(variant.name),
            y=y,
            top=top,
            bottom=bottom,
            origin=iteration.start,
            end=iteration.end,
            end_x=self.axis.x(iteration.end - iteration.start),
            end_label=duration(iteration.end - iteration.start),
            lanes=lanes,
            folds=folds,
        )

    def _caption(self, name: str, label: str) -> tuple[str, ...]:
        """Beside the variant's name, and in lines of its own where it is longer."""
        left = self.measure.left if self.measure.left + self.measure.width > _NARROW else 0.0
        wide = self.measure.width - left
        text = self.say.of(self.captions.get(name, {"en": ""}))
        return wrapped(text, wide - 1.15 * width(label, _SIZE) - 10, wide, _SIZE, _MOST_LINES)

    def _lanes(
        self, groups: Sequence[Pattern], origin: int, y: float
    ) -> tuple[tuple[Lane, ...], tuple[Fold, ...], float]:
        """The lanes of a track and its folds from `y` downwards, and where they end."""
        lanes: list[Lane] = []
        folds: list[Fold] = []
        for group in groups:
            squeezed = _squeezed(group.folded)
            for place, one in enumerate(group.streams):
                inside = 0 < place <= group.folded
                if inside and place == 1:
                    label = self.say("why.more_alike", n=group.folded)
                    folds.append(Fold(label, len(lanes), group.folded, round(y, 2), round(squeezed * group.folded, 2)))
                pitch = squeezed if inside else self.pitch
                lanes.append(self._lane(one, Box(self.axis, origin, round(y, 2), round(pitch * 0.8, 2)), not inside))
                y += pitch
        return tuple(lanes), tuple(folds), round(y, 2)

    def _lane(self, one: tuple[Stream, Ops], box: Box, labelled: bool) -> Lane:
        (device, stream), ops = one
        key = "why.lane_of_device" if self.several else "why.lane"
        name = self.say(key, device=device, stream=stream)
        return Lane(name if labelled else "", name, box.y, box.height, ops, bands(ops, box, self.merge))


def _squeezed(count: int) -> float:
    """The height of a lane inside a fold of so many, with the gap under it."""
    return min(_SQUEEZED, max(_THIN, _FOLD / count)) if count else 0.0


def _in_words(track: Track, say: Catalog) -> str:
    ops = [op for lane in track.lanes for op in lane.ops]
    return say("why.sentence", variant=track.label, n=len(ops), streams=len(track.lanes), duration=track.end_label)


def swatch(kind: str) -> tuple[str, float, float]:
    """A kind's colour name, and the top and height (0 … 1) of its mark in a lane: for the legend."""
    top, bottom = extent(kind)
    return of_kind(kind), top, bottom - top
