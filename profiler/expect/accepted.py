"""Regressions that somebody accepts with a reason: they fail no check while they get no worse, until they are mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from msgspec import structs

from ...errors import TraceError, UsageError
from ..store.captures import Capture
from .check import Checked, Row, Status, check
from .derive import PROVISIONAL
from .files import changing, hardware_of, path_of, read_chapter, read_pair, write_chapter
from .model import Acceptance, Bound, Entry, PairExpectations
from .observe import observe
from .update import captures_of

T = TypeVar("T", Row, Acceptance)


def accept(capture: Capture, names: Sequence[str], reason: str, by: str, folder: Path) -> list[Acceptance]:
    """Accept what regressed in a capture, all of it or the numbers that are named, and write that down.

    Args:
        names: `optimized.iteration`, of every tier, or `optimized.iteration [trace]`.
        reason: why it is as it is.
        by: who answers for it.

    Raises:
        UsageError: no reason or nobody, or nothing of that name regressed.
        AispError: the file cannot be written.
    """
    reason, by = " ".join(reason.split()), " ".join(by.split())
    if not reason or not by:
        raise UsageError(
            "a regression is accepted by somebody, for a reason", '--by "Ada" --reason "exact sums, see #42"'
        )
    observed, pair = observe(capture), capture.manifest.pair
    with changing(folder):
        checked = check(observed, pair, folder)
        rows = _named([row for row in checked.rows if _regressed(row)], names, pair, f"regressed in {capture.id}")
        made = [_acceptance(row, row.entry, capture, reason, by) for row in rows if row.entry]
        _write(folder, checked.hardware_key, pair, made, {one.key for one in made})
    return made


def withdraw(pair: str, names: Sequence[str], folder: Path) -> list[Acceptance]:
    """Take back what was accepted of a pair, all of it or the numbers that are named; returns what no longer is.

    Raises:
        UsageError: nothing of that name was accepted.
        AispError: the file cannot be written.
    """
    gone = []
    with changing(folder):
        every = [(key, one) for key in hardware_of(folder, pair) for one in _expected(folder, key, pair).accepted]
        chosen = _named([one for _, one in every], names, pair, "was accepted")
        for key in dict.fromkeys(key for key, one in every if one in chosen):
            mine = [one for at, one in every if at == key and one in chosen]
            _write(folder, key, pair, [], {one.key for one in mine})
            gone += mine
    return gone


def _regressed(row: Row) -> bool:
    """Also a number of which it cannot be told whether it is within its bound: its interval lies on both sides; and one that
    was accepted before, perhaps until it was mended."""
    return (
        row.status in (Status.REGRESSED, Status.UNPROVEN, Status.ACCEPTED)
        and row.measured is not None
        and row.entry is not None
    )


def _named(found: Sequence[T], names: Sequence[str], pair: str, what: str) -> list[T]:
    told = [f"{one.name} [{one.tier}]" for one in found]
    unknown = [
        name for name in names if not any(name in (one.name, text) for one, text in zip(found, told, strict=True))
    ]
    if unknown or not found:
        which = ", ".join(unknown) or "nothing"
        raise UsageError(f"{which} of {pair} {what}", f"there is: {', '.join(told)}" if told else "")
    return [one for one, text in zip(found, told, strict=True) if not names or {one.name, text} & set(names)]


def _acceptance(row: Row, entry: Entry, capture: Capture, reason: str, by: str) -> Acceptance:
    if row.measured is None or row.low is None or row.high is None:
        raise ValueError("what was not measured did not regress")
    return Acceptance(
        *entry.key,
        unit=entry.unit,
        expected=entry.bound,
        bound=_bound(entry, row.low, row.high),
        capture=capture.id,
        created_utc=capture.manifest.created_utc,
        value=row.measured.value,
        since=f"{datetime.now(UTC):%Y-%m-%d}",
        by=by,
        reason=reason,
    )


def _bound(entry: Entry, low: float, high: float) -> Bound:
    """What was seen may be seen again, as far off as the entry itself tolerates; of counts exactly that."""
    share = PROVISIONAL if entry.tolerance is None else entry.tolerance
    reach = 0.0 if entry.unit == "count" else share if entry.unit == "ratio" else share * max(abs(low), abs(high))
    expected = entry.bound
    return Bound.of(
        None if expected.low is None else min(expected.low, low - reach),
        None if expected.high is None else max(expected.high, high + reach),
    )


def _expected(folder: Path, hardware_key: str, pair: str) -> PairExpectations:
    found = read_pair(folder, hardware_key, pair)
    if found is None:
        raise UsageError(f"nothing is expected of {pair} on {hardware_key}", "aisp-prof expect update")
    return found


def _write(folder: Path, key: str, pair: str, made: Sequence[Acceptance], instead: set[tuple[str, str, str]]) -> None:
    before = _expected(folder, key, pair)
    kept = [one for one in before.accepted if one.key not in instead]
    path = path_of(folder, key, pair)
    write_chapter(path, {**read_chapter(path), pair: structs.replace(before, accepted=(*kept, *made))})


@dataclass(frozen=True, slots=True)
class Standing:
    """What was accepted of a pair on one hardware; `mended` names the first later capture that met what is expected, or is ""
    while none did: from then on nothing is accepted any more."""

    hardware_key: str
    accepted: Acceptance
    mended: str

    def to_json(self) -> dict[str, Any]:
        return {"hardware_key": self.hardware_key, **self.accepted.to_json(), "mended": self.mended or None}


def standing(pair: str, captures: Path, folder: Path) -> Iterator[Standing]:
    """All that was accepted of a pair, and what became of it since."""
    for key in hardware_of(folder, pair):
        for one in _expected(folder, key, pair).accepted:
            yield Standing(key, one, _mended(one, pair, captures, folder))


def without_mended(checked: Checked, capture: Capture, captures: Path, folder: Path) -> Checked:
    """A regression that came back after it was mended is a new one, which nobody accepted."""
    rows = tuple(_if_not_mended(row, checked.pair, capture, captures, folder) for row in checked.rows)
    if rows == checked.rows:
        return checked
    return replace(checked, rows=rows, status=Status.worst([checked.status, *(row.status for row in rows)]))


def _if_not_mended(row: Row, pair: str, capture: Capture, captures: Path, folder: Path) -> Row:
    if row.status is not Status.ACCEPTED or row.accepted is None:
        return row
    mended = _mended(row.accepted, pair, captures, folder, before=capture.manifest.created_utc)
    if not mended:
        return row
    return replace(row, status=Status.REGRESSED, reason=f"anew: what {row.accepted.by} accepted was mended in {mended}")


def _mended(accepted: Acceptance, pair: str, captures: Path, folder: Path, before: str = "") -> str:
    """The first capture after the accepted one (and before another moment) that met what is expected; "" for none."""
    for capture in reversed(captures_of(pair, captures)):
        created = capture.manifest.created_utc
        later = created > accepted.created_utc and not (before and created >= before)
        if later and _shows_mended(capture, accepted, pair, folder):
            return capture.id
    return ""


def _shows_mended(capture: Capture, accepted: Acceptance, pair: str, folder: Path) -> bool:
    try:
        rows = check(observe(capture), pair, folder).rows
    except TraceError:  # one that cannot be read shows nothing, and is no reason not to judge another one
        return False
    return any(row.accepted == accepted and row.status in (Status.MET, Status.IMPROVED) for row in rows)
