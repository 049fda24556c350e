"""Gradient buckets: what arrives is the sum of what was computed, whatever the order of the streams, by a transport that is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from aisp_prof.declaration import VARIANTS
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11 import distributed_streams, distributed_streams_nccl
from aisp_prof.workloads.ch11.distributed_streams import WeightGradients
from aisp_prof.workloads.ch11.transport import Buckets, Emulated, HostSum, NcclAllReduce, check_ranks, open_transport
from aisp_prof.workloads.device import CpuDevice, CudaDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import validate
from deferred import DeferredDevice, Node, comes_after, enqueued, orders_that_agree

PAIRS = {1: distributed_streams.PAIR, 2: distributed_streams_nccl.PAIR}
SIZES = {ranks: pair.declaration.sizes["small"] for ranks, pair in PAIRS.items()}
each_variant = pytest.mark.parametrize("variant", VARIANTS)
each_number = pytest.mark.parametrize("ranks", PAIRS)


def build(device: Any) -> WeightGradients:
    return WeightGradients(device, SIZES[1])


class Collective:
    """A deferred all-reduce: begins when every rank's stream has come to it, and all go on when it ends."""

    name = "collective"
    staging = ()

    def __init__(self, device: DeferredDevice, ranks: Sequence[Buckets]) -> None:
        self.device, self.sum = device, HostSum(ranks)

    def deliver(self, layer: int, streams: Sequence[Any]) -> None:
        if not self.device.deferring:
            return self.sum.deliver(layer, streams)
        after = frozenset[int]().union(*(stream.after for stream in streams))
        node = Node(streams[0].number, lambda: self.sum.deliver(layer, streams), after, "all_reduce")
        self.device.nodes.append(node)
        for stream in streams:
            stream.after = {len(self.device.nodes) - 1}
        return None


def build_two(device: Any) -> WeightGradients:
    work = WeightGradients(device, SIZES[2])
    work._transport = Collective(device, [rank.buckets for rank in work._ranks])
    return work


@each_number
def test_the_pair_runs_on_a_cpu(ranks: int) -> None:
    record = run_pair(PAIRS[ranks], device="cpu", iterations=2, seed=3)
    assert record.validation.valid
    assert record.validation.bitwise is True
    assert {sizes["ranks"] for sizes in (record.sizes, *PAIRS[ranks].declaration.sizes.values())} == {ranks}


@each_number
@each_variant
def test_every_rank_receives_the_sum(ranks: int, variant: str) -> None:
    work = WeightGradients(CpuDevice(), SIZES[ranks])
    work.inputs(5)
    work.poison()
    work.run(variant)
    ranks = [torch.einsum("ltk,ltn->lkn", rank.x.float(), rank.dy.float()) for rank in work._ranks]
    assert len(work.output) == len(ranks)
    for received in work.output:
        torch.testing.assert_close(received.float(), sum(ranks), rtol=2e-2, atol=3e-2)


def test_ranks_have_data_of_their_own() -> None:
    first, second = WeightGradients(CpuDevice(), SIZES[2])._ranks
    assert first.x.data_ptr() != second.x.data_ptr()
    work = WeightGradients(CpuDevice(), SIZES[2])
    work.inputs(5)
    a, b = (rank.x.float() for rank in work._ranks)
    assert float((a - b).norm() / a.norm()) > 1


@each_variant
@pytest.mark.parametrize("make", [build, build_two], ids=["one-rank", "two-ranks"])
def test_every_order_of_the_streams_gives_the_same_bits(make: Any, variant: str) -> None:
    assert orders_that_agree(make, variant)


@pytest.mark.parametrize(("make", "joins"), [(build, 0), (build_two, 2)], ids=["one-rank", "two-ranks"])
def test_a_bucket_sent_too_early_is_seen(make: Any, joins: int) -> None:
    layers = SIZES[1 if make is build else 2]["layers"]
    _, waits = enqueued(make, "optimized")
    assert waits == layers * (2 if joins else 1) + joins
    for wait in range(1, waits - joins + 1):
        assert not orders_that_agree(make, "optimized", forgets=wait)


@each_variant
def test_the_first_device_ends_last(variant: str) -> None:
    """The harness synchronises one device only."""
    device = DeferredDevice()
    work = build_two(device)
    work.inputs(1)

    def and_one_more() -> None:
        work.run(variant)
        with device.on(work._ranks[0].compute):
            work.output.add_(0)

    device.enqueue(and_one_more)
    last = len(device.nodes) - 1
    elsewhere = [i for i, node in enumerate(device.nodes[:-1]) if node.stream in (3, 4)]
    assert elsewhere
    assert all(comes_after(device.nodes, last, i) for i in elsewhere)


