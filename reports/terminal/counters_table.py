"""Counters of kernel launches, and measured ceilings, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...profiler.counters.rows import CounterRow
from ..hostile import visible
from ..units import NOTHING, fixed
from .tables import count, more, name, size, table, time

_SCALES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def counter_lines(rows: Sequence[CounterRow], limit: int) -> list[str]:
    """One line per launch, then what the report lacks."""
    shown = rows[:limit] if limit else rows
    head = ("kernel", "grid", "block", "under ncu", "FLOP", "of type", "DRAM", "FLOP/B", "tensor", "range")
    lines = table(head, [_cells(row) for row in shown], left=1)
    return [*lines, *more(len(shown), len(rows)), *notes(rows)]


def _cells(row: CounterRow) -> tuple[str, ...]:
    return (
        name(row.name),
        _dim(row.grid),
        _dim(row.block),
        time(row.duration_ns),
        NOTHING if row.flops is None else scaled(row.flops, ""),
        ", ".join(sorted(row.flops_by_type, key=lambda kind: -row.flops_by_type[kind])) or NOTHING,
        NOTHING if row.dram_bytes is None else size(row.dram_bytes),
        NOTHING if row.arithmetic_intensity is None else fixed(row.arithmetic_intensity, 2),
        NOTHING if row.tensor_active_pct is None else f"{fixed(row.tensor_active_pct, 1)}%",
        "/".join(visible(one.name) for one in row.nvtx if one.kind == "push_pop") or NOTHING,
    )


def _dim(dim: tuple[int, int, int]) -> str:
    """Dimensions without trailing ones: 128, 2x64."""
    x, y, z = dim
    return f"{x}x{y}x{z}" if z > 1 else f"{x}x{y}" if y > 1 else str(x)


def scaled(value: float, unit: str) -> str:
    """A number in a decimal unit with four digits: 786.2 TFLOP/s."""
    for limit, prefix in _SCALES:
        if abs(value) >= limit:
            return f"{value / limit:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}".rstrip()


def notes(rows: Sequence[CounterRow]) -> list[str]:
    """What is unknown, once for every set of metrics that would tell, and what is known from rates."""
    if not rows:
        return ["the report holds no kernel launch"]
    launches: dict[tuple[str, ...], int] = {}
    for row in rows:
        if row.lacking:
            launches[row.lacking] = launches.get(row.lacking, 0) + 1
    derived = [row for row in rows if row.derived]
    told = ", ".join(map(visible, dict.fromkeys(metric for row in derived for metric in row.derived)))
    marked = [f"derived from rates of {count(len(derived))} of {count(len(rows))} launches: {told}"] if derived else []
    return marked + [
        f"not known of {count(number)} of {count(len(rows))} launches, for the report lacks {', '.join(map(visible, what))}"
        for what, number in launches.items()
    ]


def ceiling_lines(result: Mapping[str, Any]) -> list[str]:
    """One line per ceiling, and for every type the counted against the declared FLOP."""
    rows = []
    for one in result["ceilings"]:
        unit = one["unit"].replace("byte", "B").replace("flop", "FLOP")
        spread = f"{scaled(one['p5'], unit)} to {scaled(one['p95'], unit)}"
        rows.append((one["name"], scaled(one["value"], unit), str(one["n"]), spread, _clock(one), one["what"]))
    lines = table(("ceiling", "median", "n", "5th to 95th percentile", "SM clock", "of"), rows)
    lines += [f"{one['name']}: not measured, {one['reason']}" for one in result["unsupported"]]
    return lines + _calibration(result["calibration"])


def _clock(one: Mapping[str, Any]) -> str:
    return NOTHING if one.get("sm_mhz") is None else f"{one['sm_mhz']:.0f} MHz"


def _calibration(calibration: Mapping[str, Any]) -> list[str]:
    if calibration["reason"]:
        return [
            "",
            f"FLOP counters not checked: {visible(calibration['reason'])}",
            f"  → {visible(calibration['mend'])}",
        ]
    rows = [
        (
            one["type"],
            count(one["counted"]),
            count(one["declared"]),
            NOTHING if one["ratio"] is None else f"{one['ratio']:.4f}",
            "yes" if one["ok"] else "NO",
        )
        for one in calibration["rows"]
    ]
    return ["", *table(("matrix product", "FLOP counted", "declared", "ratio", "within 1%"), rows)]
