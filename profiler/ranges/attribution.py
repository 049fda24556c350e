"""Which launches lie inside which ranges, as slices of the operations in the order in which they were launched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import each_block, gathered
from ..arrays.codes import joined
from ..arrays.types import Bools, Int64
from ..arrays.windows import Windows, by_group
from ..trace.model import Trace


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """The operations that have a launch, in groups by their launch's thread (or process) and their device, and in each
    group by when the launch was called.

    key, gpu    of each group, shape (g,), ascending: a thread that launches on two devices has two groups
    operation   row indices into `trace.operations`, shape (n,); those of one call and device lie together
    start, end  when the call began and returned, moved into its group's window
    tidy        whether calls that begin later also return later: then what a range holds is one slice
    """

    key: Int64
    gpu: Int64
    windows: Windows
    operation: Int64
    start: Int64
    end: Int64
    tidy: bool

    @classmethod
    def of(cls, trace: Trace, key: str) -> LaunchOrder:
        """Order the operations by a column of the calls: `thread` or `process`."""
        launch = trace.operations.launch
        operation = np.argsort(launch, kind="stable")[int((launch < 0).sum()) :]
        call = gathered(launch, operation)
        keys, gpus = trace.calls.codes(key).take(call), trace.operations.codes("gpu").take(operation)
        group, groups = joined([keys, gpus])
        if groups > 1:
            order = by_group(group, groups)
            operation = gathered(operation, order)  # one after the other: each leaves memory before the next is made
            call = gathered(call, order)
            group, keys, gpus = gathered(group, order), keys.take(order), gpus.take(order)
            del order
        begin, finish = gathered(trace.calls.start, call), gathered(trace.calls.end, call)
        windows = Windows.of_sorted(group, begin, finish)
        if windows is None:
            raise OverflowError("more threads than 64 bits hold times of")
        _move(begin, windows.shift, group)
        _move(finish, windows.shift, group)
        if (begin[1:] < begin[:-1]).any():
            order = np.lexsort((call, begin))
            operation, begin, finish = operation[order], begin[order], finish[order]
        tidy = bool((finish[1:] >= finish[:-1]).all())
        first = np.flatnonzero(np.diff(group, prepend=groups))
        key_of, gpu_of = (codes.values[codes.code[first]] for codes in (keys, gpus))
        return cls(key_of, gpu_of, windows, operation, begin, finish, tidy)

    def slices(self, key: Int64, start: Int64, end: Int64) -> Iterator[tuple[Int64, Int64, Int64, Int64]]:
        """The slices of `operation` that hold all that ranges of these keys and times launched.

        Where the order is not `tidy`, a slice may also hold calls that return after their range's end.

        Returns:
            for each first, second, … device of the keys: the ranges, their device, and where the slices begin and stop.
            Ranges without operations are left out.
        """
        first, last = (np.searchsorted(self.key, key, side) for side in ("left", "right"))
        for number in range(int((last - first).max(initial=0))):
            some = np.flatnonzero(last - first > number)
            group = first[some] + number
            begin, stop = self._slices(group, start[some], end[some])
            held = np.flatnonzero(stop > begin)
            yield some[held], self.gpu[group[held]], begin[held], stop[held]

    def _slices(self, group: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64]:
        begin, stop = np.empty(len(group), np.int64), np.empty(len(group), np.int64)
        bound = self.end if self.tidy else self.start

        order = by_group(group, len(self.key))  # neighbours in time lie together, and so what is looked up

        def find(block: slice) -> None:
            some = order[block]
            mine = group[some]
            low, high, shift = self.windows.low[mine], self.windows.high[mine], self.windows.shift[mine]
            begin[some] = np.searchsorted(self.start, np.clip(start[some], low, high + 1) + shift, "left")
            stop[some] = np.searchsorted(bound, np.clip(end[some], low - 1, high) + shift, "right")

        each_block(len(group), find)
        return begin, stop


def _move(times: Int64, shift: Int64, group: NDArray[Any]) -> None:
    """Move times into the windows of their groups, in place."""

    def move(block: slice) -> None:
        times[block] += shift[group[block]]

    each_block(len(times), move)


def crosses_threads(trace: Trace, chosen: Int64) -> Bools:
    """Ranges that another thread closes: to them belong the launches of their whole process."""
    ranges = trace.ranges
    crossing: Bools = ranges.start_end[chosen] & (ranges.end_thread[chosen] != ranges.thread[chosen])
    return crossing
