"""The parabola through a sweep's medians: against exact normal equations, against what made the times, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import CannotTell, UsageError
from aisp_prof.profiler.judging.bootstrap import student
from aisp_prof.profiler.queries.scaling import read_scaling
from sweeps import OFF, SIZES, TERMS, stored, sweep


def by_force(sizes: Any, times: Any) -> tuple[Fraction, Fraction, Fraction, Fraction, Fraction]:
    """a, b, both variances of a relative least squares by exact fractions, and the residuals' variance."""
    rows = [
        (Fraction(size) / Fraction(time), Fraction(size**2) / Fraction(time))
        for size, time in zip(sizes, times, strict=True)
    ]
    uu, uv, vv = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    u, v = sum(row[0] for row in rows), sum(row[1] for row in rows)
    whole = uu * vv - uv * uv
    a, b = (u * vv - v * uv) / whole, (v * uu - u * uv) / whole
    left = sum((a * row[0] + b * row[1] - 1) ** 2 for row in rows) / (len(rows) - 2)
    return a, b, left * vv / whole, left * uu / whole, left


def test_the_fit_is_the_least_squares_of_relative_errors(tmp_path: Path) -> None:
    found = read_scaling(stored(tmp_path))
    for growth in found.growths:
        times = [Fraction(point.median_ns) for point in growth.points]
        a, b, of_a, of_b, left = by_force(SIZES, times)
        assert growth.linear.value == pytest.approx(float(a), rel=1e-9)
        assert growth.square.value == pytest.approx(float(b), rel=1e-9)
        for term, variance in ((growth.linear, of_a), (growth.square, of_b)):
            assert term.high - term.value == pytest.approx(student(len(SIZES) - 2) * float(variance) ** 0.5, rel=1e-6)
            assert term.value - term.low == pytest.approx(term.high - term.value)
        assert growth.spread == pytest.approx(float(left) ** 0.5, rel=1e-6)
        assert growth.even_at == pytest.approx(float(a / b), rel=1e-9)


def test_the_sweep_of_the_documentation_is_what_it_says() -> None:
    """docs/attention.md's table, from the file beside it."""
    docs = Path(__file__).parents[3] / "docs"
    page = (docs / "attention.md").read_text(encoding="utf-8")
    for growth in read_scaling(docs / "examples/attention/scaling-h200.json").growths:
        a, b, *_ = by_force([one.size for one in growth.points], [Fraction(one.median_ns) for one in growth.points])
        assert growth.square.value == pytest.approx(float(b), rel=1e-9)
        assert all(one.n == 20 for one in growth.points)
        assert f"| {float(a) * 1e3:.0f} [" in page
        assert f"| {8192 / float(b) / 1e3:.0f}" in page


def test_what_made_the_times_is_within_the_intervals(tmp_path: Path) -> None:
    for growth in read_scaling(stored(tmp_path)).growths:
        for term, true in zip((growth.linear, growth.square), TERMS[growth.variant], strict=True):
            assert term.low < true < term.high
            assert term.value != true
        assert growth.rate is not None
        assert growth.rate.low < 8192 / TERMS[growth.variant][1] * 1e9 < growth.rate.high


def test_without_noise_it_is_exact(tmp_path: Path) -> None:
    path = stored(tmp_path, sweep({"one": (4096.0, 16.0)}, off=[0.0] * len(SIZES), runs=1))
    (growth,) = read_scaling(path).growths
    assert growth.linear.value == pytest.approx(4096.0)
    assert growth.square.value == pytest.approx(16.0)
    assert growth.even_at == pytest.approx(256.0)
    assert growth.spread < 1e-9


def test_every_point_says_what_was_measured(tmp_path: Path) -> None:
    growth = read_scaling(stored(tmp_path)).growths[1]
    a, b = TERMS["optimized"]
    for point, size, off in zip(growth.points, SIZES, OFF, strict=True):
        assert (point.size, point.n) == (size, 6)
        assert point.median_ns == pytest.approx((a * size + b * size**2) * (1 + off), rel=1e-3)
        assert point.low_ns <= point.median_ns <= point.high_ns
        assert point.fitted_ns == pytest.approx(growth.linear.value * size + growth.square.value * size**2)
        assert point.residual == pytest.approx(1 - point.fitted_ns / point.median_ns)
        assert point.rate == pytest.approx(8192 * size**2 / point.median_ns * 1e9)


def test_operations_that_are_no_square_name_no_rate(tmp_path: Path) -> None:
    data = sweep(TERMS)
    data["records"][0]["declared"]["optimized"] = {"flops": 1, "bytes": 1}
    first, last = read_scaling(stored(tmp_path, data)).growths
    assert first.rate is not None
    assert last.rate is None


def broken(**changes: Any) -> dict[str, Any]:
    data = sweep(TERMS)
    data["records"][1] = {**data["records"][1], **changes}
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"schema": 1}, "pair is missing"),
        ({**sweep(TERMS), "schema": 2}, "schema"),
        ({**sweep(TERMS), "over": "tokens"}, "no size 'tokens'"),
        (broken(validation={"valid": False}), "were not checked, or were wrong"),
        (broken(iterations=[{"variant": "baseline", "event_ns": 5}]), "optimized was not measured at every size"),
        (broken(iterations=[{"variant": "baseline", "event_ns": 0}]), "event_ns"),
    ],
)
def test_what_is_no_sweep_is_refused(data: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_scaling(stored(tmp_path, data))


def test_three_sizes_leave_no_interval(tmp_path: Path) -> None:
    with pytest.raises(CannotTell, match="holds 3 sizes"):
        read_scaling(stored(tmp_path, sweep(TERMS, SIZES[:3], OFF[:3])))
    with pytest.raises(UsageError, match="cannot read"):
        read_scaling(tmp_path / "none.json")
