"""How times grow with a size, for a terminal: a fit a variant, every size as a row, and rates as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...profiler.queries.scaling import Growth, Measured, Scaling, Term
from ..hostile import visible
from ..units import NOTHING, SCALES, decimals, duration, fixed, percent, scaled
from .tables import table
from .trend import bar


def scaling_lines(found: Scaling) -> list[str]:
    """The fits, a table of all sizes, and a bar for each rate."""
    over, one = visible(found.over), visible(found.per)
    head = ("variant", f"a, for each {over}", f"b, for {over}²", "rate it nears", "a = b at", "off by, sd")
    gpu = (found.gpu or {}).get("name")
    return [
        f"{visible(found.pair)} over {over}, divided by {one}{f', on {visible(str(gpu))}' if gpu else ''}",
        f"time = a·{over} + b·{over}²; 95% intervals from what the fit is off by",
        "",
        *table(head, [_fit(growth) for growth in found.growths]),
        "",
        *_sizes(found),
        "",
        *_bars(found.growths),
    ]


def scaling_data(found: Scaling) -> dict[str, Any]:
    """The same as plain JSON types (docs/json.md)."""
    from dataclasses import asdict

    data = asdict(found)
    for growth, row in zip(found.growths, data["growths"], strict=True):
        for point, cells in zip(growth.points, row["points"], strict=True):
            cells["rate"] = point.rate if point.flops else None
    return data


def in_ps(term: Term) -> str:
    """A fitted number of nanoseconds with its interval, in picoseconds, of which a square has few."""
    return _ends(term, 1e-3, "ps")


def as_rate(term: Term | None) -> str:
    """A fitted rate with its interval."""
    if term is None:
        return NOTHING
    limit, prefix = next(pair for pair in SCALES if term.value >= pair[0] or pair[0] == 1.0)
    return _ends(term, limit, f"{prefix}FLOP/s")


def _ends(term: Term, unit: float, name: str) -> str:
    """With the unit once, and no more decimals than the interval's width makes sense of."""
    value, low, high = (number / unit for number in (term.value, term.low, term.high))
    places = max(0, decimals(high - low) - 1) if high > low else decimals(value)
    return f"{fixed(value, places)} [{fixed(low, places)}, {fixed(high, places)}]\u00a0{name}"


def _fit(growth: Growth) -> Sequence[str]:
    even = NOTHING if growth.even_at is None else fixed(growth.even_at, 0)
    return (
        visible(growth.variant),
        in_ps(growth.linear),
        in_ps(growth.square),
        as_rate(growth.rate),
        even,
        percent(growth.spread),
    )


def _sizes(found: Scaling) -> list[str]:
    head = (
        "variant",
        visible(found.over),
        "n",
        "median",
        "95% interval",
        "fitted",
        "off by",
        "part of b",
        "rate",
    )
    rows = [_row(growth, point) for growth in found.growths for point in growth.points]
    return table(head, rows)


def _row(growth: Growth, point: Measured) -> Sequence[str]:
    return (
        visible(growth.variant),
        fixed(point.size, 0),
        str(point.n),
        duration(point.median_ns),
        f"{duration(point.low_ns)} … {duration(point.high_ns)}",
        duration(point.fitted_ns),
        percent(point.residual),
        percent(point.square / point.fitted_ns) if point.fitted_ns > 0 else NOTHING,
        scaled(point.rate, "FLOP/s") if point.flops else NOTHING,
    )


def _bars(growths: Sequence[Growth]) -> list[str]:
    """A bar for each rate, all on one scale; sizes from the smallest, and the variants of one beside each other."""
    points = [(point.size, growth.variant, point.rate) for growth in growths for point in growth.points if point.flops]
    most = max((rate for _, _, rate in points), default=0.0)
    wide = max((len(visible(name)) for _, name, _ in points), default=0)
    order = {growth.variant: place for place, growth in enumerate(growths)}
    return [
        f"{fixed(size, 0):>8}  {visible(name):<{wide}}  {bar(rate / most)} {scaled(rate, 'FLOP/s')}"
        for size, name, rate in sorted(points, key=lambda one: (one[0], order[one[1]]))
    ]
