"""`ranks summary`: what each rank waited and transferred, hid and exposed, who held the others up, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np

from ..arrays.types import Bools
from ..evidence import Finding
from .clocks import Window
from .join import Joined
from .matching import NEVER
from .record import STEP_COLUMNS, Failure, Rank
from .run import Run

_FEWEST = 3
"""Of two ranks the one that waits less is no exception."""


@dataclass(frozen=True, slots=True)
class RankRow:
    """One rank; times in ns, each pair a lower and an upper bound, as docs/ranks.md defines them.

    steps          instances of the range that was asked for, with the median (the lower one) and the longest of their spans
    clock_low, clock_high  by how much its clock is ahead of that of `clock_of`, over all windows; None where no collective tells
    """

    rank: int | None
    name: str
    rank_from: str
    path: str
    pid: int
    gpu_uuids: tuple[str, ...]
    completeness: str
    another_run: bool
    comm: int
    wait_low: int
    wait_high: int
    late_low: int
    late_high: int
    collectives: int
    left: int
    between_two: int
    came_last: int
    came_last_proven: int
    span: int
    busy: int
    idle: int
    compute_time: int
    comm_time: int
    comm_hidden: int | None
    comm_exposed: int | None
    clock_of: str
    clock_low: int | None
    clock_high: int | None
    steps: int
    step_median: int | None
    step_longest: int | None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A trace that is not in the answer."""

    path: str
    rank: int | None
    kind: str
    message: str
    mend: str


