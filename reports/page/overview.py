"""The first page of a stage: what ran where and when, the best and the worst of it, what was not shown, and a row a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...profiler.evidence import Evidence, Finding, Verdict
from ...profiler.expect.check import Checked, Status
from ..catalog import Catalog
from ..units import NOTHING, factor, factors, quantity
from .axis import Measure
from .claims import asked, outcome, speedup_claim, verdict_word
from .doubts import LIMITS_OF_GAIN, told
from .identity import Fact, what_ran
from .strips import StripPlot, strip_plot
from .view import without_times

SMALL: Final = Measure(240, 92, 62, 2)
"""The width of a row's picture, in CSS pixels."""

_MOST_DOUBTS: Final = 6
_NOT_SHOWN: Final = (Status.REGRESSED, Status.UNPROVEN, Status.MISSING, Status.NOT_COMPARABLE, Status.UNQUALIFIED)


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """One pair of a stage."""

    anchor: str
    name: str
    title: str
    verdict: Verdict
    verdict_word: str
    asked: str
    measured: str
    strip: StripPlot | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that was not shown, and the pairs of which it holds as it is said: anchor and name of each. `alike` have the same
    kind of finding with other numbers or another kernel, which need not be milder."""

    text: str
    pairs: tuple[tuple[str, str], ...]
    alike: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """`title` counts verdicts, `summary` is three lines, `more_doubts` how many kinds of doubt only the pairs' pages name."""

    title: str
    facts: tuple[Fact, ...]
    summary: tuple[str, ...]
    doubts: tuple[Doubt, ...]
    more_doubts: int
    rows: tuple[OverviewRow, ...]


def overview(
    evidences: Mapping[str, Evidence],
    expected: Mapping[str, Checked | None],
    say: Catalog,
    missing: Sequence[str] = (),
) -> Overview:
    """Of several pairs by their anchors, in the given order; a row each. Of the `missing` ones there is no evidence."""
    evidences = {anchor: without_times(one) for anchor, one in evidences.items()}
    every = list(evidences.values())
    doubts = [*_doubts(evidences, say), *_unexpected(evidences, expected, say)]
    return Overview(
        title=title(every, say, len(missing)),
        facts=what_ran(every, say),
        summary=tuple(_summary(every, say)),
        doubts=tuple(doubts[:_MOST_DOUBTS]),
        more_doubts=len(doubts[_MOST_DOUBTS:]),
        rows=tuple(_row(anchor, one, say) for anchor, one in evidences.items()),
    )


def title(evidences: Sequence[Evidence], say: Catalog, missing: int = 0) -> str:
    """How many pairs are proven, and beside it each other outcome: no pair that claims no difference counts as a win, and none of
    which there is no evidence is left out."""
    counted = Counter(map(outcome, evidences))
    first = say("overview.title", held=counted.pop(Verdict.PROVEN, 0), all=len(evidences) + missing)
    others = [say(f"overview.also_{name}", n=n) for name, n in sorted(counted.items())]
    return "; ".join([first, *others, *([say("overview.also_missing", n=missing)] if missing else [])])


def _row(anchor: str, evidence: Evidence, say: Catalog) -> OverviewRow:
    claim = speedup_claim(evidence) or next(iter(evidence.claims), None)
    return OverviewRow(
        anchor=anchor,
        name=evidence.manifest.declaration.name,
        title=say.of(evidence.manifest.declaration.title),
        verdict=evidence.verdict,
        verdict_word=verdict_word(evidence, say),
        asked=asked(claim, say) if claim else NOTHING,
        measured=quantity(claim.measured, claim.unit) if claim else NOTHING,
        strip=strip_plot(evidence, say, SMALL, untraced=False),
    )


def _summary(evidences: Sequence[Evidence], say: Catalog) -> Iterator[str]:
    yield _best_and_worst(evidences, say)
    claims = Counter(claim.verdict for one in evidences for claim in one.claims)
    others = [
        say("overview.of_claims", n=n, verdict=say(f"verdict.{name}").lower())
        for name, n in claims.items()
        if name != Verdict.PROVEN
    ]
    yield ", ".join([say("overview.claims", held=claims[Verdict.PROVEN], all=claims.total()), *others]) + "."
    timed = Counter(one.speedup.source for one in evidences if one.speedup)
    whole = sum(one.completeness.status == "complete" for one in evidences)
    yield say("overview.times", trace=timed["trace"], events=timed["events"], whole=whole, all=len(evidences))


