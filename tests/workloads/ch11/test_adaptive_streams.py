"""Adaptive rounds: every configuration computes the same, and what is chosen follows the times and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.adaptive_streams import PAIR, AdaptivePhases
from aisp_prof.workloads.ch11.controller import PROBES
from aisp_prof.workloads.ch11.phases import CANDIDATES, FIXED
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.validate import validate
from deferred import DeferredDevice

SMALL = PAIR.declaration.sizes["small"]
NAMES = PAIR.declaration.names
KINDS = ("copies", "launches", "products")
each_candidate = pytest.mark.parametrize("candidate", range(len(CANDIDATES)), ids=lambda i: CANDIDATES[i].name)

COSTS = {
    "copies": (2500, 1600, 1450, 2480, 1590, 1400),
    "launches": (700, 750, 760, 200, 90, 100),
    "products": (400, 380, 430, 410, 395, 440),
}
BEST = {"copies": 5, "launches": 4, "products": 1}


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
    assert tuple(record.validation.max_relative_error) == NAMES == ("baseline", "best_static", "optimized")


def test_the_output_is_sines_and_products() -> None:
    work = AdaptivePhases(CpuDevice(), SMALL)
    work.inputs(5)
    work.poison()
    work.run("optimized")
    copies, launches, products = work._phases
    expected = torch.cat(
        [
            copies._host_in.sin().flatten(),
            launches._x.sin().flatten(),
            torch.einsum("rpik,rpkj->rpij", products._a.float(), products._b.float()).flatten(),
        ]
    )
    torch.testing.assert_close(work.output, expected, rtol=1e-2, atol=1e-2)


def test_the_kinds_of_work_have_inputs_of_their_own() -> None:
    work = AdaptivePhases(CpuDevice(), SMALL)
    work.inputs(5)
    firsts = [work._phases[0]._host_in.flatten()[:64], work._phases[1]._x.flatten()[:64]]
    assert float((firsts[0] - firsts[1]).norm()) > 1


@each_candidate
def test_every_configuration_gives_the_same_bits_in_every_order(candidate: int) -> None:
    device = DeferredDevice(may_wait=True)
    work = AdaptivePhases(device, SMALL)
    work._best = dict.fromkeys(work._best, candidate)
    work.inputs(7)
    exact = work.exact()
    for seed in range(6):
        work.poison()
        device.seed = seed
        device.enqueue(lambda: work.run("best_static"))
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


def test_the_controller_finds_the_best_for_each_kind(domain: Any, notes: Notes) -> None:
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    for _ in range(len(CANDIDATES) * PROBES // SMALL["rounds"]):
        work.run("optimized")
    later = chosen(work, domain, "optimized")
    assert later == [(kind, BEST[kind]) for kind in KINDS for _ in range(SMALL["rounds"])]


def test_the_controller_begins_by_trying_all(domain: Any, notes: Notes) -> None:
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    tried: Counter[tuple[str, int]] = Counter()
    for _ in range(len(CANDIDATES) * PROBES // SMALL["rounds"]):
        tried.update(chosen(work, domain, "optimized"))
    assert tried == {(kind, candidate): PROBES for kind in KINDS for candidate in range(len(CANDIDATES))}


def test_the_best_static_choice_is_the_oracle(domain: Any, notes: Notes) -> None:
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    assert chosen(work, domain, "best_static") == [(kind, BEST[kind]) for kind in KINDS for _ in range(SMALL["rounds"])]


def test_the_baseline_never_chooses(domain: Any, notes: Notes) -> None:
    work = AdaptivePhases(TimedByTable(domain, COSTS), SMALL, notes)
    assert {candidate for _, candidate in chosen(work, domain, "baseline")} == {CANDIDATES.index(FIXED)}


def test_other_times_give_other_choices(domain: Any, notes: Notes) -> None:
    """No answer is built in: with the table turned round, the choices are."""
    turned = {kind: tuple(5000 - cost for cost in costs) for kind, costs in COSTS.items()}
    work = AdaptivePhases(TimedByTable(domain, turned), SMALL, notes)
    for _ in range(len(CANDIDATES) * PROBES // SMALL["rounds"]):
        work.run("optimized")
    worst = {kind: max(range(len(costs)), key=costs.__getitem__) for kind, costs in COSTS.items()}
    assert dict(chosen(work, domain, "best_static")) == worst
    found = {kind: work._controllers[kind].chosen for kind in KINDS}
    assert found["copies"] == worst["copies"]


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


@pytest.mark.parametrize("wrong", [{"launches": 12}, {"products": 10}])
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
        if now == variant and phase.name == kind and turn == 1:
            return 1000
        return timed(phase, turn, candidate)

    def wrong_run(asked: str) -> None:
        nonlocal now
        now = asked
        run(asked)

    monkeypatch.setattr(work, "_timed", wrong_timed)
    monkeypatch.setattr(work, "run", wrong_run)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid
