"""What demos compute of their measurements; and the measuring itself on a CPU, or on a device that follows a script."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from aisp_prof.errors import AispError, EnvironmentLacks, UsageError
from aisp_prof.kernels.driver import launch
from aisp_prof.kernels.driver.memory import PoolUse
from aisp_prof.workloads.demos import demo, event_timing, memory_async, stream_overlap, stream_priority
from aisp_prof.workloads.demos.demo import quantile, spread
from aisp_prof.workloads.demos.registry import demos, find
from aisp_prof.workloads.device import CpuDevice
from hypothesis import given
from hypothesis import strategies as st

NAMES = [
    "ch09-inline-ptx-example",
    "ch09-nvfp4-blackwell",
    "ch09-tcgen05-pipelined",
    "ch09-two-stage-pipeline",
    "ch10-both",
    "ch10-cluster-group",
    "ch10-gds",
    "ch10-memory-pipeline",
    "ch10-warpgroup-specialization",
    "ch11-event-timing",
    "ch11-kv-prefetch",
    "ch11-memory-async",
    "ch11-stream-overlap",
    "ch11-stream-priority",
    "ch11-streams-ordered-cuda",
    "ch11-streams-overlap-cuda",
    "ch11-streams-warp-specialized",
]
MACHINE_CODE = ("ch09-inline-ptx-example", "ch10-warpgroup-specialization")
"""They read what nvcc made, so they need no GPU."""


def asked(module: Any, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module._options(parser)
    return parser.parse_args(arguments)


def test_all_demos_are_found_and_say_what_they_show() -> None:
    assert [one.name for one in demos()] == NAMES
    assert all(one.about.endswith(".") for one in demos())
    assert [one.name for one in demos() if "cuda" not in one.needs] == list(MACHINE_CODE)


def test_a_misspelt_demo_is_answered() -> None:
    with pytest.raises(UsageError, match="no demo is called") as caught:
        find("ch11-stream-overlapp")
    assert "ch11-stream-overlap" in caught.value.mend


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in MACHINE_CODE])
def test_without_a_gpu_a_demo_says_so(name: str) -> None:
    with pytest.raises(EnvironmentLacks, match="no CUDA device") as caught:
        find(name).run([])
    assert caught.value.exit_code == 3
    assert "--device cpu" not in caught.value.mend


def test_a_missing_need_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_device", lambda kind: CpuDevice())
    monkeypatch.setattr(demo, "present_gpu", lambda device: "a GPU")
    monkeypatch.setattr(demo, "_missing", lambda need, gpu: "get it" if need == "triton" else None)
    with pytest.raises(EnvironmentLacks, match="ch11-event-timing needs triton"):
        find("ch11-event-timing").run([])


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.integers(1, 100))
def test_a_quantile_is_the_smallest_value_with_the_share_at_or_below(values: list[int], percent: int) -> None:
    found = quantile(values, percent / 100)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values) - 1e-9
    smaller = [value for value in values if value < found]
    assert len(smaller) * 100 < percent * len(values) + 1e-9


def test_of_nothing_there_is_no_quantile() -> None:
    with pytest.raises(UsageError, match="nothing was measured"):
        quantile([], 0.5)


def test_spread_has_unit_and_n() -> None:
    assert spread([1_000_000, 3_000_000, 2_000_000]) == "median 2.0000 ms  n 3  min 1.0000, max 3.0000"


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)).map(lambda at: (at[0], sum(at))), max_size=8))
def test_busy_and_overlap_are_counted_instants(intervals: list[tuple[int, int]]) -> None:
    depth = [sum(start <= t < end for start, end in intervals) for t in range(60)]
    assert stream_overlap.busy_and_overlap(intervals) == (sum(d >= 1 for d in depth), sum(d >= 2 for d in depth))


def test_stream_overlap_on_a_cpu() -> None:
    """The host does one thing at a time: nothing overlaps, and every piece of work was noted."""
    lines = stream_overlap.measure(CpuDevice(), asked(stream_overlap, "--size", "small", "--iterations", "2"))
    assert "overlap ratio  median 0.000  n 4" in "\n".join(lines)
    assert "three streams  median" in lines[2]
    assert "n 4" in lines[2]


def test_every_copy_and_kernel_is_noted() -> None:
    noting = stream_overlap.Noting(CpuDevice())
    work = stream_overlap.ChunkedChain(noting, stream_overlap.SIZES["small"])
    work.inputs(1)
    work.run("optimized")
    assert len(noting.noted) == 3 * stream_overlap.SIZES["small"]["chunks"]
    assert all(start <= end for start, end in noting.intervals())


@pytest.mark.parametrize("arguments", [["--iterations", "0"], ["--iterations", "many"], ["--size", "huge"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        find("ch11-stream-overlap").run(arguments)
    assert caught.value.code == 2
    assert "usage: aisp-prof demos ch11-stream-overlap --" in capsys.readouterr().err


def test_products_that_tiles_do_not_divide_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        find("ch11-stream-priority").run(["--gemm", "1000"])
    assert "not a multiple of 256" in capsys.readouterr().err


class Scripted(CpuDevice):
    """Times follow the stream's priority: a probe of high priority takes 40 us, one of the same 500; a product 1 ms."""

    def __init__(self, ends_early: bool = False) -> None:
        self.current, self.ends_early = 0, ends_early

    def stream(self, priority: int = 0) -> Any:
        return priority

    def on(self, stream: Any) -> Any:
        return nullcontext()

    def event(self) -> Any:
        return Marked()

    def elapsed_ns(self, start: Any, end: Any) -> int:
        if end.last:
            return -5 if self.ends_early else 5
        return 1_000_000 if start.stream is None else 40_000 if start.stream else 500_000


