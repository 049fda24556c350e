"""Columns that are made when they are asked for, and columns of few values as codes."""

from dataclasses import dataclass

import numpy as np
import pytest
from aisp_prof.profiler.arrays import codes as module
from aisp_prof.profiler.arrays.codes import Codes, counted, joined, summed
from aisp_prof.profiler.arrays.groups import combined_codes
from aisp_prof.profiler.arrays.rows import Rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Pair(Rows):
    a: NDArray[np.int64]
    b: NDArray[np.int64]


class Counting:
    def __init__(self, **columns):
        self.columns, self.asked = columns, []

    def __len__(self):
        return len(self.columns["a"])

    def column(self, name, rows):
        self.asked.append(name)
        return self.columns[name]

    def codes(self, name):
        return None


def test_only_what_is_asked_for_is_made_and_only_once():
    supply = Counting(a=np.array([3, 1, 2]), b=np.array([5, 5, 6]))
    rows = Pair.supplied(supply)
    some = rows.take([True, False, True]).take(np.array([1, 0]))
    assert (len(rows), len(some), supply.asked) == (3, 2, [])
    assert some.b.tolist() == [6, 5]
    assert rows.b is rows.b
    assert supply.asked == ["b"]


def test_forgotten_columns_are_made_again_and_own_ones_stay():
    supply = Counting(a=np.array([3]), b=np.array([5]))
    rows = Pair.supplied(supply)
    assert rows.a[0] == 3
    rows.forget("a", "b")
    assert rows.a[0] == 3
    assert supply.asked == ["a", "a"]
    own = Pair(np.array([1]), np.array([2]))
    own.forget("a")
    assert own.a.tolist() == [1]


def test_what_is_no_column_is_an_error():
    with pytest.raises(AttributeError, match="Pair has no c"):
        Pair.supplied(Counting(a=np.array([3]))).c  # noqa: B018
    with pytest.raises(AttributeError, match="c"):
        Pair(np.array([1]), np.array([2])).c  # noqa: B018


numbers = st.sampled_from([0, 1, 2, -7, 1 << 40, -(1 << 62)])


@given(st.lists(st.tuples(numbers, numbers, st.integers(0, 3)), max_size=30), st.booleans())
def test_codes_are_the_column(rows, wide):
    columns = [np.array([row[i] for row in rows], np.int64) for i in range(3)]
    found = [Codes.of(column) for column in columns]
    if wide:  # values that occur nowhere
        found[2] = Codes(found[2].code, np.append(found[2].values, np.arange(10, 20)))
    for codes, column in zip(found, columns, strict=True):
        assert codes.values[codes.code].tolist() == column.tolist()
        assert dict(zip(codes.values.tolist(), codes.counts().tolist(), strict=True)) == {
            value: column.tolist().count(value) for value in codes.values.tolist()
        }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TABLE", 8 if wide else 1 << 20)
        group, count = joined(found)
    assert group.tolist() == combined_codes(columns).tolist()
    assert sorted(set(group.tolist())) == list(range(count))
    assert counted(group, count).tolist() == [group.tolist().count(i) for i in range(count)]
    expected = [sum(row[0] for row, own in zip(rows, group.tolist(), strict=True) if own == i) for i in range(count)]
    if all(abs(total) < 1 << 63 for total in expected):
        assert summed(group, count, columns[0]).tolist() == expected


def test_a_column_of_one_value_stays_one_value():
    codes = Codes.of(np.broadcast_to(np.int64(9), (1000,)))
    assert codes.take(np.arange(10)).code.strides == (0,)
    assert codes.values.tolist() == [9]
