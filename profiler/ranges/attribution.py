"""Which launches lie inside which ranges: the one place that says what a range launched.

Definition (docs/metrics.md, "Projection"): an operation belongs to a push/pop range, or to a start/end range closed on its
own thread, when its launch lies inside the range on the range's thread; to a start/end range closed on another thread
belong the launches of every thread of that process inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..arrays.blocks import each_block, gathered
from ..arrays.codes import Codes, joined
from ..arrays.groups import distinct_values, looked_up
from ..arrays.types import Bools, Int64
from ..arrays.windows import Windows, by_group
from ..trace.model import Trace
from .ordered import ordered, slices_held


class Attribution(StrEnum):
    """Whose launches a range counts: its own thread's, or those of every thread of its process."""

    THREAD = "thread"
    PROCESS = "process"

    @classmethod
    def named(cls, word: str) -> Attribution:
        """What a user's word means.

        Raises:
            UsageError: no such attribution.
        """
        if word not in list(cls):
            raise UsageError(f"no attribution is called {word!r}", f"there are: {', '.join(cls)}")
        return cls(word)

    def by_key(self, trace: Trace, chosen: Int64) -> Iterator[tuple[str, Int64]]:
        """The key (a column of ranges and calls) by which launches are looked for, and the places in `chosen` of the
        ranges that it serves; keys that serve none are left out."""
        ranges = trace.ranges
        whole: Bools = np.full(len(chosen), self is Attribution.PROCESS)
        if self is Attribution.THREAD:
            places = np.flatnonzero(ranges.start_end[chosen])
            some = chosen[places]
            whole[places] = ranges.end_thread[some] != ranges.thread[some]
        for key, mask in (("thread", ~whole), ("process", whole)):
            if mask.any():
                yield key, np.flatnonzero(mask)


@dataclass(frozen=True, slots=True)
class CallOrder:
    """Calls, or the operations that they launched, in groups by the call's thread (or process) and the operation's device,
    and in each group by when the call was made.

    key, gpu    of each group, shape (g,), ascending: a thread that launches on two devices has two groups; -1 for calls
    bounds      where each group begins and where the last ends, shape (g + 1,)
    item        row indices into `trace.operations` or `trace.calls`, shape (n,); those of one call and device lie together
    start, end  when the call began and returned, moved into its group's window; as they were where `windows` is None
    returned    `end` before it was moved; empty where `tidy`
    tidy        whether calls that begin later also return later: then what a range holds is one slice
    """

    key: Int64
    gpu: Int64
    bounds: Int64
    windows: Windows | None
    item: Int64
    start: Int64
    end: Int64
    returned: Int64
    tidy: bool

    @classmethod
    def of_operations(cls, trace: Trace, key: str) -> CallOrder:
        """Order the operations that have a launch by a column of the calls: `thread` or `process`."""
        gpu = trace.operations.codes("gpu")
        found = ordered(trace.operations.launch, trace.calls, trace.calls.codes(key), gpu)
        if found is not None:
            return cls(*found)
        launch = trace.operations.launch
        operation = np.argsort(launch, kind="stable")[int((launch < 0).sum()) :]
        call = gathered(launch, operation)
        gpus = gpu.take(operation)
        return cls._of(trace, trace.calls.codes(key).take(call), gpus, operation, call)

    @classmethod
    def of_calls(cls, trace: Trace, key: str, only: Bools | None = None) -> CallOrder:
        """Order calls (all, or those of a mask) likewise."""
        call = np.arange(len(trace.calls)) if only is None else np.flatnonzero(only)
        gpus = Codes.of(np.full(len(call), -1))
        return cls._of(trace, trace.calls.codes(key).take(call), gpus, call, call)

    @classmethod
    def _of(cls, trace: Trace, keys: Codes, gpus: Codes, item: Int64, call: Int64) -> CallOrder:
        group, groups = joined([keys, gpus])
        if groups > 1:
            order = by_group(group, groups)
            item = gathered(item, order)  # one after the other: each leaves memory before the next is made
            call = gathered(call, order)
            group, keys, gpus = gathered(group, order), keys.take(order), gpus.take(order)
            del order
        begin, finish = gathered(trace.calls.start, call), gathered(trace.calls.end, call)
        windows = Windows.of_sorted(group, begin, finish)
        if windows is not None:
            _move(begin, windows.shift, group)
            _move(finish, windows.shift, group)
        together = np.ones(max(len(group) - 1, 0), bool) if windows is not None else group[1:] == group[:-1]
        if (together & (begin[1:] < begin[:-1])).any():
            order = np.lexsort((call, begin, *(() if windows is not None else (group,))))
            item, begin, finish = item[order], begin[order], finish[order]
        tidy = not (together & (finish[1:] < finish[:-1])).any()
        returned = finish[:0] if tidy else finish if windows is None else finish - windows.shift[group]
        first = np.flatnonzero(np.diff(group, prepend=groups))
        key_of, gpu_of = (codes.values[codes.code[first]] for codes in (keys, gpus))
        bounds = np.append(first, len(group))
        return cls(key_of, gpu_of, bounds, windows, item, begin, finish, returned, tidy)

    def slices(self, key: Int64, start: Int64, end: Int64) -> Iterator[tuple[Int64, Int64, Int64, Int64]]:
        """The slices of `item` that hold all that lies in ranges of these keys and times.

        Where the order is not `tidy`, a slice may also hold calls that return after their range's end.

        Returns:
            for each first, second, … device of the keys: the ranges, their device, and where the slices begin and stop.
            Ranges without any are left out.
        """
        first, last = (self._place(key, side) for side in ("left", "right"))
        for number in range(int((last - first).max(initial=0))):
            some = np.flatnonzero(last - first > number)
            group = first[some] + number
            times = start[some], end[some]
            find = self._slices if self.windows is not None else self._slices_apart
            begin, stop = self._slices_by_core(group, *times) or find(group, *times)
            held = np.flatnonzero(stop > begin)
            yield some[held], self.gpu[group[held]], begin[held], stop[held]

    def _place(self, key: Int64, side: Literal["left", "right"]) -> Int64:
        """Where the groups of these keys begin or stop, each distinct key looked for once."""
        distinct = distinct_values(key)
        return looked_up(key, distinct, np.searchsorted(self.key, distinct, side)).astype(np.int64, copy=False)

    def _slices_by_core(self, group: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64] | None:
        """As `_slices`, by the compiled core, where it is."""
        if self.windows is None:
            return None
        windows = self.windows
        return slices_held(
            {"group": group, "start": start, "end": end},
            {"bounds": self.bounds, "low": windows.low, "high": windows.high, "shift": windows.shift},
            {"first": self.start, "last": self.end if self.tidy else self.start},
        )

    def _slices(self, group: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64]:
        assert self.windows is not None
        windows = self.windows
        begin, stop = np.empty(len(group), np.int64), np.empty(len(group), np.int64)
        bound = self.end if self.tidy else self.start

        order = by_group(group, len(self.key))  # neighbours in time lie together, and so what is looked up

        def find(block: slice) -> None:
            some = order[block]
            mine = group[some]
            low, high, shift = windows.low[mine], windows.high[mine], windows.shift[mine]
            begin[some] = np.searchsorted(self.start, np.clip(start[some], low, high + 1) + shift, "left")
            stop[some] = np.searchsorted(bound, np.clip(end[some], low - 1, high) + shift, "right")

        each_block(len(group), find)
        return begin, stop

    def _slices_apart(self, group: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64]:
        """Where times lie so far apart that the windows of all groups do not fit into 64 bits: group by group."""
        begin, stop = np.empty(len(group), np.int64), np.empty(len(group), np.int64)
        bound = self.end if self.tidy else self.start
        for number in np.unique(group).tolist():
            mine, (low, high) = group == number, self.bounds[number : number + 2]
            begin[mine] = low + np.searchsorted(self.start[low:high], start[mine], "left")
            stop[mine] = low + np.searchsorted(bound[low:high], end[mine], "right")
        return begin, stop

    def inside(self, of_range: Int64, place: Int64, until: Int64) -> tuple[Int64, Int64]:
        """Of pairs (range, place in `item`) from slices those whose call returned by the range's end, `until`."""
        if self.tidy:
            return of_range, place
        keep = self.returned[place] <= until[of_range]
        return of_range[keep], place[keep]


