"""When two captures tell the same story of one number, and what bound they then support."""

from __future__ import annotations

import pytest
from aisp_prof.profiler.expect.derive import disagreement, entry_of
from aisp_prof.profiler.expect.model import Measurement
from aisp_prof.profiler.expect.observe import Observation


def counted(capture: str, low: float, high: float) -> Observation:
    """Launches of an iteration, from `low` to `high` in the iterations of one capture."""
    measured = Measurement(capture, (low + high) / 2, low, high, 20, 0.0)
    return Observation("optimized", "kernels_per_iteration", "trace", "count", "less", measured)


@pytest.mark.parametrize(
    ("newest", "older", "differ"),
    [
        ((8, 8), (8, 8), False),
        ((8, 8), (9, 9), True),
        ((1046, 1310), (1046, 1358), False),  # a controller that chooses among level configurations
        ((1046, 1310), (1310, 1400), False),
        ((1046, 1310), (1311, 1400), True),
        ((1311, 1400), (1046, 1310), True),
        ((8, 8), (8, 9), True),  # what never varied has begun to
        ((8, 9), (8, 8), True),
    ],
)
def test_counts_that_vary_in_both_agree_where_their_ranges_meet(
    newest: tuple[int, int], older: tuple[int, int], differ: bool
) -> None:
    assert disagreement(counted("b", *newest), counted("a", *older), {}) is differ


def test_their_bound_is_the_range_of_both() -> None:
    entry = entry_of([counted("b", 1046, 1310), counted("a", 1050, 1358)], {}, "2026-11-30", "why")
    assert entry is not None
    assert (entry.bound.low, entry.bound.high, entry.tolerance) == (1046, 1358, None)
