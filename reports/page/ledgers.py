"""Two ledgers that must close: where the time saved came from, and which call every operation belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from ...profiler.evidence import Evidence
from ..catalog import Catalog
from ..units import decimals, fixed, sensible
from .bars import Change, Rule, change, rules, signed_time
from .strips import times_of


@dataclass(frozen=True, slots=True)
class GainRow:
    """One step from the baseline's iteration to the optimized one's."""

    code: str
    label: str
    note: str
    ms: str
    bar: Change


@dataclass(frozen=True, slots=True)
class GainLedger:
    """`first` and `last` are the two iterations; `closes` when the steps between sum to the stated total. `rules`: the bars' axis,
    in ms from 0."""

    first: GainRow
    steps: tuple[GainRow, ...]
    last: GainRow
    total: str
    closes: bool
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class LaunchLedger:
    """`rows`: a name, then its whole and its parts in the order of `PARTS`. `calls`: the other counts, in words."""

    rows: tuple[tuple[str, ...], ...]
    calls: str


_ONLY_IF_ANY = frozenset({"comm", "memset", "graph"})
PARTS = ("one_by_one", "in_graphs", "unmatched")
_ALWAYS = frozenset({"unmatched_calls", "failed_calls"})
_SPLIT = ("kernels", "copies", "memsets")


def gain_ledger(evidence: Evidence, say: Catalog) -> GainLedger | None:
    """The measured difference, term by term; None if there is no difference to explain."""
    times = times_of(evidence.baseline)
    if not evidence.gain or not times:
        return None
    whole = round(median(times))
    terms = [term for term in evidence.gain if term.code != "total" and (term.ns or term.code not in _ONLY_IF_ANY)]
    total = next((term.ns for term in evidence.gain if term.code == "total"), sum(term.ns for term in terms))
    heights = [whole]
    for term in terms:
        heights.append(heights[-1] - term.ns)
    scale = max(1, *heights)
    places = decimals(whole / 1e6)
    steps = tuple(
        _row(term.code, say, signed_time(-term.ns, places), change(heights[index], heights[index + 1], scale))
        for index, term in enumerate(terms)
    )
    return GainLedger(
        first=_row("first", say, fixed(whole / 1e6, places), change(0, whole, scale)),
        steps=steps,
        last=_row("last", say, fixed((whole - total) / 1e6, places), change(0, whole - total, scale)),
        total=signed_time(-total, places),
        closes=sum(term.ns for term in terms) == total,
        rules=rules(scale / 1e6, 5),
    )


def _row(code: str, say: Catalog, ms: str, bar: Change) -> GainRow:
    label, note = say.get(f"gain.{code}.label", code), say.get(f"gain.{code}.note", "")
    return GainRow(code, label, note, ms, bar)


def launch_ledger(evidence: Evidence, say: Catalog) -> LaunchLedger | None:
    """The whole trace's launch ledger; a line that only a newer version knows is shown by its code."""
    counts = {line.code: sensible(line.count) for line in evidence.ledger}
    if not counts:
        return None
    shown = [name for name in _SPLIT if all(code in counts for code in (name, *_codes(name)))]
    rows = tuple((say(f"ledger.{name}"), counts[name], *(counts[code] for code in _codes(name))) for name in shown)
    taken = {code for name in shown for code in (name, *_codes(name))}
    others = [
        say("ledger.count", label=say.get(f"ledger.code.{code}", code), count=count)
        for code, count in counts.items()
        if code not in taken and (count != "0" or code in _ALWAYS)
    ]
    return LaunchLedger(rows, say("ledger.calls", listed=", ".join(others)) if others else "")


def _codes(name: str) -> list[str]:
    return [f"{name}_{part}" for part in PARTS]
