"""Sums of a trace's times and sizes fit 64 bits, or the trace is refused: a sum that wraps around would be a wrong number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ....errors import TraceError
from ...arrays.blocks import each_block
from ..model import Calls, Operations, Ranges

LARGEST = 2.0**62
"""146 years of GPU time, or 4 EiB copied: no program did that, and below it no order of addition can overflow."""


def refuse_absurd_times(path: Path, what: str, rows: Operations | Calls | Ranges) -> None:
    """Check the lengths that every command adds up.

    Raises:
        TraceError: they add up to something absurd.
    """
    start, end = rows.start, rows.end
    if sum(each_block(len(start), lambda block: _sum(end[block] - start[block]))) > LARGEST:
        raise TraceError(f"{path}: the {what} last longer than can be added up: their times are not measured ones")


def refuse_absurd_sizes(path: Path, operations: Operations) -> None:
    """Check the bytes, and the copies of batches, that every command adds up.

    Raises:
        TraceError: they add up to something absurd, or a size is negative.
    """
    if _sum(operations.copies) > LARGEST:
        raise TraceError(f"{path}: batches of absurdly many copies: they are not measured ones")
    if len(operations.bytes) and (_sum(operations.bytes) > LARGEST or int(operations.bytes.min()) < -1):
        raise TraceError(f"{path}: copies and memsets of absurd sizes: they are not measured ones")


def _sum(values: NDArray[Any]) -> float:
    return float(values.sum(dtype="float64"))
