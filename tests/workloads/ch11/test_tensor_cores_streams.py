"""Chains of small products: each computed by every variant, in order within a chain whatever order the streams run in."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.tensor_cores_streams import PAIR, Chains
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.validate import validate
from deferred import enqueued, orders_that_agree

SMALL = PAIR.declaration.sizes["small"]
NAMES = PAIR.declaration.names
CHAINS, DEPTH, GROUPS = SMALL["chains"], SMALL["depth"], SMALL["chains"] // SMALL["group"]
each_variant = pytest.mark.parametrize("variant", NAMES)


def build(device: Any) -> Chains:
    return Chains(device, SMALL)


def test_the_streams_are_the_headline_and_two_steps_go_beyond() -> None:
    assert NAMES == ("baseline", "few_blocks", "optimized", "library", "batched")
    assert PAIR.declaration.beyond == ("library", "batched")


def test_the_pair_runs_on_a_cpu() -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=3)
    assert record.validation.valid
    assert tuple(record.validation.max_relative_error) == NAMES
    assert all(error is not None and 1e-3 < error < 6e-3 for error in record.validation.max_relative_error.values())


@each_variant
def test_every_chain_goes_through_its_own_matrices(variant: str) -> None:
    work = build(CpuDevice())
    work.inputs(5)
    work.poison()
    work.run(variant)
    expected = work._host_in.float()
    for matrices in work._w.float():
        expected = torch.einsum("crk,cnk->crn", expected, matrices)
    torch.testing.assert_close(work.output.float(), expected, rtol=2e-2, atol=2e-2)


@each_variant
def test_every_order_of_the_streams_gives_the_same_bits(variant: str) -> None:
    assert orders_that_agree(build, variant, seeds=6)


def test_batches_go_wrong_without_any_one_of_their_waits() -> None:
    _, waits = enqueued(build, "batched")
    assert waits == 2 * GROUPS
    assert all(not orders_that_agree(build, "batched", forgets=wait) for wait in range(1, waits + 1))


def test_the_same_calls_on_one_stream_and_on_others() -> None:
    """A copy in, the products and a copy out of each chain, all on one stream of it; only batches are other calls."""
    calls = {name: enqueued(build, name)[0] for name in NAMES}
    chain = ["copy_", *["mm"] * DEPTH, "copy_"]
    for name in NAMES[:-1]:
        assert [node.name for node in calls[name]] == chain * CHAINS
    one, several = ([node.stream for node in calls[name]] for name in ("baseline", "optimized"))
    assert set(one) == {1}
    assert several == [stream for _ in range(2) for stream in (1, 2, 3, 4) for _ in chain]
    assert [node.stream for node in calls["few_blocks"]] == one
    assert [node.stream for node in calls["library"]] == several
    assert Counter((node.name, node.stream) for node in calls["batched"]) == {
        ("copy_", 1): GROUPS,
        ("bmm", 2): GROUPS * DEPTH,
        ("copy_", 3): GROUPS,
    }


@pytest.mark.parametrize("what", ["streams", "group"])
def test_streams_and_groups_must_divide_the_chains(what: str) -> None:
    odd = replace(PAIR.declaration, sizes={"default": {**SMALL, what: 3}})
    with pytest.raises(UsageError, match=rf"8 chains do not divide by 3 \({what}\)"):
        run_pair(Pair(odd, Chains), device="cpu", size="default")


@each_variant
def test_one_wrong_chain_is_seen(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = build(CpuDevice())
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output[3] = work._host_in[3]

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


def test_the_work_declared_is_that_of_the_products_and_their_matrices() -> None:
    assert PAIR.declared is not None
    for name in NAMES:
        work = PAIR.declared(PAIR.declaration.sizes["h200"], name)
        assert work.flops == 32 * 16 * 2 * 256 * 2048**2
        assert work.bytes == 32 * 16 * 2048**2 * 2