@dataclass(frozen=True, slots=True)
class ClockRow:
    """A rank's clock in one window of time; `low` and `high` as in `RankRow`."""

    until: int
    name: str
    clock_of: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class MatchedSums:
    """All collectives together.

    matched       that several ranks ran
    left          kernels that belong to none; `between_two` sends and receives, of which nothing is said
    shortest      the shortest duration of each, in the order of time
    transfer_low, transfer_high   bounds of the time that all of them transferred
    """

    matched: int
    left: int
    between_two: int
    communicators: int
    transfer_low: int
    transfer_high: int
    shortest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The answer. `whole` is whether every rank of the run is there and can be judged.

    latest         the rank for which the others waited most; `latest_proven` where that is so whatever the clocks are, and the
                   run is whole; else it is what is likely: the greatest lower bound, or, without any, the rank that waited least
    clock_error    the most by which the middle of a rank's interval may be wrong; None where there is no interval, or an empty one
    """

    files: int
    whole: bool
    ranks: tuple[RankRow, ...]
    failures: tuple[FailureRow, ...]
    findings: tuple[Finding, ...]
    collectives: MatchedSums
    latest: str
    latest_proven: bool
    clock_error: int | None
    clocks: tuple[ClockRow, ...]


def summary(run: Run) -> RunSummary:
    """All of the answer."""
    joined = run.joined
    latest, beyond = latest_of(joined)
    clocks = tuple(_clocks(joined))
    return RunSummary(
        files=len(run.files),
        whole=run.whole,
        ranks=tuple(_row(joined, index, clocks) for index in range(len(joined.ranks))),
        failures=tuple(map(_failure, run.failures)),
        findings=run.findings,
        collectives=_sums(joined),
        latest=latest,
        latest_proven=beyond and run.whole,
        clock_error=clock_error(joined),
        clocks=clocks,
    )


def _failure(one: Failure) -> FailureRow:
    return FailureRow(one.path, one.rank, one.kind, one.message, one.mend)


def latest_of(joined: Joined) -> tuple[str, bool]:
    """Who held the others up most: the rank with the greatest lower bound of `late`, and whether it lies above all others' upper
    bounds. Where no bound tells, likely the rank that waited least, if that is less than half of what the median waited: one that
    always comes late by as much cannot be told from one whose clock is off. "" where nothing tells."""
    if joined.late_low.any():
        first = int(joined.late_low.argmax())
        others = [int(high) for index, high in enumerate(joined.late_high.tolist()) if index != first]
        return joined.names[first], int(joined.late_low[first]) > max(others, default=0)
    ran = np.flatnonzero(joined.matched > 0)
    waits = joined.wait_low[ran]
    if len(ran) < _FEWEST or 2 * int(waits.min()) >= int(np.median(waits)):
        return "", False
    return joined.names[int(ran[waits.argmin()])], False


def clock_error(joined: Joined) -> int | None:
    """Half of the widest interval, rounded up; None where clocks contradict each other, or not all of those that ran collectives
    together are tied to one."""
    together = joined.matched > 0
    if not together.any() or not joined.clocks_agree:
        return None
    widest = 0
    for window in joined.windows:
        if len(set(window.reference[together].tolist())) > 1 or not _bounded(window, together):
            return None
        widest = max(widest, int(window.width[together].max()))
    return (widest + 1) // 2


def _bounded(window: Window, some: Bools) -> bool:
    """Whether all of these have an interval in a window."""
    return bool((window.usable & (window.high < NEVER) & (window.low > -NEVER))[some].all())


def _clocks(joined: Joined) -> list[ClockRow]:
    rows = []
    for window in joined.windows if joined.clocks_agree else ():
        for index, known in enumerate(window.usable.tolist()):
            if known and window.high[index] < NEVER and window.low[index] > -NEVER:
                low, high = -int(window.high[index]), -int(window.low[index])
                of = joined.names[int(window.reference[index])]
                rows.append(ClockRow(window.until, joined.names[index], of, low, high))
    return rows


def _row(joined: Joined, index: int, clocks: Sequence[ClockRow]) -> RankRow:
    rank = joined.ranks[index]
    own = [one for one in clocks if one.name == joined.names[index]]
    hidden = [one.comm_hidden for one in rank.devices]
    exposed = [one.comm_exposed for one in rank.devices]
    spans = rank.step_table()[:, STEP_COLUMNS.index("span")].tolist()
    return RankRow(
        rank=rank.rank,
        name=joined.names[index],
        rank_from=rank.rank_from,
        path=rank.path,
        pid=rank.pid,
        gpu_uuids=tuple(one.gpu_uuid for one in rank.devices),
        completeness=rank.completeness,
        another_run=index in joined.excluded,
        comm=int(joined.comm[index]),
        wait_low=int(joined.wait_low[index]),
        wait_high=int(joined.wait_high[index]),
        late_low=int(joined.late_low[index]),
        late_high=int(joined.late_high[index]),
        collectives=int(joined.matched[index]),
        left=int(joined.left[index]),
        between_two=int(joined.between_two[index]),
        came_last=int(joined.came_last[index]),
        came_last_proven=int(joined.proven_last[index]),
        span=_of_devices(rank, "span"),
        busy=_of_devices(rank, "busy"),
        idle=_of_devices(rank, "idle"),
        compute_time=_of_devices(rank, "compute_time"),
        comm_time=_of_devices(rank, "comm_time"),
        comm_hidden=None if None in hidden else _of_devices(rank, "comm_hidden"),
        comm_exposed=None if None in exposed else _of_devices(rank, "comm_exposed"),
        clock_of=own[0].clock_of if own else "",
        clock_low=min((one.low for one in own), default=None),
        clock_high=max((one.high for one in own), default=None),
        steps=len(spans),
        step_median=median_low(spans) if spans else None,
        step_longest=max(spans, default=None),
    )


def _of_devices(rank: Rank, name: str) -> int:
    """Of a rank with several GPUs the sum of theirs."""
    return sum(int(getattr(one, name)) for one in rank.devices)


def _sums(joined: Joined) -> MatchedSums:
    found = joined.collectives
    return MatchedSums(
        matched=len(found),
        left=int(joined.left.sum()),
        between_two=int(joined.between_two.sum()),
        communicators=len({block.key for block in joined.blocks}),
        transfer_low=int(found.transfer_low.sum()),
        transfer_high=int(found.shortest.sum()),
        shortest=tuple(found.shortest.tolist()),
    )
