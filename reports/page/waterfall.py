"""A staged pair's steps from the baseline to the optimized variant: what each saved, and how it launches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from ...declaration import VARIANTS
from ...profiler.evidence import Evidence, Step, VariantEvidence
from ...profiler.manifest import Chosen
from ..catalog import Catalog
from ..units import NOTHING, decimals, factor, fixed, sensible
from .bars import Change, Rule, change, rules, signed_time

_COUNTS = ("kernels_per_iteration", "launch_calls_per_iteration", "syncs_per_iteration")


@dataclass(frozen=True, slots=True)
class WaterfallRow:
    """One variant: its median iteration, and what it changed, as a number and as a bar."""

    label: str
    note: str
    ms: str
    change: str
    faster: str
    counts: tuple[str, ...]
    bar: Change


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The baseline, then one row per step, and `about` them. `whole` is the sum of the steps up to the optimized variant, which `title` names so
    where there are others beyond it; `closes` if it equals the measured difference. `rules`: the bars' axis, in ms from 0."""

    rows: tuple[WaterfallRow, ...]
    rules: tuple[Rule, ...]
    about: str
    title: str
    whole: str
    faster: str
    closes: bool


def waterfall(evidence: Evidence, say: Catalog) -> Waterfall | None:
    """None if the pair has no steps, or they cannot be compared."""
    if not evidence.steps or evidence.speedup is None:
        return None
    captions = evidence.manifest.declaration.variants
    first = evidence.speedup.baseline_ns
    heights = list(
        accumulate((step.saved_ns for step in evidence.steps), lambda left, saved: left - saved, initial=first)
    )
    scale, places = max(heights), decimals(first / 1e6)
    variants, chosen = evidence.variants, _chosen(evidence)
    rows = [
        WaterfallRow(
            label=variant.name,
            note=" · ".join([say.of(captions[variant.name]), *_algorithm(chosen.get(variant.name), say)]),
            ms=fixed(height / 1e6, places),
            change="" if step is None else signed_time(-step.saved_ns, places),
            faster="" if step is None else _faster(step, say),
            counts=tuple(_count(variant, name) for name in _COUNTS),
            bar=change(before if step else 0, height, scale),
        )
        for variant, step, height, before in zip(
            variants, (None, *evidence.steps), heights, (first, *heights), strict=False
        )
    ]
    total = sum(step.saved_ns for step in evidence.steps_between)
    return Waterfall(
        rows=tuple(rows),
        rules=rules(scale / 1e6, 3),
        about=say("waterfall.about_to" if evidence.beyond else "waterfall.about", variant=VARIANTS[1]),
        title=say("waterfall.whole_to" if evidence.beyond else "waterfall.whole", variant=VARIANTS[1]),
        whole=signed_time(-total, places),
        faster=say("headline.factor", factor=factor(evidence.speedup.value)),
        closes=total == first - evidence.speedup.optimized_ns,
    )


def _chosen(evidence: Evidence) -> Mapping[str, Chosen]:
    """What a library ran for each variant of the traced run, where that is the pair's subject."""
    traced = evidence.manifest.runs.get("traced")
    return (traced.chosen if traced else None) or {}


def _algorithm(chosen: Chosen | None, say: Catalog) -> list[str]:
    if chosen is None:
        return []
    words = say(
        "waterfall.algorithm",
        algorithm=chosen.algorithm,
        tile=chosen.tile,
        stages=chosen.stages,
        cluster=chosen.cluster,
    )
    place = say("waterfall.candidate", rank=chosen.rank, n=chosen.candidates) if chosen.candidates > 1 else ""
    return [words, *([place] if place else [])]


def _faster(step: Step, say: Catalog) -> str:
    speedup = step.speedup
    if speedup is None:
        return NOTHING
    low, high, value = factor(speedup.low), factor(speedup.high), factor(speedup.value)
    if low == high == value:
        return say("headline.factor", factor=value)
    interval = say("claims.between", low=low, high=high)
    return say("waterfall.faster", factor=value, interval=interval)


def _count(variant: VariantEvidence, name: str) -> str:
    """The median over the iterations; a dash if it is unknown."""
    values = [iteration.numbers[name] for iteration in variant.iterations if name in iteration.numbers]
    return sensible(median(values)) if values else NOTHING
