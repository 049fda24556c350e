"""Which launches lie inside which ranges, as slices of the operations in the order in which they were launched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..trace.blocks import each_block
from ..trace.groups import distinct_codes
from ..trace.model import Trace
from ..trace.source.scan import Int64
from ..trace.windows import Windows, by_group

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """The operations that have a launch, ordered by their launch's thread (or process), then by when it was called.

    operation   row indices into `trace.operations`, shape (n,); those of one call lie together
    start, end  when the call began and returned, moved into its thread's window
    tidy        whether calls that begin later also return later: then what a range holds is one slice
    """

    keys: Int64
    windows: Windows
    operation: Int64
    start: Int64
    end: Int64
    tidy: bool

    @classmethod
    def of(cls, trace: Trace, key: Int64) -> LaunchOrder:
        """Order the operations by a column of the calls: `trace.calls.thread` or `.process`."""
        launch = trace.operations.launch
        operation = np.flatnonzero(launch >= 0)
        code, keys = distinct_codes(key[launch[operation]])
        if len(keys) > 1:
            order = by_group(code, len(keys))
            operation, code = operation[order], code[order]
        call = launch[operation]
        begin, finish = trace.calls.start[call], trace.calls.end[call]
        windows = Windows.of_sorted(code, begin, finish)
        if windows is None:
            raise OverflowError("more threads than 64 bits hold times of")
        begin += windows.shift[code]
        finish += windows.shift[code]
        if not _ascending(begin, call):
            order = np.lexsort((call, begin))
            operation, begin, finish = operation[order], begin[order], finish[order]
        return cls(keys, windows, operation, begin, finish, bool((finish[1:] >= finish[:-1]).all()))

    def slices(self, key: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64]:
        """For ranges of these keys and times the slice of `operation` that holds all that they launched.

        Where the order is not `tidy`, a slice may also hold calls that return after their range's end.
        """
        if not len(self.keys):
            return np.zeros(len(key), np.int64), np.zeros(len(key), np.int64)
        first, stop = np.empty(len(key), np.int64), np.empty(len(key), np.int64)

        def find(block: slice) -> None:
            first[block], stop[block] = self._slices(key[block], start[block], end[block])

        each_block(len(key), find)
        return first, stop

    def _slices(self, key: Int64, start: Int64, end: Int64) -> tuple[Int64, Int64]:
        code = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        low, high, shift = self.windows.low[code], self.windows.high[code], self.windows.shift[code]
        first = np.searchsorted(self.start, np.clip(start, low, high + 1) + shift, "left")
        bound = self.end if self.tidy else self.start
        stop = np.searchsorted(bound, np.clip(end, low - 1, high) + shift, "right")
        return first, np.where(self.keys[code] == key, np.maximum(stop, first), first)


def _ascending(begin: Int64, call: Int64) -> bool:
    """Whether the order stands already, calls that begin together one after the other."""
    later, same = begin[1:] > begin[:-1], begin[1:] == begin[:-1]
    return bool((later | (same & (call[1:] >= call[:-1]))).all())


def crosses_threads(trace: Trace, chosen: Int64) -> Bools:
    """Ranges that another thread closes: to them belong the launches of their whole process."""
    ranges = trace.ranges
    crossing: Bools = ranges.start_end[chosen] & (ranges.end_thread[chosen] != ranges.thread[chosen])
    return crossing
