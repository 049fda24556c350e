"""Small products: every variant computes all of them, and the graph's branches are forked and joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.tensor_cores_streams import PAIR, SmallProducts
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.validate import validate
from deferred import DeferredDevice, comes_after, enqueued, orders_that_agree

SMALL = PAIR.declaration.sizes["small"]
NAMES = PAIR.declaration.names
each_variant = pytest.mark.parametrize("variant", NAMES)


def build(device: Any) -> SmallProducts:
    return SmallProducts(device, SMALL)


def test_the_steps_stand_in_order() -> None:
    assert NAMES == ("baseline", "streams", "graph", "optimized")


def test_the_pair_runs_on_a_cpu() -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, seed=3)
    assert record.validation.valid
    assert tuple(record.validation.max_relative_error) == NAMES
    assert all(error is not None and 1e-4 < error < 3e-3 for error in record.validation.max_relative_error.values())


@each_variant
def test_every_product_is_computed(variant: str) -> None:
    work = build(CpuDevice())
    work.inputs(5)
    work.poison()
    work.run(variant)
    expected = torch.einsum("pik,pkj->pij", work._a.float(), work._b.float())
    torch.testing.assert_close(work.output.float(), expected, rtol=1e-2, atol=1e-2)


@each_variant
def test_every_order_of_the_streams_gives_the_same_bits(variant: str) -> None:
    assert orders_that_agree(build, variant, seeds=6)


def test_the_same_calls_on_other_streams() -> None:
    """512 products on one stream, and each once on one of eight; only the batched variant is one call."""
    streams = {name: [node.stream for node in enqueued(build, name)[0]] for name in NAMES}
    assert streams["baseline"] == [1] * SMALL["products"]
    assert sorted(streams["streams"]) == sorted([1, 2, 3, 4] * (SMALL["products"] // 4))
    assert streams["graph"] == streams["streams"]
    assert streams["optimized"] == [1]
    assert {node.name for node in enqueued(build, "graph")[0]} == {"mm"}
    assert enqueued(build, "streams")[1] == 0


def test_the_graph_begins_and_ends_on_its_first_stream() -> None:
    device = DeferredDevice()
    work = build(device)
    first = work.streams[0]
    before, after = torch.zeros(1), torch.zeros(1)

    def around() -> None:
        for buffer, run in ((before, True), (after, False)):
            with device.on(first):
                buffer.add_(1)
            if run:
                work.run("graph")

    device.enqueue(around)
    last = len(device.nodes) - 1
    assert last == SMALL["products"] + 1
    assert all(comes_after(device.nodes, i, 0) and comes_after(device.nodes, last, i) for i in range(1, last))


def test_streams_must_divide_the_products() -> None:
    odd = replace(PAIR.declaration, sizes={"default": {"products": 10, "edge": 8, "streams": 4}})
    with pytest.raises(UsageError, match="do not divide among 4 streams"):
        run_pair(Pair(odd, SmallProducts), device="cpu", size="default")


@each_variant
def test_one_wrong_product_is_seen(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = build(CpuDevice())
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output[3] = work._a[3]

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(PAIR.declaration, work, CpuDevice(), notes, 11).valid


def test_the_work_declared_is_that_of_the_products() -> None:
    assert PAIR.declared is not None
    for name in NAMES:
        work = PAIR.declared(PAIR.declaration.sizes["h200"], name)
        assert work.flops == 512 * 2**28
        assert work.bytes == 3 * 2**28
