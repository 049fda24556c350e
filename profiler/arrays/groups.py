"""Small numbers for the distinct values of long columns, without sorting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.library import Column, core
from .blocks import each_block, gathered
from .growing import constant, is_constant
from .places import Places
from .types import Int64

_Kind = TypeVar("_Kind", bound=np.generic)

_SAMPLE = 4096
_FEW = 1 << 12


def distinct_values(values: Int64) -> Int64:
    """The distinct values of a column in ascending order.

    Dense values are ticked off in a table. Of sparse ones, such as process keys, a sample is taken and then completed;
    the column is sorted only where there are many of them.
    """
    if not len(values) or is_constant(values):
        return values[:1].copy()
    few = _few_values(values)
    if few is not None:
        return few
    low, high = int(values.min()), int(values.max())
    if _dense(low, high, len(values)):
        seen = np.zeros(high - low + 1, bool)

        def tick(block: slice) -> None:
            seen[values[block] - low] = True

        each_block(len(values), tick)
        return np.flatnonzero(seen) + low
    distinct = np.unique(values[:: max(1, len(values) // _SAMPLE)])
    while len(distinct) <= _FEW:
        look = partial(_missing_block, values, distinct, Places(distinct))
        missed = np.concatenate(each_block(len(values), look))
        if not len(missed):
            return distinct
        distinct = np.union1d(distinct, missed)
    return ascending(values)


def ascending(values: Int64) -> Int64:
    """The distinct values in ascending order, by sorting: np.unique hashes integers since numpy 2.3, which takes 5 to 200 times as
    long where most of a million differ, the longer the more of them stand in order."""
    ordered = np.sort(values, kind="stable")
    first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def _few_values(values: Int64) -> Int64 | None:
    """The distinct values by the compiled core, where it is and they are few."""
    library = core()
    if library is None or values.dtype != np.int64:
        return None

    def some(block: slice) -> Int64 | None:
        mine, found = values[block], np.empty(_FEW, np.int64)
        count: int = library.aisp_distinct(len(mine), Column.of(mine), _FEW, found.ctypes.data)
        return None if count < 0 else found[:count]

    parts = each_block(len(values), some)
    together = [part for part in parts if part is not None]
    if len(together) < len(parts):
        return None
    distinct = np.unique(np.concatenate(together))
    return distinct if len(distinct) <= _FEW else None


def few_codes(values: Int64) -> tuple[NDArray[Any], Int64] | None:
    """As `distinct_codes`, in one pass by the compiled core, the codes in a byte or two; None where it is not there, or there are more
    than 4096 values."""
    library = core()
    if library is None or values.dtype != np.int64 or not len(values):
        return None
    column, found = Column.of(values), np.empty(_FEW, np.int64)
    for kind, most in ((np.uint8, 256), (np.uint16, _FEW)):
        code = np.empty(len(values), kind)
        where = found.ctypes.data, code.itemsize, code.ctypes.data
        count: int = library.aisp_coded(len(values), column, most, *where)
        if count > 0:
            order = np.argsort(found[:count])
            place = np.empty(count, kind)
            place[order] = np.arange(count)
            in_order = bool((order[1:] > order[:-1]).all())
            return code if in_order else gathered(place, code), found[order]
    return None


def mapped(values: Int64, told: Callable[[Int64], NDArray[_Kind]]) -> NDArray[_Kind]:
    """For every value what `told` makes of it, which is asked once, of the distinct values in ascending order."""
    few = None if is_constant(values) else few_codes(values)
    if few is None:
        distinct = distinct_values(values)
        return looked_up(values, distinct, told(distinct))
    code, distinct = few
    results = told(distinct)
    return constant(results[0], len(values), results.dtype) if len(results) == 1 else gathered(results, code)


def _dense(low: int, high: int, length: int) -> bool:
    return high - low < 2 * length + (1 << 16)


def _missing_block(whole: Int64, known: Int64, places: Places, block: slice) -> Int64:
    """Some of a block's values that are not known, at most about `_SAMPLE` of them."""
    values = whole[block]
    missed = values[known[places.of(values)] != values]
    some: Int64 = missed[:: max(1, len(missed) // _SAMPLE)]
    return some


def looked_up(values: Int64, distinct: Int64, results: NDArray[_Kind]) -> NDArray[_Kind]:
    """`results[i]` where a value is `distinct[i]`; every value must be among them."""
    if len(distinct) == 1:
        return constant(results[0], len(values), results.dtype)
    out = np.empty(len(values), results.dtype)
    if _found(values, distinct, results, out):
        return out
    if len(distinct) and _dense(int(distinct[0]), int(distinct[-1]), len(values)):
        low = int(distinct[0])
        table = np.zeros(int(distinct[-1]) - low + 1, results.dtype)
        table[distinct - low] = results

        def look_up(block: slice) -> None:
            out[block] = table[values[block] - low]
    else:
        places = Places(distinct)

        def look_up(block: slice) -> None:
            out[block] = results[places.of(values[block])]

    each_block(len(values), look_up)
    return out


def _found(values: Int64, distinct: Int64, results: NDArray[np.generic], out: NDArray[np.generic]) -> bool:
    """Whether the compiled core looked them all up."""
    library = core()
    if library is None or not 0 < len(distinct) <= _FEW or values.dtype != np.int64 or results.dtype.hasobject:
        return False
    known, told = np.ascontiguousarray(distinct, np.int64), np.ascontiguousarray(results)
    where = len(known), known.ctypes.data, told.ctypes.data, told.itemsize

    def look_up(block: slice) -> bool:
        mine = values[block]
        code: int = library.aisp_look_up(len(mine), Column.of(mine), *where, out[block].ctypes.data)
        return code == 0

    return all(each_block(len(values), look_up))


def distinct_codes(values: Int64) -> tuple[Int64, Int64]:
    """Each element's place among the distinct values.

    Args:
        values: shape (n,).

    Returns:
        codes of shape (n,) and the distinct values in ascending order, so that `distinct[codes] == values`.
    """
    if not is_constant(values) and (few := few_codes(values)) is not None:
        return few[0].astype(np.int64), few[1]
    distinct = distinct_values(values)
    if len(distinct) > _FEW and not _dense(int(distinct[0]), int(distinct[-1]), len(values)):
        return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64), distinct
    return looked_up(values, distinct, np.arange(len(distinct))).astype(np.int64, copy=False), distinct


def combined_codes(columns: Iterable[Int64]) -> Int64:
    """One small number for each distinct row of several columns, ascending in the order of the rows' values."""
    codes: Int64 | None = None
    for column in columns:
        mine, distinct = distinct_codes(column)
        if codes is None:
            codes = mine
        elif len(distinct) > 1:
            codes = distinct_codes(codes * len(distinct) + mine)[0]
    return np.empty(0, np.int64) if codes is None else codes


def any_of(codes: NDArray[np.int8], wanted: Iterable[int]) -> NDArray[np.bool_]:
    """Which of these small, non-negative codes are wanted."""
    found = np.zeros(len(codes), bool)
    for one in wanted:
        found |= codes == one
    return found
