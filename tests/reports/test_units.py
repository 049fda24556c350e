"""Numbers as a reader meets them."""

from __future__ import annotations

import math

import pytest
from aisp_prof.reports import units


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9043, "ratio", "90.4%"),
        (0.99996, "ratio", "100.00%"),
        (0.00001, "ratio", "0.00%"),
        (1, "ratio", "100%"),
        (0.0, "ratio", "0%"),
        (2.153, "x", "2.15×"),
        (12.66, "x", "12.7×"),
        (12_660_000, "ns", "12.66\u00a0ms"),
        (4_321, "ns", "4.32\u00a0µs"),
        (55.19e9, "B/s", "55.19\u00a0GB/s"),
        (16, "count", "16"),
        (16.0, "count", "16"),
        (1_344, "count", "1,344"),
        (None, "x", "–"),
        (math.nan, "ns", "–"),
        (math.inf, "ratio", "–"),
    ],
)
def test_a_quantity_has_its_unit(value: float | None, unit: str, text: str) -> None:
    assert units.quantity(value, unit) == text


def test_nearly_all_is_not_all() -> None:
    assert units.percent(0.9999) == "99.99%"
    assert units.percent(0.9994) == "99.9%"


def test_a_column_has_one_number_of_decimals() -> None:
    assert units.column_ms([12_660_000, 304_000, None, 0]) == ["12.66", "0.30", "–", "0.00"]
    assert units.column_ms([450_000, 12_000]) == ["0.450", "0.012"]
    assert units.column([None, None]) == ["–", "–"]


def test_signs_are_signs() -> None:
    assert units.signed_ms(-7_370_000, 2) == "−7.37"
    assert units.signed_ms(784_000, 2) == "+0.78"
    assert units.signed_ms(0, 2) == "0.00"
    assert units.signed_ms(-1, 2) == "0.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.41, "0.41"), (5.28, "5.28"), (1965, "1,965"), (2.5, "2.5"), (1e-6, "1e−6"), (math.nan, "–"), (-0.5, "−0.5")],
)
def test_a_single_number_has_no_idle_digits(value: float, text: str) -> None:
    assert units.sensible(value) == text


def test_nothing_has_no_decimals() -> None:
    assert units.quantity(0.0, "FLOP/B") == "0\u00a0FLOP/B"
    assert units.quantity(0.0, "FLOP/s") == "0\u00a0FLOP/s"


def test_the_ends_of_a_narrow_interval_differ() -> None:
    assert units.factors(2.176, 2.185) == ("2.18", "2.19")
    assert units.factors(1.436, 1.4401) == ("1.436", "1.440")
    assert units.factors(15.81231, 15.81239) == ("15.8", "15.8")


def test_durations_choose_their_unit() -> None:
    assert [units.duration(ns) for ns in (12, 1_500, 2_000_000, 3_000_000_000)] == [
        "12\u00a0ns",
        "1.50\u00a0µs",
        "2.00\u00a0ms",
        "3.00\u00a0s",
    ]


@pytest.mark.parametrize(
    ("value", "other", "text"),
    [
        (1.004, 1.0, "1.004"),
        (0.9996, 1.0, "0.9996"),
        (1.0, 1.0, "1.00"),
        (1.05, 1.0, "1.05"),
        (1.2000004, 1.2, "1.200000"),
        (10.04, 10.0, "10.04"),
        (1.71, None, "1.71"),
    ],
)
def test_a_factor_has_the_digits_that_tell_it_from_its_threshold(value: float, other: float | None, text: str) -> None:
    assert units.factor(value, other) == text
    assert units.quantity(value, "x", other) == f"{text}×"