def _best_and_worst(evidences: Sequence[Evidence], say: Catalog) -> str:
    """The largest and the smallest speedup of those that claim one and show it; and what is refuted."""
    refuted = [say.of(one.manifest.declaration.title) for one in evidences if one.verdict is Verdict.REFUTED]
    words = [say("overview.refuted", titles=", ".join(refuted))] if refuted else []
    shown = sorted(
        (one for one in evidences if outcome(one) == Verdict.PROVEN and one.speedup), key=_speedup, reverse=True
    )
    ends = {"best": shown[0], "least": shown[-1]} if len(shown) > 1 else {"only": shown[0]} if shown else {}
    words += [_told(f"overview.{name}", one, say) for name, one in ends.items()]
    return " ".join(words or [say("overview.no_speedup")])


def _speedup(evidence: Evidence) -> float:
    return evidence.speedup.value if evidence.speedup else 0.0


def _told(key: str, evidence: Evidence, say: Catalog) -> str:
    if evidence.speedup is None:
        return ""
    low, high = factors(evidence.speedup.low, evidence.speedup.high)
    value = factor(evidence.speedup.value)
    return say(key, title=say.of(evidence.manifest.declaration.title), factor=value, low=low, high=high)


def _doubts(evidences: Mapping[str, Evidence], say: Catalog) -> Iterator[Doubt]:
    """The findings of all pairs by their code, what blocks a conclusion first, then what most pairs have."""
    seen: dict[str, list[tuple[str, Finding]]] = {}
    for anchor, one in evidences.items():
        for finding in (*one.completeness.findings, *one.caveats):
            if finding.code not in LIMITS_OF_GAIN:
                seen.setdefault(finding.code, []).append((anchor, finding))
    ranked = sorted(seen.values(), key=lambda found: (not any(one.blocks for _, one in found), -len(_anchors(found))))
    for found in ranked:
        at, worst = max(found, key=lambda one: _severity(one[1]))
        said = told(worst, evidences[at], say).seen
        so = _anchors((anchor, one) for anchor, one in found if told(one, evidences[anchor], say).seen == said)
        alike = [anchor for anchor in _anchors(found) if anchor not in so]
        yield Doubt(said, tuple(_named(so, evidences)), tuple(_named(alike, evidences)))


def _anchors(found: Iterable[tuple[str, Finding]]) -> list[str]:
    return list(dict.fromkeys(anchor for anchor, _ in found))


def _named(anchors: Iterable[str], evidences: Mapping[str, Evidence]) -> Iterator[tuple[str, str]]:
    return ((anchor, evidences[anchor].manifest.declaration.name) for anchor in anchors)


_WORST: Final[Mapping[str, Callable[[Mapping[str, str | int | float]], float]]] = {
    "two_groups": lambda values: float(values["high_ms"]) / float(values["low_ms"]),
    "clocks_moved": lambda values: float(values["high_mhz"]) - float(values["low_mhz"]),
    "baseline_below_roof": lambda values: -float(values["percent"]),
    "baseline_few_blocks": lambda values: -float(values["blocks"]),
}
"""How bad a finding is, where it is not the per cent that it states."""


def _severity(finding: Finding) -> float:
    """Of several findings of one code the one with the largest number is shown."""
    measure = _WORST.get(finding.code)
    if measure:
        return measure(finding.values)
    value = finding.values.get("percent", finding.values.get("count", 0))
    return float(value) if isinstance(value, int | float) else 0.0


def _unexpected(
    evidences: Mapping[str, Evidence], expected: Mapping[str, Checked | None], say: Catalog
) -> Iterator[Doubt]:
    """Expectations that are not known to hold, by their outcome; and the pairs of which nothing is expected."""
    outcomes: dict[Status, list[str]] = {}
    without = []
    for anchor, one in evidences.items():
        if one.capture_id not in expected or one.manifest.origin:
            continue
        checked = expected[one.capture_id]
        if checked is None:
            without.append(anchor)
        for row in checked.rows if checked else ():
            if row.entry is not None and row.status in _NOT_SHOWN:
                outcomes.setdefault(row.status, []).append(anchor)
    for status in (one for one in _NOT_SHOWN if one in outcomes):
        anchors = outcomes[status]
        text = say("overview.expectations", n=len(anchors), outcome=say(f"outcome.{status.value}"))
        yield Doubt(text, tuple(_named(dict.fromkeys(anchors), evidences)))
    if without:
        yield Doubt(say("overview.nothing_expected"), tuple(_named(without, evidences)))
