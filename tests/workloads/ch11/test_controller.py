"""The controller on made-up times: it finds the best, stays with it, follows a change, and loses little on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from aisp_prof.workloads.ch11.controller import CHANGE, PATIENCE, PROBES, REFRESH, Controller

COSTS = (2500, 1600, 1450, 2480, 1590, 1400)
"""µs a round, as copying may take in six configurations."""

Clock = Callable[[int, int], int]
"""(round, candidate) -> ns."""


def steady(costs: Sequence[int], noise: float = 0.0, seed: int = 1) -> Clock:
    draw = random.Random(seed)
    return lambda _, candidate: round(1000 * costs[candidate] * (1 + noise * draw.gauss(0, 1)))


def changing(before: Sequence[int], after: Sequence[int], at: int, noise: float = 0.01) -> Clock:
    first, then = steady(before, noise), steady(after, noise, 2)
    return lambda r, candidate: (first if r < at else then)(r, candidate)


def drive(controller: Controller, clock: Clock, rounds: int, start: int = 0) -> list[tuple[int, int]]:
    """(candidate, ns) of every round."""
    seen = []
    for r in range(start, start + rounds):
        candidate = controller.choose()
        ns = clock(r, candidate)
        controller.observe(candidate, ns)
        seen.append((candidate, ns))
    return seen


def switches(choices: Sequence[int]) -> int:
    return sum(a != b for a, b in pairwise(choices))


LEARNING = PROBES * len(COSTS)


def test_it_tries_every_candidate_equally_before_it_chooses() -> None:
    controller = Controller(len(COSTS))
    tried = [candidate for candidate, _ in drive(controller, steady(COSTS), LEARNING)]
    assert sorted(tried) == sorted(list(range(len(COSTS))) * PROBES)
    assert controller.chosen == 5


def test_it_has_no_answer_before_it_has_measured() -> None:
    controller = Controller(3)
    assert controller.learning
    drive(controller, steady((3, 1, 2)), 3 * PROBES - 1)
    assert controller.learning
    assert controller.chosen is None


@pytest.mark.parametrize("best", range(len(COSTS)))
def test_it_finds_whichever_is_best(best: int) -> None:
    costs = [cost + 500 for cost in COSTS]
    costs[best] = 1000
    controller = Controller(len(costs))
    drive(controller, steady(costs, noise=0.03), LEARNING)
    assert controller.chosen == best


def test_one_slow_first_time_of_each_does_not_mislead_it() -> None:
    """The first use of a configuration loads kernels; here the better, the slower it begins."""
    first = set(range(len(COSTS)))

    def clock(_: int, candidate: int) -> int:
        cold = 50_000 // COSTS[candidate] * 1_000_000 if candidate in first else 0
        first.discard(candidate)
        return 1000 * COSTS[candidate] + cold

    controller = Controller(len(COSTS))
    drive(controller, clock, LEARNING)
    assert controller.chosen == 5


@pytest.mark.parametrize("seed", range(20))
def test_equals_do_not_alternate(seed: int) -> None:
    controller = Controller(3)
    drive(controller, steady((1000, 1005, 1010), noise=0.02, seed=seed), 3 * PROBES)
    held = []
    clock = steady((1000, 1005, 1010), noise=0.02, seed=100 + seed)
    for r in range(2000):
        drive(controller, clock, 1, r)
        assert not controller.learning
        held.append(controller.chosen or 0)
    assert switches(held) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_regret_is_small_once_it_has_learnt(seed: int) -> None:
    controller = Controller(len(COSTS))
    clock = steady(COSTS, noise=0.03, seed=seed)
    drive(controller, clock, LEARNING)
    spent = sum(ns for _, ns in drive(controller, clock, 480))
    assert spent <= 1.05 * 480 * 1000 * min(COSTS)


def test_learning_costs_what_trying_each_costs() -> None:
    controller = Controller(len(COSTS))
    spent = sum(ns for _, ns in drive(controller, steady(COSTS), LEARNING))
    assert spent == PROBES * 1000 * sum(COSTS)


def test_it_follows_a_change_that_nobody_announces() -> None:
    after = (300, 900, 900, 100, 120, 150)
    at = LEARNING + 100
    controller = Controller(len(COSTS))
    drive(controller, changing(COSTS, after, at), at)
    assert controller.chosen == 5
    noticed = drive(controller, changing(COSTS, after, at), PATIENCE + LEARNING, at)
    assert controller.chosen == 3
    assert [candidate for candidate, _ in noticed[:PATIENCE]] == [5] * PATIENCE
    later = drive(controller, changing(COSTS, after, at), 200, at + PATIENCE + LEARNING)
    assert sum(ns for _, ns in later) <= 1.05 * 200 * 1000 * min(after)


def test_a_single_outlier_is_no_change() -> None:
    controller = Controller(len(COSTS))
    drive(controller, steady(COSTS), LEARNING + 5)
    uses = 0
    for _ in range(200):
        candidate = controller.choose()
        uses += candidate == 5
        outlier = candidate == 5 and uses % PATIENCE
        controller.observe(candidate, 1000 * COSTS[candidate] * (10 if outlier else 1))
        assert not controller.learning
    assert uses > 150
    assert controller.chosen == 5


def test_a_contender_that_becomes_better_is_found_by_trying_it_again() -> None:
    """Nothing about the chosen one changes: only the rare trial can tell."""
    controller = Controller(3)
    drive(controller, steady((1000, 1100, 3000)), 3 * PROBES)
    assert controller.chosen == 0
    drive(controller, steady((1000, 800, 3000)), REFRESH * 2 * PROBES + 2)
    assert controller.chosen == 1


def test_what_is_far_behind_is_not_tried_again() -> None:
    controller = Controller(3)
    drive(controller, steady((1000, 1000 * (1 + CHANGE) - 50, 5000)), 3 * PROBES)
    later = [candidate for candidate, _ in drive(controller, steady((1000, 1200, 5000)), 10 * REFRESH)]
    assert 2 not in later
    assert 5 <= later.count(1) <= 10


def test_one_candidate_is_a_choice_too() -> None:
    controller = Controller(1)
    assert {candidate for candidate, _ in drive(controller, steady((7,)), 200)} == {0}
    with pytest.raises(ValueError, match="must be a candidate"):
        Controller(0)
