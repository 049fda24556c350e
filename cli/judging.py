"""Judge several captures for one command: one that cannot be judged is named and refused, and the others are judged
regardless."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..errors import AispError, CannotTell

if TYPE_CHECKING:
    from ..profiler.evidence import Evidence
    from ..profiler.store.captures import Capture, Stores

T = TypeVar("T")
Refused = Mapping[str, str]
"""Pair -> why its capture was refused. A refused pair is unproven; no other capture may answer in its place."""


def judge_each(captures: Sequence[Capture], judge: Callable[[Capture], T]) -> tuple[list[tuple[Capture, T]], Refused]:
    """What `judge` makes of each capture, and the pairs whose capture it refuses.

    Raises:
        AispError: all of them were refused; the message is the first one's.
    """
    from ..reports.terminal.progress import steps

    done: list[tuple[Capture, T]] = []
    refused: dict[str, AispError] = {}
    with steps(watched=True) as say:
        for one in captures:
            say(f"judging {one.id}")
            try:
                done.append((one, judge(one)))
            except AispError as error:
                refused[one.manifest.pair] = type(error)(f"{one.id}: {error}", error.mend)
    if refused and not done:
        raise next(iter(refused.values()))
    return done, {pair: _told(error) for pair, error in refused.items()}


def unreadable(missing: Sequence[str], stores: Stores) -> Refused:
    """The pairs counted as missing that do have a capture, but one that cannot be read, and why."""
    from ..profiler.store.captures import Damaged

    refused: dict[str, str] = {}
    for pair in missing:
        try:
            stores.resolve(pair)
        except Damaged as error:
            refused[pair] = _told(error)
        except CannotTell:
            continue
    return refused


def exit_code(evidences: Sequence[Evidence], missing: Sequence[str], refused: Refused) -> int:
    """The worst verdict's; a pair that is missing or refused is unproven."""
    from ..profiler.evidence import Verdict

    unshown = [Verdict.UNPROVEN] * len({*missing, *refused})
    return Verdict.worst([one.verdict for one in evidences] + unshown).exit_code


def _told(error: AispError) -> str:
    return f"{error} ({error.mend})" if error.mend else str(error)


def lines(missing: Sequence[str], refused: Refused, lang: str = "en") -> list[str]:
    """One line per pair that is not shown: why it was refused, or that it has no capture."""
    from ..reports.catalog import catalog
    from ..reports.hostile import visible

    say = catalog(lang)
    unproven = say("verdict.unproven").upper()
    commands = {pair: f"aisp-prof capture {pair.replace('.', ':')}" for pair in missing if pair not in refused}
    return [
        *(visible(f"{pair}  {say('console.refused')}  {why}") for pair, why in refused.items()),
        *(f"{pair}  {unproven}  {say('console.no_capture', command=command)}" for pair, command in commands.items()),
    ]
