"""What GitHub Actions reads in a job's log: annotations for claims that do not hold, and nothing that a trace could
smuggle in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ...profiler.assertions.check import Answer, Checked
from ...profiler.assertions.places import Place
from ...profiler.evidence import Verdict
from ..catalog import catalog
from ..hostile import visible
from ..terminal.assertion import details, measured

SHOWN = 10
"""How many errors of one step GitHub shows; it drops the rest."""


def errors(answer: Answer, trace: str, places: Mapping[str, Place]) -> list[str]:
    """An error for each claim that is not proven, at the line of the claims file that makes it, else at the trace.

    The worst come first; if there are more than `SHOWN`, the last one says how many others there are.
    """
    failed = sorted(
        (one for one in answer.claims if one.claim.verdict is not Verdict.PROVEN), key=_badness, reverse=True
    )
    shown = failed if len(failed) <= SHOWN else failed[: SHOWN - 1]
    lines = [_command(one, places.get(one.claim.text, Place(trace))) for one in shown]
    return lines if shown is failed else [*lines, _rest(failed[SHOWN - 1 :], trace)]


def _badness(one: Checked) -> tuple[int, float]:
    """By verdict, then by how far the measured value lies from the threshold, as a share of it; unmeasured ones first."""
    claim = one.claim
    far = float("inf")
    if claim.measured is not None and claim.threshold is not None:
        far = abs(claim.measured - claim.threshold) / (abs(claim.threshold) or 1.0)
    return list(Verdict).index(claim.verdict), far


def _rest(rest: list[Checked], trace: str) -> str:
    counts = Counter(one.claim.verdict.value for one in rest)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    message = f"{told}: the job's log and summary name them; GitHub shows {SHOWN} errors of a step."
    title = f"and {len(rest)} more claims that do not hold"
    return f"::error file={_property(trace)},title={_property(title)}::{_data(message)}"


def _command(one: Checked, place: Place) -> str:
    title = f"{one.claim.verdict}: {one.claim.text}"
    values = {"file": place.file, "line": place.line, "title": title}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in values.items() if value is not None)
    message = [visible(line) for line in (measured(one, catalog("en")), *details(one, catalog("en")))]
    return f"::error {properties}::{_data(chr(10).join(message))}"


def _data(text: str) -> str:
    """Escaped as GitHub's toolkit escapes a command's message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(visible(text)).replace(":", "%3A").replace(",", "%2C")
