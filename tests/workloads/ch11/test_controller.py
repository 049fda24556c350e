"""The controller on made-up times: it finds the best, stays with it, follows a change, and loses little on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise, permutations

import pytest
from aisp_prof.workloads.ch11.controller import CONTENDERS, PATIENCE, PROBES, REFRESH, WINDOW, Controller

COSTS = (660, 500, 410, 370)
"""µs a round, as copying may take in one chunk, two, four and eight."""

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


def test_it_tries_every_candidate_equally_while_each_is_better() -> None:
    controller = Controller(len(COSTS))
    tried = [candidate for candidate, _ in drive(controller, steady(COSTS), LEARNING)]
    assert tried == [candidate for candidate in range(len(COSTS)) for _ in range(PROBES)]
    assert controller.chosen == 3


def test_it_stops_climbing_where_more_is_no_better() -> None:
    """What is finer still may be far worse, and is never tried."""
    controller = Controller(4)
    tried = [candidate for candidate, _ in drive(controller, steady((240, 500, 1000, 2000)), 20)]
    assert tried == [0] * PROBES + [1] * PROBES + [0] * (20 - 2 * PROBES)


def test_it_has_no_answer_before_it_has_measured() -> None:
    controller = Controller(3)
    assert controller.learning
    drive(controller, steady((3, 2, 1)), 3 * PROBES - 1)
    assert controller.learning
    assert controller.chosen is None


@pytest.mark.parametrize("best", range(len(COSTS)))
def test_it_finds_whichever_is_best(best: int) -> None:
    costs = [1000 + 300 * abs(candidate - best) for candidate in range(len(COSTS))]
    controller = Controller(len(costs))
    drive(controller, steady(costs, noise=0.02), LEARNING)
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
    assert controller.chosen == 3


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
    clock = steady(COSTS, noise=0.02, seed=seed)
    drive(controller, clock, LEARNING)
    spent = sum(ns for _, ns in drive(controller, clock, 480))
    assert spent <= 1.05 * 480 * 1000 * min(COSTS)


def test_learning_costs_what_trying_each_costs() -> None:
    controller = Controller(len(COSTS))
    spent = sum(ns for _, ns in drive(controller, steady(COSTS), LEARNING))
    assert spent == PROBES * 1000 * sum(COSTS)


KINDS = {"copies": COSTS, "launches": (120, 240, 500, 1000), "chains": (1100, 530, 270, 140)}
ORDERS = tuple(permutations(KINDS))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("seed", range(5))
def test_it_follows_changes_that_nobody_announces(order: Sequence[str], seed: int) -> None:
    """It ends each phase with that phase's best, changes its mind a few times while it learns, and at rest not at all."""
    controller = Controller(4)
    for at, kind in enumerate(order):
        costs = KINDS[kind]
        seen = drive(controller, steady(costs, noise=0.02, seed=10 * seed + at), 24)
        choices = [candidate for candidate, _ in seen]
        learnt = PATIENCE * (at > 0) + LEARNING
        assert controller.chosen == costs.index(min(costs)), kind
        assert switches(choices[:learnt]) <= len(costs) + 1
        assert switches(choices[learnt:]) <= 2, "a neighbour tried once, and back"


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_phase_of_24_rounds_pays_for_learning_it(order: Sequence[str]) -> None:
    """Beside the best choice for all kinds together, known beforehand."""
    controller = Controller(4)
    spent = sum(ns for kind in order for _, ns in drive(controller, steady(KINDS[kind]), 24))
    best_fixed = min(sum(1000 * 24 * costs[candidate] for costs in KINDS.values()) for candidate in range(4))
    known = sum(1000 * 24 * min(costs) for costs in KINDS.values())
    assert 1.05 * spent < best_fixed
    assert spent < 2 * known


def test_what_belied_it_is_the_first_that_it_learns() -> None:
    controller = Controller(4)
    drive(controller, steady(COSTS), LEARNING + 5)
    after = [candidate for candidate, _ in drive(controller, steady(KINDS["launches"]), 12)]
    assert after == [3] * PATIENCE + [0] * PROBES + [1] * PROBES + [0] * (12 - PATIENCE - 2 * PROBES)


def test_a_single_outlier_is_no_change() -> None:
    controller = Controller(len(COSTS))
    drive(controller, steady(COSTS), LEARNING + 5)
    uses = 0
    for _ in range(200):
        candidate = controller.choose()
        uses += candidate == 3
        outlier = candidate == 3 and uses % PATIENCE
        controller.observe(candidate, 1000 * COSTS[candidate] * (10 if outlier else 1))
        assert not controller.learning
    assert uses > 150
    assert controller.chosen == 3


def test_a_neighbour_that_becomes_better_is_found_by_trying_it_again() -> None:
    """Nothing about the chosen one changes: only the rare trial can tell."""
    controller = Controller(3)
    drive(controller, steady((1000, 1100, 3000)), 2 * PROBES)
    assert controller.chosen == 0
    drive(controller, steady((1000, 800, 3000)), 2 * REFRESH * (WINDOW + 1))
    assert controller.chosen == 1


def test_what_is_far_behind_is_not_tried_again() -> None:
    controller = Controller(3)
    drive(controller, steady((1000, 1000 * (1 + CONTENDERS) + 50, 5000)), 2 * PROBES)
    assert {candidate for candidate, _ in drive(controller, steady((1000, 1300, 5000)), 10 * REFRESH)} == {0}


def test_one_candidate_is_a_choice_too() -> None:
    controller = Controller(1)
    assert {candidate for candidate, _ in drive(controller, steady((7,)), 200)} == {0}
    with pytest.raises(ValueError, match="must be a candidate"):
        Controller(0)
