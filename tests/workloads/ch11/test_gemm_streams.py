"""Triple-buffered products: right in whatever order three streams may run, and wrong as soon as one event is missing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from aisp_prof.declaration import VARIANTS
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.gemm_streams import PAIR, SLOTS, TiledProduct
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import validate
from deferred import enqueued, orders_that_agree

SMALL = PAIR.declaration.sizes["small"]


def build(device: Any) -> TiledProduct:
    return TiledProduct(device, SMALL)


def test_the_pair_runs_on_a_cpu() -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=3)
    assert record.validation.valid
    assert record.validation.bitwise is True
    assert set(record.validation.max_relative_error) == set(VARIANTS)
    assert all(error is not None and 1e-4 < error < 3e-3 for error in record.validation.max_relative_error.values())


def test_the_output_is_the_product() -> None:
    work = build(CpuDevice())
    work.inputs(5)
    work.poison()
    work.run("optimized")
    for a, c in zip(work._host_a, work.output, strict=True):
        torch.testing.assert_close(c.float(), a.float() @ work._b.float(), rtol=1e-2, atol=1e-2)


def test_slots_are_reused_in_both_variants() -> None:
    tiles = build(CpuDevice())._tiles
    addresses = [a.data_ptr() for _, a, _, _ in tiles]
    assert len(tiles) > SLOTS
    assert addresses[SLOTS:] == addresses[: len(tiles) - SLOTS]
    assert len(set(addresses)) == SLOTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_order_of_the_streams_gives_the_same_bits(variant: str) -> None:
    assert orders_that_agree(build, variant)


def test_without_any_one_of_its_waits_it_goes_wrong() -> None:
    _, waits = enqueued(build, "optimized")
    assert waits == 2 * SMALL["tiles"] + 2 * (SMALL["tiles"] - SLOTS)
    assert all(not orders_that_agree(build, "optimized", forgets=wait) for wait in range(1, waits + 1))


def test_variants_differ_in_streams_alone() -> None:
    made = {variant: [(node.stream, node.name) for node in enqueued(build, variant)[0]] for variant in VARIANTS}
    assert [name for _, name in made["baseline"]] == [name for _, name in made["optimized"]]
    assert {stream for stream, _ in made["baseline"]} == {1}
    assert [stream for stream, _ in made["optimized"]] == [1, 2, 3] * SMALL["tiles"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_single_wrong_bit_is_seen(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = build(CpuDevice())
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output.view(-1).view(torch.int16)[4321] ^= 1

    monkeypatch.setattr(work, "run", wrong)
    found = validate(PAIR.declaration, work, CpuDevice(), notes, 11)
    assert found.bitwise is False
    assert not found.valid
