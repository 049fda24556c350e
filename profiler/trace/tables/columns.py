"""Read a table's columns: integers stay int64 exactly, NULLs become a stated value or leave their row out."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ....errors import TraceError
from ...arrays.growing import constant, is_constant
from ...arrays.types import Int64
from ..schema import Schema
from ..source.scan import Scan, Source, Wanted, told

_Kind = TypeVar("_Kind", bound=np.generic)
Columns = dict[str, Int64]
Invalid = MutableMapping[tuple[str, str], int]
"""(reason, table) -> rows left out."""

NONE = -1
"""Stands for an id, a kind or a size that is NULL or not in the table: none of these is ever negative."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to read of a table.

    required   columns that every version of the table has, never NULL
    optional   column -> what stands in where it is missing or NULL
    nullable   optional columns whose NULLs mean something: they also come as masks in `Table.null`
    reals, texts   optional columns of these kinds
    """

    required: Sequence[str]
    optional: Mapping[str, int] = field(default_factory=dict)
    nullable: Sequence[str] = ()
    reals: Sequence[str] = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length with their `rowid` as "row"; `scan` still holds the reals and texts."""

    columns: Columns
    null: dict[str, NDArray[np.bool_]]
    scan: Scan

    def __len__(self) -> int:
        return len(self.columns["row"])


def read_table(source: Source, schema: Schema, table: str, wish: Wish, invalid: Invalid) -> Table:
    """The wanted columns of a table; no rows if there is no such table.

    A row with NULL in a required column is left out and counted as `missing_values`.

    Raises:
        TraceError: a required column is missing, or a value is of the wrong kind (the table, column and row are named).
    """
    if table not in schema.tables:
        return _empty(wish)
    absent = [column for column in wish.required if not schema.has(table, column)]
    if absent:
        version = told(schema.version) or "unknown"
        raise TraceError(f"{schema.path}: table {table} has no column {', '.join(absent)} (schema version {version})")
    here = [column for column in (*wish.optional, *wish.nullable) if schema.has(table, column)]
    reals = tuple(column for column in wish.reals if schema.has(table, column))
    texts = tuple(column for column in wish.texts if schema.has(table, column))
    scan = source.scan(schema.tables[table], Wanted((*wish.required, *here), reals, texts))
    _leave_out_nulls(scan, wish.required, table, invalid)
    columns: Columns = {"row": scan.row}
    null: dict[str, NDArray[np.bool_]] = {}
    for name in (*wish.required, *wish.optional, *wish.nullable):
        column = scan.integers.pop(name, None)
        stand_in = wish.optional.get(name, 0)
        columns[name] = constant(stand_in, len(scan), np.int64) if column is None else column.filled(stand_in)
        if name in wish.nullable:
            null[name] = constant(True, len(scan), bool) if column is None else column.is_null
    return Table(columns, null, scan)


def _leave_out_nulls(scan: Scan, required: Sequence[str], table: str, invalid: Invalid) -> None:
    masks = [null for name in required if (null := scan.integers[name].null) is not None and null.any()]
    if not masks:
        return
    bad = np.logical_or.reduce(masks)
    invalid["missing_values", table] = int(bad.sum())
    keep = ~bad
    scan.row = scan.row[keep]
    for column in scan.integers.values():
        column.values = column.values[keep]
        column.null = None if column.null is None else column.null[keep]
    scan.reals = {name: values[keep] for name, values in scan.reals.items()}
    for texts in scan.texts.values():
        texts.codes = texts.codes[keep]


def _empty(wish: Wish) -> Table:
    names = ("row", *wish.required, *wish.optional, *wish.nullable)
    nothing = np.empty(0, np.int64)
    return Table(dict.fromkeys(names, nothing), {n: np.empty(0, bool) for n in wish.nullable}, Scan(nothing))


def picked(column: NDArray[_Kind], chosen: NDArray[Any]) -> NDArray[_Kind]:
    """`column[chosen]` for a mask or for indices, a constant stays one."""
    if is_constant(column):
        return constant(column[0], int(chosen.sum()) if chosen.dtype == np.bool_ else len(chosen), column.dtype)
    taken: NDArray[_Kind] = column[chosen]
    return taken
