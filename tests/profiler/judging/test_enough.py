"""As many iterations as are said to decide do so, in as many sessions as is said: sessions are drawn, and judged as any other."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.judging.enough import SURELY, surely
from aisp_prof.profiler.judging.language import parse
from aisp_prof.profiler.judging.outcomes import by_interval

CLAIM = parse("median optimized.busy(compute) <= 2 ms")
SESSIONS = 150


def needed_at(gap: float, rng: np.random.Generator) -> float:
    """What a claim says after twenty iterations whose median lies `gap` spreads below the threshold, as many sessions see it."""
    said = []
    for _ in range(SESSIONS):
        values = 2e6 + 4e4 * (rng.standard_normal(20) - gap)
        moved = values + (2e6 - 4e4 * gap - np.median(values))  # every session sees the same median, and its own spread
        found = by_interval(CLAIM, 2e6, moved.tolist())
        said += [r.values["needed"] for r in found.reasons if r.code == "more_iterations"]
        assert found.verdict in (Verdict.UNPROVEN, Verdict.PROVEN)
    return float(np.median(said))


def decided(n: int, gap: float, rng: np.random.Generator) -> float:
    """In how many of all sessions of so many iterations the claim is proven."""
    sessions = 4e4 * (rng.standard_normal((SESSIONS, n)) - gap)
    return float(np.mean([by_interval(CLAIM, 2e6, (one + 2e6).tolist()).verdict is Verdict.PROVEN for one in sessions]))


def test_so_many_iterations_decide_in_as_many_sessions() -> None:
    gap, rng = 0.3, np.random.default_rng(5)
    needed = round(needed_at(gap, rng))
    assert 0.5 <= decided(needed, gap, rng) < 0.85
    assert decided(surely(needed), gap, rng) >= SURELY
    assert decided(needed // 3, gap, rng) < 0.4


def test_the_factor_is_that_of_the_textbook() -> None:
    assert surely(1000) == 2044  # (1.96 + 0.8416)^2 / 1.96^2 = 2.043, rounded up to an even number
    assert surely(20) % 2 == 0
    z = NormalDist().inv_cdf
    assert NormalDist().cdf(z(0.975) * (surely(10_000) / 10_000) ** 0.5 - z(0.975)) == pytest.approx(SURELY, abs=0.001)
