"""The answers of `aisp-prof ranks …` as lines for a terminal, and as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...profiler.evidence import Finding
from ...profiler.ranks.collective_rows import CollectiveRow, RunCollectives
from ...profiler.ranks.diff import Change, RankChange, RunDiff
from ...profiler.ranks.judged import JudgedRanks, RanksAnswer
from ...profiler.ranks.summary import RankRow, RunSummary
from ..catalog import catalog
from ..hostile import visible
from ..units import NOTHING, quantity
from .console import MARKS
from .tables import count, more, name, share, size, table, time

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
    if not row.late_low:
        return f"held the others up: likely {row.name}, which waited least ({between(row.wait_low, row.wait_high)})"
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
    if not any(one.steps for one in ranks):
        return table(_HEAD, rows)
    steps = [(count(one.steps), time(one.step_median), time(one.step_longest)) for one in ranks]
    head = (*_HEAD, "steps", "median", "longest")
    return table(head, [(*row, *more_of) for row, more_of in zip(rows, steps, strict=True)])


def collective_lines(answer: RunCollectives, limit: int) -> list[str]:
    """Those with the longest wait on top."""
    shown = sorted(answer.rows, key=lambda one: (-one.waited, one.at))[: limit or None]
    head = (
        *("operation", "communicator", "bytes", "ranks", "shortest", "arrival skew", "came last", "waited most", "by"),
    )
    lines = [
        f"{_many(len(answer.rows), 'collective')} of {_many(answer.ranks, 'rank')}",
        *finding_lines(answer.findings),
        "",
        *table(head, [_collective(one) for one in shown], 2),
        *more(len(shown), len(answer.rows)),
    ]
    return [visible(line) for line in lines]


def _collective(one: CollectiveRow) -> tuple[str, ...]:
    sure = "" if one.last_proven or not one.last else " (likely)"
    return (
        name(one.operation + (f" ({one.detail})" if one.detail else "")),
        name(one.communicator),
        NOTHING if one.bytes is None else size(one.bytes),
        count(one.ranks),
        time(one.shortest),
        between(one.skew_low, one.skew_high),
        name(one.last + sure),
        name(one.waited_most),
        time(one.waited),
    )


def diff_data(answer: RunDiff) -> dict[str, Any]:
    """The answer as plain JSON types, each change with its bounds."""
    data = asdict(answer)
    data["transfer"] |= _bounds(answer.transfer)
    for row, one in zip(data["ranks"], answer.ranks, strict=True):
        for field in _CHANGES:
            change = getattr(one, field)
            row[field] = None if change is None else row[field] | _bounds(change)
    return data


_CHANGES = ("comm", "wait", "late", "busy", "idle", "compute", "exposed")


def _bounds(change: Change) -> dict[str, int | bool]:
    return {"low": change.low, "high": change.high, "proven": change.proven}


def diff_lines(answer: RunDiff, limit: int) -> list[str]:
    """The greatest proven change of waiting on top."""
    shown = sorted(answer.ranks, key=lambda one: (not one.wait.proven, -abs(one.wait.low + one.wait.high)))[
        : limit or None
    ]
    lone = [("only before", answer.only_before), ("only after", answer.only_after)]
    lines = [
        *finding_lines(answer.findings_before),
        *finding_lines(answer.findings_after),
        *(f"{said}: {', '.join(names)}" for said, names in lone if names),
        f"held the others up most: {answer.latest_before or NOTHING} before, {answer.latest_after or NOTHING} after",
        f"transferred {_changed(answer.transfer)}",
        "",
        *table(("rank", *_CHANGES), [_change_row(one) for one in shown]),
        *more(len(shown), len(answer.ranks)),
    ]
    return [visible(line) for line in lines]


def _change_row(one: RankChange) -> tuple[str, ...]:
    return (name(one.name), *(_changed(getattr(one, field)) for field in _CHANGES))


def _changed(change: Change | None) -> str:
    """How much, with a + before what rose; what is not proven in brackets."""
    if change is None:
        return NOTHING
    low, high = (f"{'+' if ns > 0 else ''}{time(ns)}" for ns in (change.low, change.high))
    text = low if change.low == change.high else f"{low} … {high}"
    return text if change.proven or change.low == change.high else f"({text})"


def answer_data(answer: RanksAnswer) -> dict[str, Any]:
    """The answer of `assert --ranks` as plain JSON types."""
    data = asdict(answer)
    for row, one in zip(data["claims"], answer.claims, strict=True):
        row["claim"] = one.claim.to_json()
    return data


def answer_lines(answer: RanksAnswer) -> list[str]:
    """The verdict, then a line a claim with what was measured, and why it is not proven."""
    lines = [f"{answer.verdict.upper()}  {_many(answer.ranks, 'rank')}"]
    say = catalog("en")
    for one in answer.claims:
        lines.append(f"  {MARKS[one.claim.verdict]} {one.claim.text:<58} {_measured(one)}")
        lines += [f"      {say.finding(reason, one.claim.unit).seen}" for reason in one.claim.reasons]
    return [visible(line) for line in [*lines, *finding_lines(answer.findings)]]


def _measured(one: JudgedRanks) -> str:
    claim = one.claim
    if claim.measured is None:
        return "not measured"
    where = f" on {one.rank}" if one.rank and one.ranks > 1 else ""
    if claim.low is None or claim.low == claim.high:
        return quantity(claim.measured, claim.unit, claim.threshold) + where
    low = quantity(claim.low, claim.unit, claim.threshold)
    return (
        f"≥ {low}" if claim.high is None else f"[{low}, {quantity(claim.high, claim.unit, claim.threshold)}]"
    ) + where
