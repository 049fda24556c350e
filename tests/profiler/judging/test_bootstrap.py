"""Intervals against brute force and closed forms, in rounds, and the noise floor."""

from __future__ import annotations

from itertools import pairwise, product
from math import comb, sqrt
from statistics import median

import numpy as np
import pytest
from aisp_prof.profiler.judging import bootstrap
from aisp_prof.profiler.judging.bootstrap import (
    LEAST_EFFECTIVE,
    RESAMPLES,
    SEED,
    autocorrelation,
    effective_runs,
    median_interval,
    noise_floor,
    ratio_interval,
    student,
)
from aisp_prof.profiler.judging.rounds import Rounds, rounds_of

QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 19: 2.093, 59: 2.001}
"""Student's 97.5 % quantiles, from a printed table (Abramowitz & Stegun, table 26.10)."""


@pytest.mark.parametrize(("freedom", "quantile"), QUANTILES.items())
def test_students_quantiles_are_those_of_the_tables(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, abs=2e-3)
    assert student(freedom + 0.5) < student(freedom)


@pytest.mark.parametrize("n", [6, 7, 8, 12, 20, 61, 400])
def test_the_interval_of_independent_runs_covers_as_the_binomial_distribution_says(n):
    """The narrowest pair of ordered values, alike far from both ends, that holds the median in 95 % of all samples."""
    low, high = median_interval(range(n), independent=True)
    assert low + high == n - 1

    def covers(k):
        return 1 - 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n

    assert covers(int(low)) >= 0.95 > covers(int(low) + 1)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_below_six_runs_the_interval_is_all_there_is(n):
    values = [3.0, 1.0, 4.0, 1.5, 9.0][:n]
    assert median_interval(values, independent=True) == (min(values), max(values))


def test_what_is_like_its_neighbours_counts_for_less():
    rng = np.random.default_rng(1)
    alike = np.repeat(rng.random(10), 6)
    mixed = rng.permutation(alike)
    assert autocorrelation(alike) > 0.7
    assert autocorrelation(mixed) < 0.2
    assert LEAST_EFFECTIVE <= effective_runs(alike) < effective_runs(mixed) < 60
    narrow, wide = median_interval(mixed), median_interval(alike)
    assert wide[0] < narrow[0]
    assert narrow[1] < wide[1]
    assert median_interval(mixed, independent=True) == median_interval(alike, independent=True)


def test_the_effective_number_is_that_of_the_formula():
    values = [3, 4, 4, 2, 7, 6, 3, 4, 2, 5, 2, 3]
    mean = sum(values) / 12
    off = [value - mean for value in values]
    r = sum(a * b for a, b in pairwise(off)) / sum(a * a for a in off)
    assert autocorrelation(values) == pytest.approx(r)
    r += (1 + 3 * r) / 12
    r = min(0.99, r + 0.9 * sqrt(1 - r * r) / sqrt(12))
    assert effective_runs(values) == pytest.approx(max(2, 12 * (1 - r) / (1 + r)))


def test_first_runs_that_stand_apart_do_not_make_the_others_alike():
    """Two slow ones of twenty, as clocks that had not settled leave them; a level in the middle is one all the same."""
    later = [0.980, 0.989, 0.983, 0.990, 0.984, 0.988, 0.981, 0.987, 0.985, 0.986, 0.982, 0.989, 0.983, 0.990, 0.984, 0.988, 0.981, 0.987]  # fmt: skip
    unsettled, between = [0.904, 0.901, *later], [*later[:9], 0.904, 0.901, *later[9:]]
    assert effective_runs(unsettled) == 20
    assert effective_runs(between) < 12
    assert effective_runs([0.904, 0.901, 0.903, *later[:17]]) < 12  # more than a tenth
    assert effective_runs([0.975, *later, 0.985]) <= effective_runs([*later, 0.985, 0.984])  # not apart


@pytest.mark.parametrize(
    ("slow", "inside"),
    [
        ({4, 5}, True),
        ({4, 11}, True),
        ({19}, False),
        ({7}, False),  # one run apart is an outlier
        ({0, 1}, False),  # clocks that had not settled
        ({0, 1, 2}, True),
    ],
)
def test_both_of_two_levels_are_inside(slow, inside):
    """Two clocks three per cent apart: which has more of the process nobody knows."""
    rng = np.random.default_rng(3)
    values = [1 + 0.001 * rng.random() + (0.03 if place in slow else 0) for place in range(20)]
    low, high = median_interval(values)
    assert (high >= 1.03) is inside
    assert low < 1.001
    assert median_interval(values, independent=True)[1] < 1.01


