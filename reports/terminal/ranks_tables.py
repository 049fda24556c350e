"""The answers of `aisp-prof ranks …` as lines for a terminal, and as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...profiler.evidence import Finding
from ...profiler.ranks.summary import RankRow, RunSummary
from ..catalog import catalog
from ..hostile import visible
from ..units import NOTHING
from .tables import count, more, name, share, table, time

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def plain(answer: DataclassInstance) -> dict[str, Any]:
    """The answer as plain JSON types (docs/json.md)."""
    return asdict(answer)


def _many(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def between(low: int | None, high: int | None) -> str:
    """Two bounds with their unit; what is known exactly once."""
    if low is None or high is None:
        return f"≥ {time(low)}" if low is not None else NOTHING
    return time(low) if low == high else f"{time(low)} … {time(high)}"


def summary_lines(answer: RunSummary, limit: int) -> list[str]:
    """What the rest is worth comes first, then a line a rank: those that waited least, of whom the others may have waited for, on
    top where not all are shown."""
    found = answer.collectives
    lines = [
        f"{_many(len(answer.ranks), 'rank')} of {_many(answer.files, 'trace')}; {_many(found.matched, 'collective')} of "
        + f"{_many(found.communicators, 'communicator')} matched, {_many(found.left, 'kernel')} left, "
        + f"{count(found.between_two)} that send or receive",
        *finding_lines(answer.findings),
        _latest(answer),
        f"transferred {between(found.transfer_low, found.transfer_high)}; clocks are known to ± {time(answer.clock_error)}",
        "",
    ]
    shown = _shown(answer.ranks, limit)
    return [visible(line) for line in [*lines, *_table(shown), *more(len(shown), len(answer.ranks))]]


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Each finding in a sentence, with its mend."""
    say = catalog("en")
    told = [say.finding(one) for one in findings]
    return [f"  {one.seen}" + (f" → {one.mend}" if one.mend else "") for one in told]


def _latest(answer: RunSummary) -> str:
    if not answer.latest:
        return "held the others up: no rank that can be told"
    row = next(one for one in answer.ranks if one.name == answer.latest)
    sure = "proven" if answer.latest_proven else "likely; others may have more"
    return f"held the others up most: {row.name}, by {between(row.late_low, row.late_high)} ({sure})"


def _shown(ranks: Sequence[RankRow], limit: int) -> Sequence[RankRow]:
    if not 0 < limit < len(ranks):
        return ranks
    return sorted(ranks, key=lambda one: (-one.late_low, one.wait_low))[:limit]


_HEAD = (
    *("rank", "communication", "waited", "late by", "came last (proven)", "busy", "idle", "hidden", "exposed"),
    "clock ahead by",
)


def _table(ranks: Sequence[RankRow]) -> list[str]:
    rows = [
        (
            name(one.name + (" (another run)" if one.another_run else "")),
            time(one.comm),
            between(one.wait_low, one.wait_high),
            between(one.late_low, one.late_high),
            f"{count(one.came_last)} ({count(one.came_last_proven)})",
            time(one.busy),
            time(one.idle),
            share(one.comm_hidden / one.comm_time if one.comm_hidden is not None and one.comm_time else None),
            time(one.comm_exposed),
            between(one.clock_low, one.clock_high),
        )
        for one in ranks
    ]
    return table(_HEAD, rows)
