"""The stream-ordered pairs at their small size on a CPU: what alone differs, and that what they promise is checked."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11 import stream_ordered, stream_ordered_kv_cache
from aisp_prof.workloads.ch11.branches import Branches
from aisp_prof.workloads.ch11.stream_ordered import HostMemory, Temporaries
from aisp_prof.workloads.ch11.stream_ordered_kv_cache import PagedDecode
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.validate import validate

PAIRS = (stream_ordered.PAIR, stream_ordered_kv_cache.PAIR)
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.key)


def small(pair: Pair, device: CpuDevice | None = None) -> Any:
    return pair.build(device or CpuDevice(), pair.declaration.sizes["small"])


@each_pair
def test_the_pair_is_valid_and_measured(pair: Pair) -> None:
    record = run_pair(pair, device="cpu", size="small", iterations=2)
    assert record.validation.valid
    assert record.validation.bitwise is True
    assert record.measured is not None
    assert {timed.variant for timed in record.measured.iterations} == set(pair.declaration.names)


@each_pair
def test_one_wrong_element_is_seen(pair: Pair, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the comparison bit for bit, in whichever variant it is."""
    for variant in pair.declaration.names:
        work = small(pair)
        run = work.run

        def wrong(asked: str, run: Any = run, work: Any = work, variant: str = variant) -> None:
            run(asked)
            if asked == variant:
                work.output.view(-1)[7] *= 1.25

        monkeypatch.setattr(work, "run", wrong)
        assert not validate(pair.declaration, work, CpuDevice(), notes, 5).valid


class Log:
    """Stands in for both allocators; takes and gives in order, `NaN` over what is given back."""

    def __init__(self, memory: HostMemory) -> None:
        self.memory, self.calls, self.out = memory, [], set()

    def take(self, size: int, stream: int) -> int:
        address = self.memory.take(size, stream)
        self.out.add(address)
        self.calls.append(("take", size))
        return address

    def give(self, address: int, stream: int) -> None:
        self.out.remove(address)
        self.calls.append(("give", 0))
        self.memory.give(address, stream)


@pytest.mark.parametrize("variant", ["baseline", "optimized"])
def test_every_temporary_is_given_back_before_the_next_is_taken(variant: str) -> None:
    work = small(stream_ordered.PAIR)
    log = Log(HostMemory())
    work.memories = {variant: log}
    work.inputs(1)
    work.run(variant)
    sizes = stream_ordered.PAIR.declaration.sizes["small"]
    rounds = sizes["rounds"] * sizes["streams"]
    assert log.calls == [("take", sizes["kib"] << 10), ("give", 0)] * rounds
    assert not log.out


def test_a_round_left_out_on_one_stream_is_seen(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = small(stream_ordered.PAIR)
    lane = work._lanes[3]
    whole, rounds = lane.round, []

    def lazy(memory: Any, first: bool) -> None:
        rounds.append(first)
        if first or len(rounds) % 3:
            whole(memory, first)

    monkeypatch.setattr(lane, "round", lazy)
    found = validate(stream_ordered.PAIR.declaration, work, CpuDevice(), notes, 5)
    assert not found.valid
    assert max(error for error in found.max_relative_error.values() if error is not None) > 1e-4


def test_temporaries_that_are_not_written_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first kernel left out: the second reads what the allocator handed out, which poison filled with NaN."""
    work = small(stream_ordered.PAIR)
    work.inputs(2)
    monkeypatch.setattr(HostMemory, "take", taking_the_last_block(HostMemory.take, HostMemory.give, monkeypatch))
    work.poison()

    def only_back(x: torch.Tensor, out: torch.Tensor, *numbers: Any) -> None:
        if numbers[:2] == stream_ordered.BACK:
            out.copy_(x)

    monkeypatch.setattr(stream_ordered.affine_chain, "fused", only_back)
    work.run("optimized")
    assert work.output.isnan().all()


def taking_the_last_block(take: Any, give: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An allocator that hands out again what was given back, as a pool does."""
    kept: dict[int, torch.Tensor] = {}

    def keep(self: HostMemory, address: int, stream: int) -> None:
        kept[address] = self._taken.pop(address)

    def again(self: HostMemory, size: int, stream: int) -> int:
        if not kept:
            return int(take(self, size, stream))
        address, block = kept.popitem()
        self._taken[address] = block
        return address

    monkeypatch.setattr(HostMemory, "give", keep)
    return again


class Waiting(CpuDevice):
    """Counts the host's waits."""

    def __init__(self) -> None:
        self.waits = 0

    def synchronize(self) -> None:
        self.waits += 1


def submitted(variant: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[int, str, int, int]], int]:
    """(lane, kernel, step, sequence) in the order of submission, and how often the host waited."""
    device = Waiting()
    work = small(stream_ordered_kv_cache.PAIR, device)
    calls: list[tuple[int, str, int, int]] = []

    def lane(number: int) -> tuple[Any, Any]:
        def step(name: str) -> Any:
            return lambda step, sequence: calls.append((number, name, step, sequence))

        return step("append"), step("attend")

    monkeypatch.setattr(work, "_lanes", [lane(number) for number in range(8)])
    monkeypatch.setattr(work, "_together", lane(0))
    work.run(variant)
    return calls, device.waits


def test_variants_of_the_cache_differ_in_streams_and_waits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {name: submitted(name, monkeypatch) for name in stream_ordered_kv_cache.PAIR.declaration.names}
    calls, waits = ({name: run[part] for name, run in runs.items()} for part in (0, 1))
    assert waits == {"baseline": 4 * 10, "one_stream": 0, "streams": 0, "graph": 0, "optimized": 0}
    assert calls["baseline"] == calls["one_stream"]
    assert calls["streams"] == calls["graph"]  # without graphs the captured work itself
    assert calls["optimized"] == [(0, name, step, 0) for step in range(4) for name in ("append", "attend")]
    assert [call[1:] for call in calls["baseline"]] == [call[1:] for call in calls["streams"]]
    assert {call[0] for call in calls["baseline"]} == {0}
    assert {call[0] for call in calls["streams"]} == set(range(8))