@each_number
def test_poison_reaches_all_that_a_variant_writes(ranks: int) -> None:
    work = WeightGradients(CpuDevice(), SIZES[ranks])
    work.inputs(1)
    work.run("optimized")
    work.poison()
    buffers = [work.output, *work._transport.staging, *(rank.buckets.sent for rank in work._ranks)]
    assert all(bool(buffer.isnan().all()) for buffer in buffers)


def test_what_runs_where() -> None:
    """Emulated: a product and two copies a layer; the baseline's are all on the first stream, in two blocks."""
    layers = SIZES[1]["layers"]
    baseline, optimized = ([(n.stream, n.name) for n in enqueued(build, variant)[0]] for variant in VARIANTS)
    assert baseline == [(1, "mm")] * layers + [(1, "copy_")] * (2 * layers)
    assert optimized == [(1, "mm"), (2, "copy_"), (2, "copy_")] * layers


def test_the_wire_goes_first() -> None:
    assert [stream.priority for stream in build(DeferredDevice()).streams] == [0, -1]


@pytest.mark.parametrize(("ranks", "name"), [(1, "pcie-emulated"), (2, "host-sum")])
def test_the_transport_is_named_in_the_trace(ranks: int, name: str, domain: Any, notes: Notes) -> None:
    work = WeightGradients(CpuDevice(), SIZES[ranks], notes)
    work.run("optimized")
    opened = [(text, payload) for event, text, _, payload in domain.calls if event == "push"]
    layers = range(SIZES[ranks]["layers"])
    assert [payload for text, payload in opened if text == f"stage:{name}"] == list(layers)
    assert [payload for text, payload in opened if text == "stage:gradient"] == list(layers)


def test_which_transport_is_opened() -> None:
    one, two = (WeightGradients(CpuDevice(), SIZES[ranks]) for ranks in PAIRS)
    buckets = [rank.buckets for rank in two._ranks]
    assert isinstance(one._transport, Emulated)
    assert isinstance(two._transport, HostSum)
    assert isinstance(open_transport(CudaDevice(), buckets), NcclAllReduce)


def test_nccl_gets_every_ranks_bucket_and_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, Any, Any]] = []
    monkeypatch.setattr(torch.cuda.nccl, "all_reduce", lambda sent, out, streams: calls.append((sent, out, streams)))
    ranks = [rank.buckets for rank in WeightGradients(CpuDevice(), SIZES[2])._ranks]
    NcclAllReduce(ranks).deliver(1, ("first", "second"))
    ((sent, received, streams),) = calls
    assert [t.data_ptr() for t in sent] == [rank.sent[1].data_ptr() for rank in ranks]
    assert [t.data_ptr() for t in received] == [rank.received[1].data_ptr() for rank in ranks]
    assert streams == ["first", "second"]


def test_ranks_without_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_ranks(CudaDevice(), 1)
    check_ranks(CpuDevice(), 2)
    with pytest.raises(EnvironmentLacks, match="2 ranks need 2 GPUs"):
        check_ranks(CudaDevice(), 2)
    with pytest.raises(UsageError, match="3 ranks"):
        check_ranks(CpuDevice(), 3)


@each_variant
def test_a_bucket_that_never_arrives_is_seen(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = build(CpuDevice())
    run, deliver = work.run, work._transport.deliver

    def wrong(asked: str) -> None:
        lost = 2 if asked == variant else -1
        monkeypatch.setattr(
            work._transport, "deliver", lambda layer, streams: None if layer == lost else deliver(layer, streams)
        )
        run(asked)

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(PAIRS[1].declaration, work, CpuDevice(), notes, 11).valid


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices: NCCL cannot run here")
@each_variant
def test_nccl_agrees_bit_for_bit(variant: str) -> None:
    work = WeightGradients(CudaDevice(), {"layers": 3, "tokens": 256, "width": 512, "ranks": 2})
    work.inputs(5)
    work.poison()
    torch.cuda.synchronize()
    work.run(variant)
    torch.cuda.synchronize()
    assert torch.equal(work.output.view(torch.int16), work.exact().view(torch.int16))
