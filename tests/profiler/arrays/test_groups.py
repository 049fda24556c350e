"""Distinct values, whatever their number and order."""

from __future__ import annotations

import numpy as np
import pytest
from aisp_prof.profiler.arrays.groups import ascending
from aisp_prof.profiler.arrays.types import Int64


@pytest.mark.parametrize(
    "values",
    [
        np.empty(0, np.int64),
        np.array([7]),
        np.array([3, 3, -9, 2**63 - 1, -(2**63), 3]),
        np.random.default_rng(1).permutation(5000) % 4099,
    ],
    ids=len,
)
def test_distinct_values_ascend_as_numpys_do(values: Int64) -> None:
    assert ascending(values).tolist() == sorted(set(values.tolist()))