def test_branches_fork_from_the_first_stream_and_join_all_of_it_again() -> None:
    """With streams that run only what has been let go, every kernel of a graph lies between fork and join."""
    log: list[str] = []
    numbers = count()

    class Event:
        def __init__(self) -> None:
            self.name = f"event{next(numbers)}"

        def record(self, stream: Any) -> None:
            log.append(f"{stream.name} records {self.name}")

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_event(self, event: Event) -> None:
            log.append(f"{self.name} waits {event.name}")

    class Events(CpuDevice):
        def event(self) -> Any:
            return Event()

    streams = [Stream(f"s{number}") for number in range(8)]
    Branches(Events(), streams).around(lambda: log.append("work"))()
    others = range(1, 8)
    before = ["s0 records event0", *(f"s{n} waits event0" for n in others)]
    after = [line for n in others for line in (f"s{n} records event{n}", f"s0 waits event{n}")]
    assert log == [*before, "work", *after]


def test_the_graph_is_captured_from_all_streams_between_fork_and_join() -> None:
    """A stream that was not forked is not captured: its work would run once, while the graph is made, and never again."""
    device = Graphs()
    work = small(stream_ordered_kv_cache.PAIR, device)
    ((captured, waits),) = device.captured
    streams = len(work.streams)
    assert captured is work.streams[0]
    assert waits == [*work.streams[1:], *[captured] * (streams - 1)]


class Graphs(CpuDevice):
    """Notes which stream each graph is captured on, and which streams are made to wait meanwhile."""

    def __init__(self) -> None:
        self.captured: list[tuple[Any, list[Any]]] = []
        self.waits: list[Any] = []

    def stream(self, priority: int = 0) -> Any:
        device = self

        class Noting:
            def wait_event(self, event: Any) -> None:
                device.waits.append(self)

        return Noting()

    def graph(self, stream: Any, work: Any) -> Any:
        self.waits.clear()
        work()
        self.captured.append((stream, list(self.waits)))
        return work


def test_a_sequence_stays_on_its_stream_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, _ = submitted("streams", monkeypatch)
    for sequence in range(10):
        mine = [call for call in calls if call[3] == sequence]
        assert len({lane for lane, *_ in mine}) == 1
        assert [(name, step) for _, name, step, _ in mine] == [
            (name, step) for step in range(4) for name in ("append", "attend")
        ]


def test_no_page_serves_two_sequences_and_a_step_opens_a_page() -> None:
    work: PagedDecode = small(stream_ordered_kv_cache.PAIR)
    table = work.decode.table
    assert sorted(table.flatten().tolist()) == list(range(table.numel()))
    assert table.numel() == work.decode.k_cache.shape[0]
    for sizes in stream_ordered_kv_cache.PAIR.declaration.sizes.values():
        first, last = sizes["tokens"] // sizes["page"], (sizes["tokens"] + sizes["steps"] - 1) // sizes["page"]
        assert last == first + 1


def test_an_append_left_out_is_seen(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = small(stream_ordered_kv_cache.PAIR)
    append, attend = work._lanes[2]

    def lazy(step: int, sequence: int) -> None:
        if step != 1:
            append(step, sequence)

    work._lanes[2] = (lazy, attend)
    found = validate(stream_ordered_kv_cache.PAIR.declaration, work, CpuDevice(), notes, 5)
    assert not found.valid
    assert [found.max_relative_error[name] for name in ("streams", "graph")] == [None, None]  # the place is NaN


def test_poison_leaves_the_tokens_of_before() -> None:
    work: PagedDecode = small(stream_ordered_kv_cache.PAIR)
    work.inputs(4)
    expected = work.reference()
    work.poison()
    assert torch.equal(work.reference(), expected)
    assert work.output.isnan().all()
    d = work.decode
    behind = d.table.shape[1] * 16 - d.tokens
    assert int(d.k_cache.isnan().any(-1).sum()) == d.table.shape[0] * behind * 2


@each_pair
def test_inputs_come_from_the_seed(pair: Pair) -> None:
    work, results = small(pair), []
    for seed in (1, 1, 2):
        work.inputs(seed)
        results.append(work.reference())
    assert torch.equal(results[0], results[1])
    assert float((results[0] - results[2]).norm() / results[0].norm()) > 0.1


def test_an_even_number_of_steps_is_refused() -> None:
    sizes = {**stream_ordered.PAIR.declaration.sizes["small"], "steps": 4}
    with pytest.raises(UsageError, match="4 steps undo each other"):
        Temporaries(CpuDevice(), sizes)


@pytest.mark.parametrize("shift", [stream_ordered.THERE[1], stream_ordered.BACK[1]])
def test_more_steps_than_one_change_no_bit(shift: float) -> None:
    """y -> shift - y rounds once; after that it goes back and forth between two numbers."""
    one = shift - torch.randn(1 << 16, generator=torch.Generator().manual_seed(3)) * 2
    assert torch.equal(shift - (shift - one), one)


def test_rounds_add_up_to_the_declared_work() -> None:
    work: Temporaries = small(stream_ordered.PAIR)
    work.inputs(6)
    sizes = stream_ordered.PAIR.declaration.sizes["small"]
    torch.testing.assert_close(work.reference(), work._in.double() + sizes["rounds"] / 32)
