"""What is allowed for between two sessions, against sessions that were: every pair of which this repository has several captures."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import median

import pytest
from aisp_prof.profiler.evidence import Iteration, VariantEvidence
from aisp_prof.profiler.judging.apart import SESSIONS, speedup_apart
from aisp_prof.profiler.proof.named import measured_in
from aisp_prof.profiler.store.captures import Capture, Store
from aisp_prof.profiler.trace.reader import read_trace

ROOT = Path(__file__).parents[3]
CHANGED = {("ch09.fused_l2norm", "baseline")}
"""Its baseline was rewritten between its captures."""


def medians(capture: Capture) -> dict[str, float]:
    measured = measured_in(capture.manifest, tuple(map(read_trace, capture.trace_paths)))
    spans = {name: (end - start for start, end in zip(*one.times(), strict=True)) for name, one in measured.items()}
    return {name: median(times) for name, times in spans.items()}


def moves() -> dict[tuple[str, str, str, str], float]:
    """By which factor a variant's median moved from one session to another, of one size on one kind of GPU."""
    captures = [one for folder in ("captures", "tests/traces/retired") for one in Store(ROOT / folder).captures()]
    found = {}
    for pair in {one.manifest.pair for one in captures}:
        mine = [one for one in captures if one.manifest.pair == pair and one.trace_paths]
        each = {one.id: medians(one) for one in mine} if len(mine) > 1 else {}
        for (first, before), (second, after) in combinations(each.items(), 2):
            for variant in ("baseline", "optimized"):
                if (pair, variant) not in CHANGED:
                    found[pair, variant, first, second] = after[variant] / before[variant]
    return found


def test_sessions_of_what_nobody_changed_differ_by_less_than_is_allowed_for() -> None:
    found = moves()
    furthest = max(found, key=lambda one: abs(found[one] - 1))
    assert len(found) >= 25
    assert abs(found[furthest] - 1) < SESSIONS, furthest


def variant(name: str, times: list[int]) -> VariantEvidence:
    runs = tuple(Iteration(place, place * 10_000, place * 10_000 + ns, None, {}) for place, ns in enumerate(times))
    return VariantEvidence(name, runs, None, (), (), ())


def test_the_interval_is_that_of_both_medians_and_the_allowance() -> None:
    """Of what never varies the allowance alone is left, at either end."""
    found = speedup_apart(variant("baseline", [3_000] * 8), variant("optimized", [2_000] * 8))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5 / (1 + SESSIONS), 1.5 * (1 + SESSIONS)))
    assert speedup_apart(variant("baseline", [3_000] * 3), variant("optimized", [2_000] * 8)) is None
