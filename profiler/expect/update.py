"""Make expectations from captures that agree: planned first, shown as a diff, and written only when asked to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from ...errors import AispError, CannotTell, UsageError
from ..evidence import Verdict
from ..store.captures import Capture, Scan, Store, shipped_store
from .derive import Clocks, disagreement, entry_of
from .files import changing, expectations_folder, path_of, read_chapter, read_pair, write_chapter
from .model import Context, Entry, Former, PairExpectations, Source
from .observe import Observation, Observed, observe

AGREEING = 2
"""Captures that must agree before an expectation changes: one may be a lucky outlier."""

KEPT = 5
"""Captures that an entry rests on at most, the newest."""

LOOKED_AT = 12
"""Captures of a pair that are judged at most, the newest."""

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the diff: `before` None for a new entry, `after` None for one that goes.

    `kept` says that the old entry stays, because the new one would let through what it stops.
    """

    before: Entry | None
    after: Entry | None
    weaker: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update would do to one pair on one hardware.

    refused   why nothing is done; "" when it is
    notes     captures that were left out, and why; what of the context changes
    rests_on  the captures that agree, newest first
    """

    pair: str
    hardware_key: str
    refused: str = ""
    weaken_needed: bool = False
    notes: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    before: PairExpectations | None = None
    after: PairExpectations | None = None

    @property
    def changed(self) -> bool:
        return not self.refused and any(not change.kept for change in self.changes)

    @property
    def exit_code(self) -> int:
        """0, or 4 where the evidence does not carry an update, and 1 where it would have to be a weaker one."""
        return 0 if not self.refused else 1 if self.weaken_needed else 4


def update_expectations(
    pairs: Iterable[str],
    captures: Path,
    reason: str,
    folder: Path | None = None,
    *,
    write: bool = False,
    weaken: bool = False,
    agreeing: int = AGREEING,
) -> list[Plan]:
    """Plan, and with `write` carry out, an update of these pairs from all their captures, those shipped among them.

    A pair that is refused does not keep others from being written. Nothing is asked and nothing printed.

    Args:
        pairs: keys, as "ch11.streams".
        captures: the folder of captures; those that came with the package count too.
        reason: why, kept in the history of every entry that changes.
        folder: the expectations; without it those that `expectations_folder` finds for each pair.
        weaken: allow bounds that let through what the old ones stop.
        agreeing: captures that must agree before an entry that stands is changed; at least 2.

    Raises:
        UsageError: no reason, too few agreeing captures asked for, or damaged expectations.
        CannotTell: none of the pairs has a capture.
        AispError: a file cannot be written.
    """
    if not reason.strip():
        raise UsageError("an expectation changes for a reason", '--reason "the new driver copies faster"')
    if agreeing < AGREEING:
        raise UsageError(f"{agreeing} captures cannot agree", f"--agreeing {AGREEING} or more")
    wanted = _Wanted(folder, " ".join(reason.split()), f"{datetime.now(UTC):%Y-%m-%d}", weaken, agreeing)
    pairs = list(pairs)
    while True:
        plans = [plan for pair in pairs for plan in _plans(pair, captures, wanted)]
        if not plans:
            raise CannotTell(
                f"no capture of these pairs in {captures}", "on a machine with an NVIDIA GPU: aisp-prof capture"
            )
        if not write or _written(plans, wanted):
            return plans


@dataclass(frozen=True, slots=True)
class _Wanted:
    option: Path | None
    reason: str
    today: str
    weaken: bool
    agreeing: int

    def folder(self, pair: str) -> Path:
        return expectations_folder(self.option, pair)


def captures_of(pair: str, captures: Path | Scan) -> list[Capture]:
    """A pair's captures in a folder and among those shipped, each once, newest first."""
    scans = shipped_store().scan(), captures if isinstance(captures, Scan) else Store(captures).scan()
    every = {one.id: one for scan in scans for one in scan.captures(pair)}
    return sorted(every.values(), key=lambda one: (one.manifest.created_utc, one.id), reverse=True)


def observed_of(pair: str, captures: Path, newest: int = 0) -> tuple[list[tuple[Capture, Observed]], list[str]]:
    """A pair's captures with what each shows, newest first (`newest` of them, or all), and why others show nothing: one that
    cannot be read or judged is named, and neither ends what is said of the rest nor is passed over in silence."""
    scan = Store(captures).scan()
    found, refused = [], scan.unreadable(pair)
    for one in captures_of(pair, scan)[: newest or None]:
        try:
            found.append((one, observe(one)))
        except AispError as error:
            refused.append(f"{one.id}: {error}")
    return found, refused


def _plans(pair: str, captures: Path, wanted: _Wanted) -> list[Plan]:
    """A plan for every hardware that a pair was captured on."""
    found, refused = observed_of(pair, captures, LOOKED_AT)
    if refused:
        return [Plan(pair, "?", refused=f"a capture cannot be judged: {refused[0]}")]
    keys = dict.fromkeys(observed.hardware_key for _, observed in found)
    return [_plan(pair, key, [one for one in found if one[1].hardware_key == key], wanted) for key in keys]


