"""The operations that sets are made of, with what tells their streams apart."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.ledger import match_launches
from ..analysis.selection import selected
from ..analysis.streams import share_their_stream
from ..arrays.blocks import gathered
from ..arrays.types import Bools, Int64
from ..trace.model import MIGRATION, Operations, Trace
from .attribution import CallOrder


class Work:
    """Operations of a trace in some order, arrays of shape (n,). What follows from them is made when it is asked for."""

    def __init__(self, trace: Trace, operations: Operations, order: Int64 | None = None) -> None:
        """`order` are the operations' row indices in the trace; None where they are all of it, as they lie there."""
        self.trace, self.operations, self._order = trace, operations, order
        self._selected: dict[str, Bools] = {}
        self._flat: dict[str, NDArray[Any]] = {}

    @classmethod
    def whole(cls, trace: Trace) -> Work:
        """All operations, launched or not."""
        return cls(trace, trace.operations)

    @classmethod
    def launched(cls, trace: Trace, order: CallOrder) -> Work:
        """Those that have a launch, in the order of their launches: what ranges hold are slices of it."""
        return cls(trace, trace.operations.take(order.item), order.item)

    def selected(self, selector: str) -> Bools:
        """Which of them a word means (`analysis.selection`)."""
        if selector not in self._selected:
            self._selected[selector] = selected(self.operations, self.trace.strings, selector)
        return self._selected[selector]

    def flat(self, name: str) -> NDArray[Any]:
        """A column of the operations one element after the other, also where all are the same, made once."""
        if name not in self._flat:
            self._flat[name] = np.ascontiguousarray(getattr(self.operations, name))
        return self._flat[name]

    @cached_property
    def lane(self) -> NDArray[Any]:
        """A number for each stream."""
        return self._gathered(self._lanes)

    @cached_property
    def tangled(self) -> Bools:
        """Shares time with another operation of its own stream, as dependent launches do."""
        of_trace = self.trace.operations
        return self._gathered(share_their_stream(self._lanes, of_trace.start, of_trace.end))

    @cached_property
    def migrates(self) -> bool:
        """Whether there are migrations of unified memory, which lie on no stream."""
        return bool((self.operations.kind == MIGRATION).any())

    @cached_property
    def launched_at(self) -> Int64:
        """When each one's launch was called, ns; of one without a launch when it began."""
        at, known = self.operations.start.copy(), self.operations.launch >= 0
        at[known] = self.trace.calls.start[self.operations.launch[known]]
        return at

    @cached_property
    def _lanes(self) -> NDArray[Any]:
        return self.trace.operations.lanes()

    def _gathered(self, column: NDArray[Any]) -> NDArray[Any]:
        return column if self._order is None else gathered(column, self._order)


class Launches:
    """A trace's launches as ranges look for them, each order made once."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._orders: dict[str, CallOrder] = {}

    def order(self, key: str) -> CallOrder:
        """The operations by `thread` or by `process`."""
        if key not in self._orders:
            self._orders[key] = CallOrder.of_operations(self.trace, key)
        return self._orders[key]

    @cached_property
    def work(self) -> Work:
        return Work.whole(self.trace)

    @cached_property
    def dropped(self) -> Int64:
        """Launches whose work is not in the trace, though nothing excuses it."""
        return match_launches(self.trace).dropped
