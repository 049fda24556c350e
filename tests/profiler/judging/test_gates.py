"""Gates that must not be fooled: order, slots, clocks, sessions; and how often simulated sessions fool them."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Iteration, VariantEvidence, Verdict
from aisp_prof.profiler.judging.grounds import Grounds
from aisp_prof.profiler.judging.judge import judge
from aisp_prof.profiler.judging.language import parse
from aisp_prof.profiler.judging.speedup import not_in_turn, speedup_of
from aisp_prof.profiler.trace.reader import read_trace

ROOT = Path(__file__).parents[3]
GATES = ROOT / "tests" / "traces" / "gates"
sys.path.insert(0, str(ROOT / "benchmarks"))

import gate_statistics as simulated

PAIR = ("baseline", "optimized")


def variants(order, times):
    """Two variants whose runs stand in this order: `times` gives that of a letter at a place, in ns."""
    found = []
    for name, letter in zip(PAIR, "AB", strict=True):
        places = [at for at, one in enumerate(order) if one == letter]
        runs = [
            Iteration(i, 10**7 * at, 10**7 * at + round(times(letter, at)), None, {}) for i, at in enumerate(places)
        ]
        found.append(VariantEvidence(name, tuple(runs), None, (), (), ()))
    return found


def said(claim, order, times):
    made = variants(order, times)
    pair, nothing = dict.fromkeys(PAIR, ()), dict(zip(PAIR, made, strict=True))
    grounds = Grounds(
        nothing, {PAIR: speedup_of(*made, "trace")}, pair, pair, (), order={PAIR: not_in_turn(*made, "trace")}
    )
    result = judge(parse(claim), grounds)
    return result.verdict, [reason.code for reason in result.reasons]


@pytest.mark.parametrize(
    ("file", "claim", "ranges"),
    [
        ("same_code_block", "speedup(v2, v1) >= 1.0x", ("v1", "v2")),
        ("drift_block", "speedup(before, after) >= 1.01x", ("before", "after")),
        ("drift_block", "speedup(after, before) <= 1.0x", ("before", "after")),
        ("drift_block", "speedup(before, after) >= 2x", ("before", "after")),
    ],
)
def test_blocks_of_any_trace_prove_and_refute_no_speedup(file, claim, ranges):
    trace = read_trace(GATES / f"{file}.sqlite.xz")
    answer = check(trace, Question((claim,), {name: name for name in ranges}))
    (one,) = answer.claims
    assert (one.claim.verdict, [reason.code for reason in one.claim.reasons]) == (Verdict.UNPROVEN, ["not_interleaved"])
    assert {name: len(values) for name, values in one.runs.items()} == answer.instances


@pytest.mark.parametrize(
    ("order", "judged"),
    [
        ("ABBA" * 5, True),
        ("ABBABAAB" * 3, True),
        ("AB" * 10, True),
        ("BA" * 10 + "B", True),
        ("AABB" * 6, True),
        ("ABB" * 8, True),
        ("A" * 10 + "B" * 10, False),
        ("B" * 10 + "A" * 10, False),
        ("AAAAABBBBB" * 2, False),
        ("A" * 9 + "B" * 10 + "A", False),
        ("AABB" * 3, False),
    ],
)
def test_only_runs_in_turn_are_compared(order, judged):
    verdict, codes = said("speedup >= 1.1", order, lambda letter, at: 1.5e6 if letter == "A" else 1e6 + at)
    assert verdict is (Verdict.PROVEN if judged else Verdict.UNPROVEN)
    assert ("not_interleaved" in codes) is not judged


@pytest.mark.parametrize("order", ["AB" * 20, "BA" * 20, "AABB" * 10, "ABBA" * 10])
def test_a_drift_of_the_clocks_is_no_difference(order):
    """3 % over the session, and nothing else: what runs first in every round is faster, and the floor knows it."""
    for claim in ("speedup >= 1.0", "speedup <= 1.0"):
        assert said(claim, order, lambda _, at: 1e6 * (1 + 0.03 * at / 40))[0] is not Verdict.PROVEN


@pytest.mark.parametrize("worse", "AB")
def test_the_floor_is_that_of_the_worse_variant(worse):
    """One of the two is 1 % slower in every other round: the other one's steadiness does not hide it."""
    made = variants("ABBABAAB" * 5, lambda letter, at: 1e6 * (1 + 0.01 * (letter == worse) * (at // 2 % 2)))
    found = speedup_of(*made, "trace")
    assert found.noise_floor > 0.009


def test_a_place_that_is_slower_is_no_difference_where_it_is_shared():
    def outer(_, at):
        return 1e6 * (1.01 if at % 4 in (0, 3) else 1) + at % 3

    assert said("speedup >= 1.0", "ABBA" * 10, outer)[0] is Verdict.PROVEN  # of such a session nobody can tell
    assert said("speedup >= 1.0", "ABBABAAB" * 5, outer)[0] is Verdict.UNPROVEN


def test_an_unproven_claim_says_how_many_iterations_would_decide():
    rng = np.random.default_rng(3)
    noise = 1 + 0.02 * rng.standard_normal(40)

    def times(letter, at):
        return 1e6 * noise[at % 40] * (1.01 if letter == "A" else 1)

    made = variants("ABBABAAB" * 5, times)
    found = speedup_of(*made, "trace")
    grounds = Grounds(
        dict(zip(PAIR, made, strict=True)), {PAIR: found}, dict.fromkeys(PAIR, ()), dict.fromkeys(PAIR, ()), ()
    )
    result = judge(parse("speedup >= 1.0"), grounds)
    (more,) = [reason for reason in result.reasons if reason.code == "more_iterations"]
    reach, gap = found.value - found.low, found.value - 1
    assert more.values["n"] == 20
    assert more.values["needed"] % 2 == 0
    assert reach * (20 / more.values["needed"]) ** 0.5 <= gap < reach * (20 / (more.values["needed"] - 2)) ** 0.5


def test_no_number_of_iterations_is_named_where_none_would_do():
    verdict, codes = said("speedup >= 1.0", "ABBA" * 5, lambda letter, at: 1e6 + 1000 * (at % 2))
    assert (verdict, "more_iterations" in codes) == (Verdict.UNPROVEN, False)


SMALL = 40


@pytest.mark.parametrize("model", simulated.MODELS, ids=lambda model: model.name)
def test_simulated_sessions_are_judged_rightly(model, monkeypatch):
    """The table of docs/metrics.md, small: more than two false wins in forty sessions are hardly ever 1 % (p < 0.01)."""
    monkeypatch.setattr(simulated.bootstrap, "RESAMPLES", 1000)
    simulated.bootstrap._kept.cache_clear()
    found = list(islice(simulated.sessions(model, simulated.runners_order, 20, 7), SMALL))
    simulated.bootstrap._kept.cache_clear()
    assert sum(one.false_win for one in found) <= 2
    assert sum(one.false_loss for one in found) <= 2
    assert sum(one.speedup_covers for one in found) >= 0.9 * SMALL
    assert sum(one.median_covers for one in found) >= 0.8 * SMALL
    assert sum(one.win for one in found) >= 0.9 * SMALL


@pytest.mark.parametrize("model", simulated.MODELS, ids=lambda model: model.name)
def test_simulated_blocks_win_nothing(model, monkeypatch):
    monkeypatch.setattr(simulated.bootstrap, "RESAMPLES", 1000)
    found = list(islice(simulated.sessions(model, simulated.in_blocks, 20, 7), 5))
    assert not any(one.false_win or one.false_loss or one.win for one in found)
