"""The bootstrap's parts draw what the whole would."""

from __future__ import annotations

import numpy as np
import pytest
from aisp_prof.profiler.proof import bootstrap
from aisp_prof.profiler.proof.bootstrap import RESAMPLES, SEED, median_interval, noise_floor, ratio_interval


def at_once(values, generator):
    sample = np.asarray(values, np.float64)
    return np.median(sample[generator.integers(0, len(sample), (RESAMPLES, len(sample)))], axis=1)


@pytest.mark.parametrize("n", [1, 2, 7, 20, 301])
@pytest.mark.parametrize("numbers", [1, 1000, 1 << 24])
def test_in_parts_as_at_once(n, numbers, monkeypatch):
    monkeypatch.setattr(bootstrap, "_AT_ONCE", numbers)
    values = np.random.default_rng(n).integers(1, 10**6, n)
    generator = np.random.default_rng(SEED)
    first, second = at_once(values, generator), at_once(values[::-1], generator)
    expected = np.quantile(first, [0.025, 0.975]), np.quantile(first / second, [0.025, 0.975])
    assert median_interval(values) == tuple(expected[0])
    assert ratio_interval(values, values[::-1]) == tuple(expected[1])


def test_a_run_that_never_varies_has_no_noise():
    assert noise_floor([5, 5, 5, 5]) == 0