class Marked:
    """An event that remembers its stream; that of a train's last product is recorded on the stream of the products."""

    stream: Any = None
    last = False

    def record(self, stream: Any) -> None:
        self.stream = stream


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "sm_count", lambda: 2)
    monkeypatch.setattr(stream_priority, "pointers", lambda *tensors: None)
    monkeypatch.setattr(stream_priority, "sin_exp_chain", lambda *arguments: None)
    construct = stream_priority.Train.__init__

    def marked(self: Any, device: Any, n: int) -> None:
        construct(self, device, n)
        self._last.last = True

    monkeypatch.setattr(stream_priority.Train, "__init__", marked)
    monkeypatch.setattr(stream_priority, "LATEST", 0.001)


@pytest.mark.usefixtures("light")
def test_stream_priority_prints_quantiles_of_both() -> None:
    lines = stream_priority.measure(Scripted(), asked(stream_priority, "--gemm", "512", "--probes", "5"))
    text = "\n".join(lines)
    assert "4 waves of blocks, 125.0 us each" in text  # 8 tiles on 2 multiprocessors; by itself a product took 0.5 ms
    assert "same priority        p50 500.0 p90 500.0 p99 500.0 us  n 5" in text
    assert "high priority        p50 40.0 p90 40.0 p99 40.0 us  n 5" in text
    assert "12.5x sooner at p99" in text


@pytest.mark.usefixtures("light")
def test_probes_behind_the_products_measure_nothing() -> None:
    with pytest.raises(AispError, match="10 of 10 probes came after the products"):
        stream_priority.measure(Scripted(ends_early=True), asked(stream_priority, "--gemm", "512", "--probes", "5"))


def test_memory_async_counts_reuse(monkeypatch: pytest.MonkeyPatch) -> None:
    use = PoolUse(reserved=64 << 20, used=0, reserved_high=96 << 20, used_high=64 << 20)
    monkeypatch.setattr(memory_async, "KIB", 4)
    construct = memory_async.Temporaries.__init__

    def with_a_pool(self: Any, *arguments: Any) -> None:
        construct(self, *arguments)
        memory = self.memories["optimized"]
        memory.use = lambda: use

    monkeypatch.setattr(memory_async.Temporaries, "__init__", with_a_pool)
    lines = memory_async.measure(CpuDevice(), asked(memory_async, "--rounds", "2", "--iterations", "3"))
    # 6 runs to warm up and 6 that count, each of 8 streams and 2 rounds
    assert f"of {12 * 8 * 2} allocations" in lines[-1]
    assert "n 6" in lines[1]


def test_reuse_is_what_the_pool_had_no_new_memory_for() -> None:
    lines = memory_async.pool_lines(PoolUse(64 << 20, 0, 64 << 20, 64 << 20), 1600, 8 << 20)
    assert lines[-1].endswith("99.50% of 1600 allocations: all but 8, for which it has room")
    assert "64 MiB reserved at most" in lines[0]


def test_events_against_the_clock() -> None:
    assert event_timing.compared([(1000, 3000), (2000, 4100), (3000, 5000)]).split() == [
        *("2.0", "us", "4.1", "us", "2.00", "us", "100.00%", "3")
    ]
    assert event_timing.resolution([1504, 2016, 1504, 1760]) == (
        "median 1632 ns, 3 different times, smallest step 256 ns  n 4"
    )
    assert "always the same" in event_timing.resolution([1504, 1504])
