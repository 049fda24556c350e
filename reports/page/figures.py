"""The numbers of one iteration, side by side: times, rates and counts as medians over the iterations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from ...profiler.evidence import Evidence, Iteration, VariantEvidence
from ..catalog import Catalog
from ..units import NOTHING, column, column_ms, duration, fixed, gbps, scaled, sensible
from .bars import Rule, rules

Number = int | float | None
Reader = Callable[[Iteration], Number]


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One number of both variants; the bars are shares (0 … 1) of the group's whole, None where the value is unknown."""

    label: str
    note: str
    baseline: str
    optimized: str
    bars: tuple[float | None, float | None] | None


@dataclass(frozen=True, slots=True)
class FigureGroup:
    """Rows that share a unit, shown once in the group's header. `rules`: the bars' axis, from 0 in that unit; none without bars."""

    unit: str
    bars: str
    rules: tuple[Rule, ...]
    rows: tuple[FigureRow, ...]


def figure_groups(evidence: Evidence, say: Catalog) -> tuple[FigureGroup, ...]:
    """Times in ms, rates in GB/s and counts; a group without any known value is left out."""
    groups = (_group(evidence, name, readers, say) for name, readers in _GROUPS.items())
    return tuple(group for group in groups if group.rows)


def _named(name: str) -> Reader:
    return lambda iteration: iteration.numbers.get(name)


def _shared(a: str, b: str) -> Reader:
    """How long `a` and `b` are both in flight: given as such, or as hidden(a, b) · busy(a)."""

    def read(iteration: Iteration) -> Number:
        numbers: Mapping[str, int | float] = iteration.numbers
        if f"overlap({a}, {b})" in numbers:
            return numbers[f"overlap({a}, {b})"]
        hidden, busy = numbers.get(f"hidden({a}, {b})"), numbers.get(f"busy({a})")
        return None if hidden is None or busy is None else hidden * busy

    return read


_GROUPS: dict[str, dict[str, Reader]] = {
    "ms": {
        "iteration": lambda iteration: iteration.end - iteration.start,
        "host": lambda iteration: iteration.host_ns,
        "compute": _named("busy(compute)"),
        "h2d": _named("busy(h2d)"),
        "d2h": _named("busy(d2h)"),
        "hidden": _shared("compute", "copy"),
        "both_ways": _shared("h2d", "d2h"),
        "idle": _named("idle"),
    },
    "gbps": {"rate_h2d": _named("rate(h2d)"), "rate_d2h": _named("rate(d2h)")},
    "count": {
        "kernels": _named("kernels_per_iteration"),
        "copies": _named("copies_per_iteration"),
        "launch_calls": _named("launch_calls_per_iteration"),
        "syncs": _named("syncs_per_iteration"),
    },
}


_MAY_BE_ABSENT = frozenset({"h2d", "d2h", "hidden", "both_ways", "copies"})


def _absent(row: str, pair: tuple[Number, Number]) -> bool:
    """Copies that neither variant makes get no row."""
    return row in _MAY_BE_ABSENT and not any(pair)


def _group(evidence: Evidence, name: str, readers: Mapping[str, Reader], say: Catalog) -> FigureGroup:
    medians = {
        row: (_median(evidence.baseline, read), _median(evidence.optimized, read)) for row, read in readers.items()
    }
    known = {row: pair for row, pair in medians.items() if pair != (None, None) and not _absent(row, pair)}
    written = _written(name, [value for pair in known.values() for value in pair])
    whole = _whole(name, known)
    rows = tuple(
        FigureRow(
            label=say(f"numbers.{row}.label"),
            note=say(f"numbers.{row}.note"),
            baseline=written[2 * index],
            optimized=written[2 * index + 1],
            bars=(_share(pair[0], whole), _share(pair[1], whole)) if whole else None,
        )
        for index, (row, pair) in enumerate(known.items())
    )
    return FigureGroup(
        say(f"numbers.unit_{name}"), say(f"numbers.bars_{name}"), rules(whole / _PER.get(name, 1.0), 3), rows
    )


def _median(variant: VariantEvidence, read: Reader) -> Number:
    values = [value for value in map(read, variant.iterations) if value is not None]
    return median(values) if values else None


_PER = {"ms": 1e6, "gbps": 1e9}
"""What a unit of a group is in ns, or in bytes a second."""


def _written(group: str, values: list[Number]) -> list[str]:
    """In the group's unit with one number of decimals; what that would not show has a unit of its own, and nothing is 0."""
    if group == "ms":
        return [_shown(text, value, duration) for text, value in zip(column_ms(values), values, strict=True)]
    if group == "gbps":
        rates = column([None if value is None else gbps(value) for value in values])
        return [_shown(text, value, _rate, _SLOW) for text, value in zip(rates, values, strict=True)]
    return [NOTHING if value is None else sensible(value) for value in values]


_SLOW = 10_000_000
"""Bytes a second below which a rate reads better in MB/s or kB/s."""


def _shown(text: str, value: Number, own: Callable[[float], str], least: float = 0) -> str:
    if not value:
        return text if value is None else fixed(0, 0)
    return text if value >= least and any(digit in text for digit in "123456789") else own(value)


def _rate(value: float) -> str:
    return scaled(value, "B/s")


def _whole(group: str, known: Mapping[str, tuple[Number, Number]]) -> float:
    """What a full bar stands for: the longest time or the highest rate; counts have no bars, nor have rates
    that the unit does not suit."""
    values = [value for pair in known.values() for value in pair if value is not None]
    longest = float(max(values, default=0))
    return 0.0 if group == "count" or (group == "gbps" and longest < _SLOW) else longest


def _share(value: Number, whole: float) -> float | None:
    return None if value is None else round(max(0.0, min(1.0, value / whole)), 4)
