"""The page of a run as its template needs it: all words and numbers written out, all pictures laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from ...profiler.ranks.run import Run
from ...profiler.ranks.summary import RankRow, RunSummary, summary
from ..catalog import Catalog, FindingText
from ..units import NOTHING, duration, percent
from .picture import Picture, picture

WORST = 10
BAR = 190.0


@dataclass(frozen=True, slots=True)
class Whisker:
    """A bar up to the lower bound and a line on to the upper one, as shares of the longest; `text` says both."""

    solid: float
    until: float
    text: str


@dataclass(frozen=True, slots=True)
class RankLine:
    """One rank in the table."""

    name: str
    note: str
    comm: str
    wait: Whisker
    late: Whisker
    last: str
    busy: str
    hidden: str
    exposed: str


@dataclass(frozen=True, slots=True)
class ClockLine:
    """A rank's clock against the one that it is compared with."""

    name: str
    of: str
    ahead: str
    wide: str


@dataclass(frozen=True, slots=True)
class RanksPage:
    """Everything that the page says."""

    title: str
    headline: str
    kicker: str
    tone: str
    verdict: str
    lead: tuple[str, ...]
    findings: tuple[FindingText, ...]
    picture: Picture | None
    lines: tuple[RankLine, ...]
    more: str
    clocks: tuple[ClockLine, ...]
    clocks_line: str
    commands: tuple[str, ...]


def ranks_page(run: Run, say: Catalog, named: Sequence[str]) -> RanksPage:
    """Lay out the page; `named` are the traces as the user named them."""
    answer = summary(run)
    chosen, more = _chosen(answer, say)
    most_waited = max((one.wait_high for one, _ in chosen), default=0)
    most_late = max((one.late_high for one, _ in chosen), default=0)
    headline = _headline(answer, say)
    kicker = say("ranks.kicker", ranks=f"{len(answer.ranks):,}", traces=f"{answer.files:,}")
    return RanksPage(
        title=f"{kicker}: {headline}",
        headline=headline,
        kicker=kicker,
        tone="proven" if answer.whole else "unproven",
        verdict=say("ranks.whole" if answer.whole else "ranks.partial"),
        lead=tuple(_lead(answer, say)),
        findings=tuple(say.finding(one) for one in answer.findings),
        picture=picture(run, say),
        lines=tuple(_line(one, note, most_waited, most_late) for one, note in chosen),
        more=more,
        clocks=tuple(_clocks(answer)),
        clocks_line=_clocks_line(answer, say),
        commands=tuple(
            f"aisp-prof ranks {word} {' '.join(_quoted(one) for one in named)}" for word in ("summary", "collectives")
        ),
    )


def _quoted(text: str) -> str:
    return f"'{text}'"


def between(low: int, high: int) -> str:
    return duration(low) if low == high else f"{duration(low)} … {duration(high)}"


def _headline(answer: RunSummary, say: Catalog) -> str:
    if not answer.latest:
        return say("ranks.headline.none")
    row = next(one for one in answer.ranks if one.name == answer.latest)
    name = f"{row.name[:1].upper()}{row.name[1:]}"
    if not row.late_low:
        return say("ranks.headline.least", rank=name)
    key = "ranks.headline.proven" if answer.latest_proven else "ranks.headline.likely"
    return say(key, rank=name, ns=duration(row.late_low))


def _lead(answer: RunSummary, say: Catalog) -> list[str]:
    sums = answer.collectives
    waited = sum(one.wait_low for one in answer.ranks), sum(one.wait_high for one in answer.ranks)
    whole = sum(one.comm for one in answer.ranks)
    counts = {"matched": f"{sums.matched:,}", "groups": f"{sums.communicators:,}"}
    told = [say("ranks.lead.matched", **counts, left=f"{sums.left:,}", two=f"{sums.between_two:,}")]
    if whole:
        told.append(say("ranks.lead.waited", low=duration(waited[0]), high=duration(waited[1]), comm=duration(whole)))
    return told


def _chosen(answer: RunSummary, say: Catalog) -> tuple[list[tuple[RankRow, str]], str]:
    """The worst ten and the median, the worst first: those that held the others up, then those that waited longest."""
    first = answer.latest
    ordered = sorted(answer.ranks, key=lambda one: (one.name != first, -one.late_low, -one.wait_low, one.name))
    if len(ordered) <= WORST + 1:
        return [(one, "") for one in ordered], ""
    middle = median_low(one.wait_low for one in answer.ranks)
    typical = next(one for one in answer.ranks if one.wait_low == middle)
    shown = [(one, "") for one in ordered[:WORST]]
    if typical.name not in {one.name for one, _ in shown}:
        shown.append((typical, say("ranks.median")))
    return shown, say("ranks.more", n=f"{len(ordered) - len(shown):,}")


def _line(one: RankRow, note: str, most_waited: int, most_late: int) -> RankLine:
    hidden = one.comm_hidden
    return RankLine(
        name=one.name,
        note=note,
        comm=duration(one.comm),
        wait=_whisker(one.wait_low, one.wait_high, most_waited),
        late=_whisker(one.late_low, one.late_high, most_late),
        last=f"{one.came_last:,} ({one.came_last_proven:,})",
        busy=duration(one.busy),
        hidden=percent(hidden / one.comm_time) if hidden is not None and one.comm_time else NOTHING,
        exposed=NOTHING if one.comm_exposed is None else duration(one.comm_exposed),
    )


def _whisker(low: int, high: int, most: int) -> Whisker:
    solid, until = (round(BAR * ns / most, 2) if most else 0.0 for ns in (low, high))
    return Whisker(solid, until, between(low, high))


def _clocks(answer: RunSummary) -> list[ClockLine]:
    """The widest intervals."""
    known = [one for one in answer.ranks if one.clock_low is not None and one.clock_of not in ("", one.name)]
    widest = sorted(known, key=lambda one: (-((one.clock_high or 0) - (one.clock_low or 0)), one.name))
    return [
        ClockLine(
            one.name,
            one.clock_of,
            between(one.clock_low or 0, one.clock_high or 0),
            duration((one.clock_high or 0) - (one.clock_low or 0)),
        )
        for one in widest[:WORST]
    ]


def _clocks_line(answer: RunSummary, say: Catalog) -> str:
    if answer.clock_error is None:
        return say("ranks.clocks.unknown")
    return say("ranks.clocks.known", ns=duration(answer.clock_error))
