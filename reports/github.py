"""What GitHub Actions reads in a job's log: annotations of claims that do not hold, and nothing that a trace smuggles in."""

from __future__ import annotations

from collections.abc import Mapping

from ..profiler.evidence import Verdict
from ..profiler.queries.assertions import Answer, Checked
from ..profiler.queries.claims_file import Place
from .assertion import details, measured
from .catalog import catalog
from .hostile import visible


def errors(answer: Answer, trace: str, places: Mapping[str, Place]) -> list[str]:
    """An error for each claim that is not proven, at the line of the claims file that makes it, else at the trace."""
    return [
        _command(one, places.get(one.claim.text, Place(trace, None)))
        for one in answer.claims
        if one.claim.verdict is not Verdict.PROVEN
    ]


def _command(one: Checked, place: Place) -> str:
    title = f"{one.claim.verdict}: {one.claim.text}"
    values = {"file": place.file, "line": place.line, "title": title}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in values.items() if value is not None)
    message = [visible(line) for line in (measured(one), *details(one, catalog("en")))]
    return f"::error {properties}::{_data(chr(10).join(message))}"


def _data(text: str) -> str:
    """As GitHub's toolkit escapes a command's message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(visible(text)).replace(":", "%3A").replace(",", "%2C")
