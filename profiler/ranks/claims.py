"""What may be claimed of a run: what the claim language says of a trace, of every rank or of any; and of the ranks together.

claim   = ["every rank" | "any rank"] (claim of docs/metrics.md | together)
together = ("comm_wait" | "comm_transfer" | "arrival_skew" | "clock_error" | "straggler_spread(METRIC)") comparison number
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ...errors import UsageError
from ..analysis import metrics
from ..judging.language import COMPARISONS, Claim, asked_of, number_of, parse, split_comparison
from ..judging.rate_metrics import RATE_METRICS

COMM_WAIT, COMM_TRANSFER, ARRIVAL_SKEW, CLOCK_ERROR = "comm_wait", "comm_transfer", "arrival_skew", "clock_error"
STRAGGLER_SPREAD = "straggler_spread"
TOGETHER: Mapping[str, str] = {
    COMM_WAIT: "ns",
    COMM_TRANSFER: "ns",
    ARRIVAL_SKEW: "ns",
    CLOCK_ERROR: "ns",
    STRAGGLER_SPREAD: "ratio",
}
"""Metrics of ranks together, with their units."""

_QUANTIFIED = re.compile(r"^\s*(?P<which>every|any)\s+rank\s+(?P<rest>.+)$", re.DOTALL)
_SPREAD = re.compile(rf"^{STRAGGLER_SPREAD}\s*\(\s*(?P<metric>.+?)\s*\)$")
_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class RankClaim:
    """A parsed claim.

    which     "every" or "any" rank
    of_trace  what is claimed of a rank's trace; None of a metric of the ranks together
    metric    the latter, and of straggler_spread the metric of a trace in `argument`
    """

    text: str
    which: str
    of_trace: Claim | None
    metric: str = ""
    argument: str = ""
    comparison: str = ""
    threshold: float = 0.0

    @property
    def unit(self) -> str:
        return self.of_trace.left.unit if self.of_trace else TOGETHER[self.metric]

    def holds(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.threshold)


def parsed(text: str, name: str) -> RankClaim:
    """Read a claim; `name` is what the range, or the whole trace, is called.

    Raises:
        UsageError: what does not fit, with the nearest metric where a name is misspelt.
    """
    match = _QUANTIFIED.match(text)
    which, rest = (match["which"], match["rest"]) if match else ("every", text)
    side = split_comparison(rest)[0] if not re.match(r"\s*(every|any|median|\d)", rest) else ""
    together, _, _ = side.partition("(")
    if together.strip() in TOGETHER:
        return _together(text, rest, which)
    try:
        claim = parse(rest, (name,), name)
    except UsageError as error:
        near = get_close_matches(together.strip(), TOGETHER, 1, 0.6)
        raise UsageError(str(error), f"did you mean {near[0]}?" if near else error.mend) from error
    _refuse_unknown(claim, text)
    return RankClaim(text, which, claim)


def _together(text: str, rest: str, which: str) -> RankClaim:
    side, comparison, right = split_comparison(rest)
    metric, argument = side.strip(), ""
    if spread := _SPREAD.match(metric):
        metric, argument = STRAGGLER_SPREAD, metrics.in_full(spread["metric"])
        metrics.split(argument)
    elif metric not in TOGETHER or metric == STRAGGLER_SPREAD:
        raise UsageError(
            f"claim {text!r}: {metric.partition('(')[0]} of what?", "straggler_spread(busy(compute)) <= 5%"
        )
    threshold = number_of(right, side, TOGETHER[metric], text)
    if which == "any" and metric != COMM_WAIT:
        raise UsageError(f"claim {text!r}: {metric} is of all ranks together", "leave out 'any rank'")
    return RankClaim(text, which, None, metric, argument, comparison, threshold)


def _refuse_unknown(claim: Claim, text: str) -> None:
    """What no trace holds: counters, floors, ceilings, and another variant to be faster than."""
    for term in claim.terms:
        if term.metric in RATE_METRICS or not term.of_trace:
            raise UsageError(
                f"claim {text!r}: of a rank only its trace is known, not {term.metric}",
                "name a metric of docs/metrics.md",
            )


def metrics_of(claims: Sequence[RankClaim], name: str) -> tuple[str, ...]:
    """The metrics of traces that these claims need of each rank."""
    asked = asked_of([one.of_trace for one in claims if one.of_trace], (name,))
    return tuple(dict.fromkeys([*asked, *(one.argument for one in claims if one.argument)]))


def name_of(ranges: Sequence[str]) -> tuple[str, str]:
    """What claims call the range that `--range [NAME=]GLOB` names, and its glob; the whole trace without one.

    Raises:
        UsageError: there are several, or the name is no word.
    """
    if len(ranges) > 1:
        raise UsageError("claims on ranks are on one range", "ask again for another")
    if not ranges:
        return "trace", ""
    name, parted, glob = ranges[0].partition("=")
    if not parted:
        return "range", ranges[0]
    if not _WORD.fullmatch(name.strip()):
        raise UsageError(f"no range may be called {name!r}", "a word names it: --range step='train_step*'")
    return name.strip(), glob
