"""The interval algebra against a brute-force version that looks at every nanosecond."""

import numpy as np
import pytest
from aisp_prof.profiler.arrays.intervals import Bounds, Intervals, at_least, union
from hypothesis import given
from hypothesis import strategies as st

bound = st.integers(-20, 40)
raw = st.lists(st.tuples(bound, bound).map(sorted), max_size=12)


def points(pairs: list[list[int]]) -> list[int]:
    """Every nanosecond that each interval covers, one entry an interval: the obvious definition."""
    return [t for start, end in pairs for t in range(start, end)]


def covered(found: Intervals) -> set[int]:
    return {t for s, e in zip(found.start, found.end, strict=True) for t in range(s, e)}


def columns(pairs: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def is_normal(found: Intervals) -> bool:
    return bool((found.end > found.start).all() and (found.start[1:] > found.end[:-1]).all())


@given(raw)
def test_union_covers_the_points_and_nothing_else(pairs):
    found = union(*columns(pairs))
    assert covered(found) == set(points(pairs))
    assert found.length == len(set(points(pairs)))
    assert is_normal(found)


@given(raw, raw)
def test_set_operations_are_those_of_point_sets(left, right):
    a, b = union(*columns(left)), union(*columns(right))
    for found, expected in (
        (a & b, covered(a) & covered(b)),
        (a | b, covered(a) | covered(b)),
        (a - b, covered(a) - covered(b)),
    ):
        assert covered(found) == expected
        assert is_normal(found)
    assert a.length + b.length - (a & b).length == (a | b).length


@given(raw)
def test_gaps_and_pieces_make_the_span(pairs):
    found = union(*columns(pairs))
    if len(found):
        assert found.length + found.gaps.length == found.end[-1] - found.start[0]
        assert not len(found & found.gaps)


@given(raw, st.integers(1, 5))
def test_at_least_counts_every_interval(pairs, k):
    every = points(pairs)
    assert covered(at_least(*columns(pairs), k)) == {t for t in every if every.count(t) >= k}


@given(raw)
def test_the_most_in_flight_is_that_of_some_instant(pairs):
    every = points(pairs)
    assert Bounds.of(*columns(pairs)).most() == max((every.count(t) for t in every), default=0)


def test_touching_intervals_join_and_do_not_overlap():
    found = union([0, 5], [5, 9])
    assert (found.start.tolist(), found.end.tolist()) == ([0], [9])
    assert Bounds.of([0, 5], [5, 9]).most() == 1
    assert at_least([0, 5], [5, 9], 2).length == 0


def test_zero_length_intervals_add_nothing():
    assert union([3, 3], [3, 3]).length == 0
    assert Bounds.of([0, 3], [9, 3]).most() == 1


def test_large_times_stay_exact():
    start = 2**62
    assert union([start], [start + 1]).length == 1
    assert (union([start], [start + 3]) - union([start + 1], [start + 2])).length == 2


def test_normal_forms_compare_and_have_no_hash():
    assert union([0], [1]) == union([0, 0], [1, 1])
    assert union([0], [1]) != "intervals"
    with pytest.raises(TypeError):
        hash(union([0], [1]))