def _move(times: Int64, shift: Int64, group: NDArray[Any]) -> None:
    """Move times into the windows of their groups, in place."""

    def move(block: slice) -> None:
        times[block] += shift[group[block]]

    each_block(len(times), move)


def expanded(low: Int64, high: Int64) -> tuple[Int64, Int64]:
    """Slices written out: pairs (which slice, index)."""
    counts = high - low
    of_slice = np.repeat(np.arange(len(counts)), counts)
    return of_slice, np.arange(len(of_slice)) + (low - np.cumsum(counts) + counts)[of_slice]


def pairs(
    trace: Trace,
    chosen: Int64,
    attribution: Attribution,
    order_of: Callable[[str], CallOrder],
    check: Callable[[int], None] = lambda _: None,
) -> tuple[Int64, Int64]:
    """Pairs (place in `chosen`, item of the order) for all that lies inside these ranges.

    Args:
        chosen: row indices into `trace.ranges`, shape (r,).
        order_of: the calls or operations, ordered by `thread` or by `process`.
        check: told how many pairs there will be, before they take memory.

    Returns:
        two arrays of shape (p,), ordered by place, then by device, then by when the call was made.
    """
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for key, places in attribution.by_key(trace, chosen):
        order, ranges = order_of(key), chosen[places]
        keys = getattr(trace.ranges, key)[ranges]
        slices = list(order.slices(keys, trace.ranges.start[ranges], trace.ranges.end[ranges]))
        check(sum(int((high - low).sum()) for _, _, low, high in slices))
        for some, _, low, high in slices:
            of_slice, place = expanded(low, high)
            of_range, place = order.inside(some[of_slice], place, trace.ranges.end[ranges])
            found.append((places[of_range], order.item[place]))
    of_set, item = (np.concatenate(columns) for columns in zip(*found, strict=True))
    together = by_group(of_set, max(len(chosen), 1))
    return of_set[together], item[together]


def operations_inside(
    trace: Trace, chosen: Int64, attribution: Attribution = Attribution.THREAD
) -> tuple[Int64, Int64]:
    """Pairs (place in `chosen`, row index into `trace.operations`): what each range launched."""
    return pairs(trace, chosen, attribution, lambda key: CallOrder.of_operations(trace, key))


def calls_inside(
    trace: Trace, chosen: Int64, attribution: Attribution = Attribution.THREAD, only: Bools | None = None
) -> tuple[Int64, Int64]:
    """Pairs (place in `chosen`, row index into `trace.calls`): the calls (all, or those of a mask) inside each range."""
    return pairs(trace, chosen, attribution, lambda key: CallOrder.of_calls(trace, key, only))
