"""Which calls of a communication library asked for a kernel: NCCL's NVTX ranges around its launch, groups included."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..trace.model import Operations, Stated, Trace
from .operations import BETWEEN_TWO, operation_called
from .record import Signature

_GROUP_START, _GROUP_END = "ncclGroupStart", "ncclGroupEnd"


@dataclass(frozen=True, slots=True)
class Group:
    """What is stated of one process; calls are places in `rows`.

    communicators  key -> its size and the rank of this process in it, -1 where nothing says them
    """

    trace: Trace
    rows: Stated
    communicators: Mapping[str, tuple[int, int]]
    calls: Sequence[int]

    def key(self, call: int) -> str:
        return f"{int(self.rows.communicator[call]) & 0xFFFFFFFFFFFFFFFF:016x}"

    def operation(self, call: int) -> str:
        return operation_called(self.trace.text(int(self.rows.name[call])))

    def peer(self, call: int) -> int:
        return int(self.rows.peer[call])

    def signature(self, call: int) -> Signature:
        """What a call is on every rank: the peer of a message differs, and is none of it."""
        operation = self.operation(call)
        between = operation in BETWEEN_TWO
        return Signature(operation, "", int(self.rows.bytes[call]), -1 if between else int(self.rows.root[call]))

    def kernels(self) -> dict[int, list[int]]:
        """The row of a kernel -> the calls that are stated of it."""
        found: dict[int, list[int]] = {}
        for call in self.calls:
            if self.rows.of_kernel[call]:
                found.setdefault(int(self.rows.row[call]), []).append(call)
        return found


def stated_of(trace: Trace, process: int) -> Group:
    """What is stated of a process: its communicators, and its calls that communicate."""
    rows = trace.stated.take(trace.stated.process == process)
    communicators: dict[str, tuple[int, int]] = {}
    group = Group(trace, rows, communicators, [])
    calls = []
    for place in np.lexsort((rows.row, rows.start)).tolist():
        if not rows.communicator[place]:
            continue
        size, rank = communicators.get(group.key(place), (-1, -1))
        said = int(rows.size[place]), int(rows.rank[place])
        communicators[group.key(place)] = max(size, said[0]), max(rank, said[1])
        if group.operation(place):
            calls.append(place)
    return Group(trace, rows, communicators, calls)


def groups_of(trace: Trace, mine: Operations, stated: Group) -> list[tuple[int, ...]]:
    """For each operation the calls that asked for it: the one during which it was launched, or, where it was launched as a group
    ended, those of the group. None of what another thread launched, or of a graph."""
    found: list[tuple[int, ...]] = [() for _ in range(len(mine))]
    threads: dict[int, list[tuple[int, int]]] = {}
    for i, launch in enumerate(mine.launch.tolist()):
        if launch >= 0 and not mine.graph_node[i]:
            at = int(trace.calls.start[launch])
            threads.setdefault(int(trace.calls.thread[launch]), []).append((at, i))
    groups = {name: _spans(trace, name) for name in (_GROUP_START, _GROUP_END)}
    for thread, launches in threads.items():
        own = _own(stated, thread, launches)
        for i, call in own.items():
            found[i] = (call,)
        used, left = set(own.values()), sorted(one for one in launches if one[1] not in own)
        for (low, high), asked in _closed(stated, thread, used, groups):
            for _, i in left[bisect_left(left, (low, -1)) : bisect_right(left, (high, len(mine)))]:
                found[i] = asked
    return found


_Span = tuple[int, int]


def _spans(trace: Trace, name: str) -> dict[int, list[_Span]]:
    """thread -> the intervals of the ranges of a name."""
    ranges, texts = trace.ranges, trace.ranges.codes("text")
    called = np.array([trace.text(text) == name for text in texts.values.tolist()], bool)
    found: dict[int, list[_Span]] = {}
    for place in np.flatnonzero(called[texts.code]).tolist() if called.any() else ():
        found.setdefault(int(ranges.thread[place]), []).append((int(ranges.start[place]), int(ranges.end[place])))
    return found


def _calls_of(stated: Group, thread: int) -> list[int]:
    rows = stated.rows
    return [call for call in stated.calls if rows.thread[call] == thread and not rows.of_kernel[call]]


def _own(stated: Group, thread: int, launches: Sequence[tuple[int, int]]) -> dict[int, int]:
    """What was launched (its number) during a call -> the call."""
    calls = _calls_of(stated, thread)
    starts = [int(stated.rows.start[call]) for call in calls]
    own: dict[int, int] = {}
    for at, i in launches:
        place = bisect_right(starts, at) - 1
        if place >= 0 and at <= stated.rows.end[calls[place]]:
            own[i] = calls[place]
    return own


def _closed(
    stated: Group, thread: int, used: Collection[int], groups: Mapping[str, Mapping[int, list[_Span]]]
) -> Iterator[tuple[_Span, tuple[int, ...]]]:
    """The interval during which each outermost group ended, and the calls in it that launched nothing themselves."""
    events = [(int(stated.rows.start[call]), 1, call) for call in _calls_of(stated, thread) if call not in used]
    starts, ends = (groups[name].get(thread, []) for name in (_GROUP_START, _GROUP_END))
    events += [(low, 0, 0) for low, _ in starts] + [(span[0], 2, place) for place, span in enumerate(ends)]
    depth, waiting = 0, list[int]()
    for _, kind, which in sorted(events):
        if kind == 1:
            waiting.append(which)
            continue
        if kind == 0 and depth == 0:
            waiting = []  # a call outside of groups that launched no kernel: of one rank, a copy
        depth = depth + 1 if kind == 0 else max(depth - 1, 0)
        if kind == 2 and depth == 0:
            yield ends[which], tuple(waiting)
            waiting = []
