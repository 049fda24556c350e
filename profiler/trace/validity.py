"""Rows whose times say nothing are left out and counted: never swapped, never taken for zero."""

from __future__ import annotations

from collections.abc import MutableMapping

from .columns import Columns

Invalid = MutableMapping[tuple[str, str], int]
"""(reason, table) -> rows left out."""


def valid_times(columns: Columns, table: str, invalid: Invalid) -> Columns:
    """The rows that end no earlier than they start and whose times were collected; the others go into `invalid`."""
    reversed_ = columns["end"] < columns["start"]
    zero = (columns["start"] == 0) & (columns["end"] == 0)
    for reason, bad in (("reversed_times", reversed_), ("zero_timestamps", zero)):
        if bad.any():
            invalid[reason, table] = int(bad.sum())
    keep = ~(reversed_ | zero)
    return columns if keep.all() else {name: values[keep] for name, values in columns.items()}