@dataclass(slots=True)
class _Grounds:
    """The captures that agree, newest first, and what was said of the others."""

    context: Context
    observed: list[tuple[Source, Mapping[Key, Observation]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def clocks(self) -> Clocks:
        return {source.capture: source.sm_mhz for source, _ in self.observed}


def _plan(pair: str, key: str, found: Sequence[tuple[Capture, Observed]], wanted: _Wanted) -> Plan:
    before = read_pair(wanted.folder(pair), key, pair)
    traced = [one for one in found if one[0].trace_path or one[1].evidence.verdict is Verdict.INVALID]
    if not traced:
        return Plan(pair, key, refused="none of its captures has a trace")
    if unfit := _unfit(*traced[0]):
        return Plan(pair, key, refused=f"the newest capture, {traced[0][1].capture}, {unfit}")
    grounds = _agreeing(traced, before, wanted)
    same = before is not None and not before.context.differences(grounds.context)
    captures = tuple(source.capture for source, _ in grounds.observed)
    if before is not None and same and set(captures) == before.captures:
        return Plan(pair, key, notes=tuple(grounds.notes), rests_on=captures, after=before)
    if same and len(captures) < wanted.agreeing:
        lacking = f"{len(captures)} of {wanted.agreeing} captures agree: capture the pair again"
        return Plan(pair, key, refused=lacking, notes=tuple(grounds.notes), rests_on=captures)
    return _compared(pair, key, before, grounds, same, wanted)


def _unfit(capture: Capture, observed: Observed) -> str:
    """Why a capture may be no measure for others; "" when it may."""
    stated = capture.manifest.gpus[0].get("name") if capture.manifest.gpus else None
    if observed.obstacles:
        return f"is no evidence: {', '.join(finding.code for finding in observed.obstacles)}"
    if observed.evidence.completeness.status != "complete":
        return f"has a trace that is {observed.evidence.completeness.status}"
    if observed.evidence.verdict is not Verdict.PROVEN:
        return f"is {observed.evidence.verdict}"
    if stated and stated != observed.context.gpu:
        return f"is of {stated} by its manifest and of {observed.context.gpu} by its trace"
    return ""


def _agreeing(found: Sequence[tuple[Capture, Observed]], before: PairExpectations | None, wanted: _Wanted) -> _Grounds:
    """The newest capture and those before it, until one tells another story.

    Captures that an entry rests on and that are no longer there speak through what the entry recorded of them.
    """
    newest = found[0][1]
    grounds = _Grounds(newest.context, [(newest.source, newest.observations)])
    older = [_Older(o.source, o.observations, o.context, _unfit(capture, o)) for capture, o in found[1:]]
    older += _recorded(before, {observed.capture for _, observed in found})
    for one in sorted(older, key=lambda one: one.source.created_utc, reverse=True):
        if len(grounds.observed) == KEPT:
            break
        named = one.source.capture
        if differences := newest.context.differences(one.context):
            grounds.notes.append(f"{named} left out: {'; '.join(differences)}")
        elif one.unfit:
            grounds.notes.append(f"{named} left out: it {one.unfit}")
        elif story := _other_story(grounds, one):
            grounds.notes.append(f"{named} does not agree: {story}; nor is any older capture asked")
            break
        else:
            grounds.observed.append((one.source, one.observations))
    return grounds


@dataclass(frozen=True, slots=True)
class _Older:
    source: Source
    observations: Mapping[Key, Observation]
    context: Context
    unfit: str


def _recorded(before: PairExpectations | None, present: set[str]) -> list[_Older]:
    if before is None:
        return []
    lost = [source for source in before.sources if source.capture in before.captures - present]
    return [_Older(source, _of_record(before, source.capture), before.context, "") for source in lost]


def _of_record(before: PairExpectations, capture: str) -> dict[Key, Observation]:
    return {
        entry.key: Observation(
            entry.variant, entry.metric, entry.tier, entry.unit, entry.better, measured, entry.claim, None
        )
        for entry in before.entries
        for measured in entry.measured
        if measured.capture == capture
    }


def _other_story(grounds: _Grounds, older: _Older) -> str:
    """The first number on which a capture disagrees with the newest one; "" when there is none."""
    newest, observations = grounds.observed[0]
    clocks = {newest.capture: newest.sm_mhz, older.source.capture: older.source.sm_mhz}
    for key, mine in observations.items():
        theirs = older.observations.get(key)
        if theirs is not None and disagreement(mine, theirs, clocks):
            name = f"{mine.variant}.{mine.metric}" if mine.variant else mine.metric
            return f"{name} [{mine.tier}] is {mine.measured.value:g} in the newest and {theirs.measured.value:g} there"
    return ""


def _entries(grounds: _Grounds, wanted: _Wanted) -> list[Entry]:
    """An entry for every number of the newest capture, from all captures that have it."""
    made = []
    for key in grounds.observed[0][1]:
        seen = [observations[key] for _, observations in grounds.observed if key in observations]
        made.append(entry_of(seen, grounds.clocks, wanted.today, wanted.reason))
    return [entry for entry in made if entry is not None]


def _compared(
    pair: str, key: str, before: PairExpectations | None, grounds: _Grounds, same: bool, wanted: _Wanted
) -> Plan:
    """The new entries against the old ones; nothing gets weaker unless that was asked for."""
    made, old = _entries(grounds, wanted), {entry.key: entry for entry in before.entries} if before else {}
    changes = [_change(old.get(entry.key), entry, grounds, wanted.weaken, same) for entry in made]
    keys = {entry.key for entry in made}
    changes += [Change(entry, None, weaker=True) for entry in old.values() if entry.key not in keys]
    notes = list(grounds.notes)
    notes += [f"{entry.name} [{entry.tier}] is {entry.too_noisy}" for entry in made if entry.too_noisy]
    if before is not None and not same:
        notes += [f"another context: {one}" for one in before.context.differences(grounds.context)]
    plan = Plan(
        pair,
        key,
        before=before,
        notes=tuple(notes),
        rests_on=tuple(source.capture for source, _ in grounds.observed),
        changes=tuple(change for change in changes if change.kept or not _alike(change)),
    )
    lost = [change for change in changes if change.weaker and not change.kept]
    if (lost or (before is not None and not same)) and not wanted.weaken:
        return replace(plan, refused=_would_weaken(lost, same), weaken_needed=True)
    return replace(plan, after=_after(pair, before, grounds, changes, wanted))


def _alike(change: Change) -> bool:
    """Whether nothing at all changes: the same numbers from the same captures."""
    a, b = change.before, change.after
    return a is not None and b is not None and (a.measured, a.bound) == (b.measured, b.bound)


def _change(old: Entry | None, new: Entry, grounds: _Grounds, weaken: bool, same: bool) -> Change:
    """A weaker bound than the one that stands is not taken while the captures meet the old one."""
    if old is None:
        return Change(None, new)
    weaker = new.bound.weaker_than(old.bound)
    if not weaker or weaken or not same:
        return Change(old, new, weaker)
    meets = all(old.bound.holds(*one.widened()) for one in new.measured)
    return Change(old, old if meets else new, weaker=True, kept=meets)


def _would_weaken(lost: Sequence[Change], same: bool) -> str:
    if not same:
        return "the captures are of another context, so that what stands would be given up: --weaken"
    names = ", ".join(one.before.name for one in lost if one.before)
    return f"the captures do not meet what stands of {names}; a weaker expectation needs --weaken"


def _after(
    pair: str, before: PairExpectations | None, grounds: _Grounds, changes: Iterable[Change], wanted: _Wanted
) -> PairExpectations:
    changes = list(changes)
    entries = tuple(_with_history(change, wanted) for change in changes if change.after)
    kept = {entry.key for entry in entries}
    retired = [entry for entry in (before.retired if before else ()) if entry.key not in kept]
    retired += [_with_history(change, wanted) for change in changes if change.after is None]
    every = (*entries, *retired)
    needed = {name for entry in every for name in entry.rests_on}
    needed |= {name for entry in every for former in entry.history for name in former.captures}
    known = {source.capture: source for source in (before.sources if before else ())}
    known |= {source.capture: source for source, _ in grounds.observed}
    sources = sorted((known[name] for name in needed if name in known), key=lambda one: one.created_utc, reverse=True)
    standing = {(entry.key, entry.bound) for entry in entries}
    accepted = tuple(one for one in (before.accepted if before else ()) if (one.key, one.expected) in standing)
    return PairExpectations(grounds.context, tuple(sources), entries, tuple(retired), accepted)


def _with_history(change: Change, wanted: _Wanted) -> Entry:
    """The new entry, or the one that goes, with what it was and why it no longer is."""
    old, new = change.before, change.after
    if old is None:
        return _made(new)
    if change.kept or _alike(change):
        return old
    was = Former(wanted.today, wanted.reason, old.value, old.bound, old.tolerance, old.rests_on)
    return structs.replace(new or old, history=(*old.history, was))


def _made(new: Entry | None) -> Entry:
    if new is None:
        raise ValueError("a change has an entry before, after, or both")
    return new


def _written(plans: Iterable[Plan], wanted: _Wanted) -> bool:
    """Write every file once, with all its pairs; False where another update came between plan and writing."""
    changed: dict[Path, dict[str, Plan]] = {}
    folders: dict[Path, None] = {}
    for plan in plans:
        if plan.changed and plan.after is not None:
            folder = wanted.folder(plan.pair)
            folders[folder] = None
            changed.setdefault(path_of(folder, plan.hardware_key, plan.pair), {})[plan.pair] = plan
    with ExitStack() as locked:
        for folder in sorted(folders):
            locked.enter_context(changing(folder))
        stand = {path: read_chapter(path) for path in changed}
        if any(stand[path].get(pair) != plan.before for path, own in changed.items() for pair, plan in own.items()):
            return False
        for path, own in changed.items():
            write_chapter(path, {**stand[path], **{pair: plan.after for pair, plan in own.items() if plan.after}})
    return True
