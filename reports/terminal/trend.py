"""How pairs developed over their captures, for a terminal: a table, and a bar for each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...profiler.expect.derive import SETTLED
from ...profiler.expect.trend import SERIES, Moment, Point
from ..hostile import visible
from ..units import NOTHING, percent, quantity
from .console import MARKS
from .tables import table

WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"
HEAD = ("captured (UTC)", "on", "verdict", "baseline", "optimized", "speedup", "")


def trend_lines(every: Mapping[str, Sequence[Moment]]) -> list[str]:
    """For each pair a table and a chart of its iteration times."""
    lines: list[str] = []
    for pair, moments in every.items():
        count = f"{len(moments)} capture{'' if len(moments) == 1 else 's'}"
        lines += [*([""] if lines else []), f"{pair}: {count}", *_table(moments), "", *_chart(moments)]
    marked = f"◀ marks a 95% interval, widened by the noise floor, more than {percent(SETTLED)} from the median since the last mark"
    return [*lines, "", marked]


def refused_lines(why: Sequence[str]) -> list[str]:
    """One line per folder that is not a readable capture."""
    return [visible(f"REFUSED  {one}") for one in why]


def _table(moments: Sequence[Moment]) -> list[str]:
    rows = [
        (
            _when(one),
            visible(one.hardware_key),
            f"{MARKS[one.verdict]} {one.verdict}",
            *(_number(one.series.get(name), "x" if name == "speedup" else "ns") for name in SERIES),
            "; ".join((*_changes(one), *(f"≠ {difference}" for difference in one.context))),
        )
        for one in moments
    ]
    return table(HEAD, [[visible(cell) for cell in row] for row in rows], left=len(HEAD))


def _when(one: Moment) -> str:
    return visible(one.created_utc[:16].replace("T", " "))


def _number(point: Point | None, unit: str) -> str:
    if point is None:
        return NOTHING
    one = point.measured
    bare = " by events" if point.tier == "events" else ""
    return f"{quantity(one.value, unit)} [{quantity(one.low, unit)}, {quantity(one.high, unit)}]{bare}"


def _changes(one: Moment) -> list[str]:
    return [f"◀ {name} {_signed(p.change)}" for name, p in one.series.items() if p.change is not None]


def _signed(change: float) -> str:
    return f"{'+' if change > 0 else ''}{percent(change)}"


def _chart(moments: Sequence[Moment]) -> list[str]:
    """A bar for each iteration time, both variants on one scale."""
    named = [(one, name, one.series[name]) for name in SERIES[:2] for one in moments if name in one.series]
    longest = max((point.measured.value for _, _, point in named), default=0.0)
    return [
        f"{name:<9}  {_when(one)}  {bar(point.measured.value / longest)} {quantity(point.measured.value, 'ns')}"
        f"{'' if point.change is None else f'  ◀ {_signed(point.change)}'}"
        for one, name, point in named
        if longest
    ]


def bar(share: float) -> str:
    """A bar of `WIDTH` cells for 1, drawn to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * WIDTH * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(WIDTH)
