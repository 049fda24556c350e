"""Adaptive rounds: every configuration computes the same, and what is chosen follows the times of the same iteration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.adaptive_streams import PAIR, AdaptivePhases, Known
from aisp_prof.workloads.ch11.controller import PROBES
from aisp_prof.workloads.ch11.phases import CANDIDATES, Config
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.validate import validate
from deferred import DeferredDevice

SMALL = PAIR.declaration.sizes["small"]
NAMES = PAIR.declaration.names
KINDS = ("copies", "launches", "chains")
each_candidate = pytest.mark.parametrize("candidate", range(len(CANDIDATES)), ids=lambda i: CANDIDATES[i].name)

COSTS = {"copies": (660, 500, 410, 370), "launches": (240, 500, 1000, 2000), "chains": (1100, 530, 270, 140)}
BEST = {"copies": 3, "launches": 0, "chains": 3}
BEST_FOR_ALL = 1


class TimedByTable(CpuDevice):
    """Every round takes what the table says of the range that it runs in."""

    def __init__(self, domain: Any, costs: Mapping[str, tuple[int, ...]]) -> None:
        self.domain, self.costs, self.waited = domain, costs, 0

    def elapsed_ns(self, start: Any, end: Any) -> int:
        name, candidate = rounds_of(self.domain)[-1]
        return 1000 * self.costs[name][candidate]


def rounds_of(domain: Any) -> list[tuple[str, int]]:
    """(kind of work, candidate) of every round, as the ranges tell."""
    pushed = [(name, payload) for event, name, _, payload in domain.calls if event == "push"]
    assert all(name.endswith(CANDIDATES[payload].name) for name, payload in pushed)
    return [(name.removeprefix("stage:").split()[0], payload) for name, payload in pushed]


def chosen(work: AdaptivePhases, domain: Any, variant: str) -> list[tuple[str, int]]:
    before = len(domain.calls)
    work.run(variant)
    pushed = [call for call in domain.calls[before:] if call[0] == "push"]
    return [(name.removeprefix("stage:").split()[0], payload) for _, name, _, payload in pushed]


def test_the_pair_runs_on_a_cpu() -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=3)
    assert record.validation.valid
    assert record.validation.bitwise is True
    assert tuple(record.validation.max_relative_error) == NAMES == ("baseline", "best_fixed", "known", "optimized")


def test_the_output_is_sines_and_what_is_left_to_one() -> None:
    work = AdaptivePhases(CpuDevice(), SMALL)
    work.inputs(5)
    work.poison()
    work.run("optimized")
    copies, launches, chains = work._phases
    sines = launches._x
    for _ in range(SMALL["launches"]):
        sines = sines.sin()
    expected = torch.cat([copies._host_in.sin().flatten(), sines.flatten(), 1 - chains._x.flatten()])
    torch.testing.assert_close(work.output, expected)


def test_the_kinds_of_work_have_inputs_of_their_own() -> None:
    work = AdaptivePhases(CpuDevice(), SMALL)
    work.inputs(5)
    firsts = [work._phases[0]._host_in.flatten()[:64], *(phase._x.flatten()[:64] for phase in work._phases[1:])]
    assert all(float((a - b).norm()) > 1 for a, b in combinations(firsts, 2))


@each_candidate
def test_every_configuration_gives_the_same_bits_in_every_order(candidate: int) -> None:
    device = DeferredDevice(may_wait=True)
    work = AdaptivePhases(device, SMALL)
    work._known = always(candidate)
    work.inputs(7)
    exact = work.exact()
    for seed in range(6):
        work.poison()
        device.seed = seed
        device.enqueue(lambda: work.run("known"))
        assert torch.equal(work.output, exact)


@pytest.mark.parametrize("candidate", [i for i, config in enumerate(CANDIDATES) if config.streams > 1])
def test_a_round_waits_for_all_its_streams(candidate: int) -> None:
    """Without the joins, the host would find the round ended while streams still run."""
    device = DeferredDevice(may_wait=True)
    work = AdaptivePhases(device, SMALL)
    device.may_wait = False
    streams = CANDIDATES[candidate].streams
    for kind in KINDS:
        device.enqueue(work._ways[kind][candidate][0])
        used = {node.stream for node in device.nodes}
        assert len(used) == streams
        assert 1 not in used
        last = {max(i for i, node in enumerate(device.nodes) if node.stream == stream) for stream in used}
        assert set(work._main.after) >= last
        device.play(0)


def always(candidate: int) -> Known:
    return Known({kind: [float(i != candidate) for i in range(len(CANDIDATES))] for kind in KINDS})


def test_the_controller_ends_each_phase_with_its_best(domain: Any, notes: Notes) -> None:
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    seen = chosen(work, domain, "optimized")
    assert [kind for kind, _ in seen] == [kind for kind in KINDS for _ in range(SMALL["rounds"])]
    assert dict(seen) == BEST


def test_every_iteration_begins_without_knowledge(domain: Any, notes: Notes) -> None:
    """What the last one learnt is forgotten: each tries the same from the beginning."""
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    first, second = (chosen(work, domain, "optimized") for _ in range(2))
    assert first == second
    tried = [candidate for _, candidate in first[: len(CANDIDATES) * PROBES]]
    assert tried == [candidate for candidate in range(len(CANDIDATES)) for _ in range(PROBES)]


def test_nobody_tells_the_controller_of_a_change(domain: Any, notes: Notes) -> None:
    """The first rounds of the next phase still run as was best in the last."""
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    seen = chosen(work, domain, "optimized")
    for at in range(1, len(KINDS)):
        begun = SMALL["rounds"] * at
        assert seen[begun][1] == seen[begun - 1][1] == BEST[KINDS[at - 1]]


def test_what_is_known_is_each_kinds_best_and_what_is_fixed_the_best_for_all(domain: Any, notes: Notes) -> None:
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    every = [kind for kind in KINDS for _ in range(SMALL["rounds"])]
    assert chosen(work, domain, "known") == [(kind, BEST[kind]) for kind in every]
    assert chosen(work, domain, "best_fixed") == [(kind, BEST_FOR_ALL) for kind in every]
    sums = [sum(costs[candidate] for costs in COSTS.values()) for candidate in range(len(CANDIDATES))]
    assert sums.index(min(sums)) == BEST_FOR_ALL


def test_the_baseline_never_chooses(domain: Any, notes: Notes) -> None:
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    assert {CANDIDATES[candidate] for _, candidate in chosen(work, domain, "baseline")} == {Config(1, 1)}


def test_other_times_give_other_choices(domain: Any, notes: Notes) -> None:
    """No answer is built in: with the table turned round, the choices are."""
    turned = {kind: costs[::-1] for kind, costs in COSTS.items()}
    work = AdaptivePhases(TimedByTable(domain, turned), SMALL, notes)
    best = {kind: len(CANDIDATES) - 1 - candidate for kind, candidate in BEST.items()}
    assert dict(chosen(work, domain, "known")) == best
    assert dict(chosen(work, domain, "optimized")) == best


def test_every_variant_waits_once_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    work = AdaptivePhases(CpuDevice(), SMALL)
    waits = []
    monkeypatch.setattr(work._end, "synchronize", lambda: waits.append(1))
    for variant in NAMES:
        waits.clear()
        work.run(variant)
        assert len(waits) == len(KINDS) * SMALL["rounds"]


def test_poison_reaches_all_that_a_variant_writes() -> None:
    work = AdaptivePhases(CpuDevice(), SMALL)
    work.poison()
    assert bool(work.output.isnan().all())
    assert bool(work._phases[0]._device_in.isnan().all())


@pytest.mark.parametrize("wrong", [{"launch_elements": 12}, {"chains": 10}])
def test_work_that_does_not_divide_is_refused(wrong: Mapping[str, int]) -> None:
    sizes = {"default": {**SMALL, **wrong}}
    with pytest.raises(UsageError, match="do not divide"):
        run_pair(Pair(replace(PAIR.declaration, sizes=sizes), AdaptivePhases), device="cpu", size="default")


@pytest.mark.parametrize("variant", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_round_left_out_is_seen(variant: str, kind: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = AdaptivePhases(CpuDevice(), SMALL)
    run, timed = work.run, work._timed
    now = ""

    def wrong_timed(phase: Any, turn: int, candidate: int) -> int:
        if now == variant and phase.name == kind and turn == SMALL["rounds"] - 1:
            return 1000
        return timed(phase, turn, candidate)

    def wrong_run(asked: str) -> None:
        nonlocal now
        now = asked
        run(asked)

    monkeypatch.setattr(work, "_timed", wrong_timed)
    monkeypatch.setattr(work, "run", wrong_run)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


def test_an_even_number_of_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="4 steps undo each other"):
        AdaptivePhases(CpuDevice(), {**SMALL, "steps": 4})
