"""Accepted regressions for a terminal: what may pass instead of what, by whom and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...profiler.expect.accepted import Standing
from ...profiler.expect.model import Acceptance
from ..hostile import visible
from .expectations import bound_text


def accepted_lines(done: Iterable[Acceptance], withdrawn: bool) -> list[str]:
    """One line for each that was accepted, or no longer is."""
    word = "no longer accepted" if withdrawn else "accepted"
    return [visible(f"{word}: {_told(one)}") for one in done]


def accepted_data(done: Iterable[Acceptance]) -> list[dict[str, Any]]:
    """`aisp-prof expect accept --json` (docs/json.md)."""
    return [one.to_json() for one in done]


def standing_lines(every: Mapping[str, Sequence[Standing]]) -> list[str]:
    """What was accepted for each pair, and in which capture it was fixed."""
    lines = []
    for pair, standing in every.items():
        for one in standing:
            since = f"mended in {one.mended}" if one.mended else "not mended yet"
            lines.append(visible(f"accepted of {pair} on {one.hardware_key}: {_told(one.accepted)}; {since}"))
    return ["", *lines] if lines else []


def _told(one: Acceptance) -> str:
    bounds = f"{bound_text(one.bound, one.unit)} in place of {bound_text(one.expected, one.unit)}"
    return f"{one.name} [{one.tier}] {bounds}, shown by {one.capture}, by {one.by} on {one.since}: {one.reason}"
