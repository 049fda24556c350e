"""Rows with invalid times are left out and counted; times are never swapped or taken for zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays.blocks import each_block
from ...arrays.growing import constant
from ...arrays.types import Int64
from ...core.library import Column, core
from .columns import Columns, Invalid, picked

LATEST = 1 << 61
"""Times from here on are absurd: as ns since the session's start 73 years, as ns since 1970 the year 2043."""
LONGEST = 1 << 54
"""So are operations, calls and ranges of 208 days; sums of what is left stay within 64 bits."""


def timely(start: Int64, end: Int64, table: str, invalid: Invalid, zero: bool = True) -> NDArray[np.bool_]:
    """Which rows end no earlier than they start, at plausible times; the others are counted in `invalid`.

    Args:
        zero: whether a start and end of 0 mean that the times were not collected.
    """
    library = core()
    if (
        library is not None
        and library.aisp_timely(len(start), Column.of(start), Column.of(end), LATEST, LONGEST, int(zero)) == 1
    ):
        return constant(True, len(start), bool)
    keep = np.ones(len(start), bool)

    def judge(block: slice) -> dict[str, int]:
        faults = _faults(start[block], end[block])
        if not zero:
            del faults["zero_timestamps"]
        for bad in faults.values():
            keep[block] &= ~bad
        return {reason: int(bad.sum()) for reason, bad in faults.items()}

    for counts in each_block(len(start), judge):
        for reason, count in counts.items():
            if count:
                invalid[reason, table] = invalid.get((reason, table), 0) + count
    return keep


def _faults(start: Int64, end: Int64) -> dict[str, NDArray[np.bool_]]:
    absurd = (start >= LATEST) | (start <= -LATEST) | (end >= LATEST) | (end <= -LATEST)
    length = np.where(absurd, 0, end - start)
    return {
        "reversed_times": length < 0,
        "absurd_times": absurd | (length >= LONGEST),
        "zero_timestamps": (start == 0) & (end == 0),
    }


def valid_times(columns: Columns, table: str, invalid: Invalid) -> Columns:
    """The rows with valid times."""
    keep = timely(columns["start"], columns["end"], table, invalid)
    return columns if keep.all() else {name: picked(values, keep) for name, values in columns.items()}
