"""The page of a sweep as its template needs it: all words and numbers written out, the picture laid out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...profiler.queries.scaling import Growth, Scaling
from ..catalog import Catalog
from ..terminal.scaling_lines import as_rate, in_ps
from ..units import NOTHING, duration, fixed, percent, scaled
from .chart import Chart, chart


@dataclass(frozen=True, slots=True)
class FitRow:
    """What was fitted to one variant."""

    variant: str
    linear: str
    square: str
    rate: str
    even_at: str
    spread: str


@dataclass(frozen=True, slots=True)
class SizeRow:
    """One variant at one size."""

    variant: str
    size: str
    n: str
    median: str
    interval: str
    fitted: str
    residual: str
    share: str
    rate: str


@dataclass(frozen=True, slots=True)
class ScalingPage:
    """Everything that the page says."""

    title: str
    kicker: str
    kind: str
    headline: str
    lead: str
    chart: Chart
    fits: tuple[FitRow, ...]
    sizes: tuple[SizeRow, ...]
    over: str
    command: str


def scaling_page(found: Scaling, stored: Path | None, say: Catalog) -> ScalingPage:
    """Lay the page out; `stored` is the file of all runs, where there is one."""
    last = found.growths[-1]
    name, gpu = say.get(f"variant.{last.variant}", last.variant), str((found.gpu or {}).get("name") or "CPU")
    if last.rate is None:
        headline = say("scaling.headline.none", over=found.over, variant=name)
    else:
        headline = say("scaling.headline.rate", variant=name, rate=scaled(last.rate.value, "FLOP/s"), over=found.over)
    return ScalingPage(
        title=f"{found.pair}: {headline}",
        kicker=found.pair,
        kind=f"{say('scaling.kind')}, {gpu}",
        headline=headline,
        lead=say("scaling.lead", over=found.over, per=found.per),
        chart=chart(found, say),
        fits=tuple(_fit(one, say) for one in found.growths),
        sizes=tuple(row for one in found.growths for row in _sizes(one, say)),
        over=found.over,
        command=f"aisp-prof bench scaling{'' if stored is None else f' {stored.name}'}",
    )


def _fit(one: Growth, say: Catalog) -> FitRow:
    return FitRow(
        variant=say.get(f"variant.{one.variant}", one.variant),
        linear=in_ps(one.linear),
        square=in_ps(one.square),
        rate=as_rate(one.rate),
        even_at=NOTHING if one.even_at is None else fixed(one.even_at, 0),
        spread=percent(one.spread),
    )


def _sizes(one: Growth, say: Catalog) -> list[SizeRow]:
    return [
        SizeRow(
            variant=say.get(f"variant.{one.variant}", one.variant),
            size=fixed(point.size, 0),
            n=str(point.n),
            median=duration(point.median_ns),
            interval=f"{duration(point.low_ns)} … {duration(point.high_ns)}",
            fitted=duration(point.fitted_ns),
            residual=percent(point.residual),
            share=percent(point.square / point.fitted_ns) if point.fitted_ns > 0 else NOTHING,
            rate=scaled(point.rate, "FLOP/s") if point.flops else NOTHING,
        )
        for point in one.points
    ]