def test_spread_out_slow_runs_are_no_level():
    rng = np.random.default_rng(4)
    values = [1 + 0.001 * rng.random() for _ in range(20)]
    values[5], values[12] = 1.5, 2.4
    assert median_interval(values)[1] < 1.01


def test_what_never_varies_counts_in_full_and_has_no_width():
    assert (autocorrelation([5] * 8), effective_runs([5] * 8), median_interval([5] * 8)) == (0, 8, (5, 5))


def sequence(order):
    """When the runs of A and those of B began."""
    return [[at for at, letter in enumerate(order) if letter == mine] for mine in "AB"]


ORDERS = {
    "ABBA" * 4: 8,
    "ABBABAAB" * 2: 8,
    "AB" * 8: 8,
    "AABB" * 4: 4,
    "A" * 8 + "B" * 8: 1,
    "ABB" * 5: 5,
    "BBA" * 5: 5,
    "AB" * 5 + "A": 5,
    "BA" * 5 + "B": 5,
    "AAABBB" * 2: 2,
    "A": 1,
}


@pytest.mark.parametrize(("order", "count"), [(order, n) for order, n in ORDERS.items() if "B" in order])
def test_a_round_ends_where_both_have_had_their_turns(order, count):
    first, second = sequence(order)
    rounds = rounds_of(first, second)
    assert rounds.count == count
    for which in (rounds.first, rounds.second):
        assert (np.diff(which) >= 0).all()
        assert set(which.tolist()) == set(range(count))
    per_round = [(int((rounds.first == i).sum()), int((rounds.second == i).sum())) for i in range(count - 1)]
    assert len(set(per_round)) <= 1


def brute_force(numerator, denominator, rounds):
    """Each resample written out, run by run."""
    generator = np.random.default_rng(SEED)
    for drawn in generator.integers(0, rounds.count, (RESAMPLES, rounds.count)).tolist():
        first = [v for i in drawn for v, r in zip(numerator, rounds.first, strict=True) if r == i]
        second = [v for i in drawn for v, r in zip(denominator, rounds.second, strict=True) if r == i]
        yield median(first) / median(second)


@pytest.mark.parametrize("order", ["ABBA" * 4, "ABB" * 6, "AB" * 7 + "A", "ABAABB" * 3])
@pytest.mark.parametrize("at_once", [1, 1000, 1 << 22])
def test_whole_rounds_are_resampled_together(order, at_once, monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 300)
    monkeypatch.setitem(globals(), "RESAMPLES", 300)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", at_once)
    bootstrap._kept.cache_clear()
    rng = np.random.default_rng(2)
    first, second = sequence(order)
    a, b = (rng.integers(900, 1100, len(part)).tolist() for part in (first, second))
    rounds = rounds_of(first, second)
    assert bootstrap._ratios(a, b, rounds).tolist() == list(brute_force(a, b, rounds))
    bootstrap._kept.cache_clear()


def test_the_interval_of_a_ratio_is_that_of_every_resample_there_is(monkeypatch):
    """With three rounds of one run each there are 27 resamples: with very many drawn, their shares are known exactly."""
    a, b = [100.0, 130.0, 160.0], [90.0, 100.0, 110.0]
    one = np.arange(3)
    every = sorted(median(a[i] for i in drawn) / median(b[i] for i in drawn) for drawn in product(range(3), repeat=3))
    low, high = ratio_interval(a, b, Rounds(one, one, 3))
    assert (low, high) == (every[0], every[-1])  # three rounds say so little that the interval is all there is
    drawn = bootstrap._ratios(a, b, Rounds(one, one, 3))
    for value in set(every):
        assert np.isclose(drawn, value).mean() == pytest.approx(np.isclose(every, value).mean(), abs=0.02)


def test_what_slows_a_whole_round_slows_both():
    """Two clocks 3 % apart, round by round: as independent runs the ratio lies anywhere, in rounds it is known exactly."""
    level = np.array([1.0, 1.03] * 10)
    one = np.arange(20)
    assert ratio_interval(1050 * level, 1000 * level, Rounds(one, one, 20)) == pytest.approx((1.05, 1.05))


def test_the_floor_is_what_even_and_odd_rounds_differ_by():
    assert noise_floor([5, 5, 5, 5], np.arange(4)) == 0
    assert noise_floor([100, 101, 100, 101, 100, 101], np.arange(6)) == pytest.approx(1 - 100 / 101)
    assert noise_floor([100, 300, 202, 202, 7], np.array([0, 0, 1, 1, 2])) == pytest.approx(1 - 200 / 202)
